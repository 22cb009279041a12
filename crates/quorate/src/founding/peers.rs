//! The list of peers that a node is started with, checked before anything is asked of anybody.

use std::collections::BTreeMap;

use crate::roster::{MAX_ADDRESS_BYTES, MAX_MEMBERS, MAX_NAME_BYTES};

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What the list calls the node, where it names nodes at all.
    pub name: Option<String>,
    /// The node's peer address, as `host:port`.
    pub address: String,
}

impl Listed {
    /// A node that the list names.
    #[must_use]
    pub fn named(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self { name: Some(name.into()), address: address.into() }
    }

    /// A node that the list gives only an address for.
    #[must_use]
    pub fn at(address: impl Into<String>) -> Self {
        Self { name: None, address: address.into() }
    }
}

/// The peer addresses of a cluster that is to begin, this node's own among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerList {
    own: String,
    /// Every address in ascending order, so that equal lists compare equal.
    addresses: Vec<String>,
}

/// Why a list of peers cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerListError {
    /// The list does not hold this node's advertised address.
    #[error(
        "the peer list [{}] does not hold this node's own peer address {own}; add it to the list, \
         or correct the address that the node advertises",
        listed.join(", ")
    )]
    WithoutSelf {
        /// The address this node advertises.
        own: String,
        /// The addresses of the list.
        listed: Vec<String>,
    },
    /// Two lines hold the same address.
    #[error("the peer list holds the address {address} twice; give each node its own address")]
    DuplicateAddress {
        /// The address.
        address: String,
    },
    /// Two lines hold the same name.
    #[error(
        "the peer list calls both {first} and {second} `{name}`; give each node a name of its own"
    )]
    DuplicateName {
        /// The name.
        name: String,
        /// Address of the first node with it.
        first: String,
        /// Address of the second node with it.
        second: String,
    },
    /// The list calls this node something else than it calls itself.
    #[error(
        "the peer list calls the node at {own} `{listed}`, but this node is named `{name}`; start \
         it under the name in the list, or correct the list"
    )]
    OtherName {
        /// The address this node advertises.
        own: String,
        /// Its name in the list.
        listed: String,
        /// Its own name.
        name: String,
    },
    /// A text is no peer address.
    #[error("`{address}` is no peer address: {reason}; write it as host:port")]
    BadAddress {
        /// The text.
        address: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A name is empty or too long.
    #[error("the name `{name}` cannot be used: a name has 1 to {MAX_NAME_BYTES} bytes")]
    BadName {
        /// The name.
        name: String,
    },
    /// The list is longer than a cluster can be.
    #[error("the peer list holds {found} nodes; a cluster has at most {MAX_MEMBERS}")]
    TooLong {
        /// Its length.
        found: usize,
    },
}

impl PeerList {
    /// Checks the list of a node that calls itself `name` and is reached at `own`.
    ///
    /// # Errors
    ///
    /// When the list misses the node's own address, holds an address or a name twice, calls the
    /// node something else, or holds what is no address or name.
    pub fn new(
        name: &str,
        own: &str,
        listed: impl IntoIterator<Item = Listed>,
    ) -> Result<Self, PeerListError> {
        check_name(name)?;
        check_address(own)?;
        let mut addresses = Vec::new();
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for Listed { name: given, address } in listed {
            check_address(&address)?;
            if addresses.contains(&address) {
                return Err(PeerListError::DuplicateAddress { address });
            }
            if let Some(given) = given {
                check_name(&given)?;
                if address == own && given != name {
                    let (own, name) = (own.to_owned(), name.to_owned());
                    return Err(PeerListError::OtherName { own, listed: given, name });
                }
                if let Some(first) = names.insert(given.clone(), address.clone()) {
                    return Err(PeerListError::DuplicateName {
                        name: given,
                        first,
                        second: address,
                    });
                }
            }
            addresses.push(address);
        }
        if addresses.len() > MAX_MEMBERS {
            return Err(PeerListError::TooLong { found: addresses.len() });
        }
        if !addresses.iter().any(|address| address == own) {
            return Err(PeerListError::WithoutSelf { own: own.to_owned(), listed: addresses });
        }
        addresses.sort_unstable();
        Ok(Self { own: own.to_owned(), addresses })
    }

    /// The list of a cluster of this node alone.
    ///
    /// # Errors
    ///
    /// When the name or the address cannot be used.
    pub fn alone(name: &str, own: &str) -> Result<Self, PeerListError> {
        Self::new(name, own, [Listed::at(own)])
    }

    /// This node's own address.
    #[must_use]
    pub fn own(&self) -> &str {
        &self.own
    }

    /// Every address, in ascending order.
    pub fn addresses(&self) -> impl ExactSizeIterator<Item = &str> {
        self.addresses.iter().map(String::as_str)
    }

    /// Every address but this node's own, in ascending order.
    pub fn others(&self) -> impl Iterator<Item = &str> {
        self.addresses().filter(|address| *address != self.own)
    }

    /// Number of nodes in the list.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a list holds at least its own node")]
    pub const fn len(&self) -> usize {
        self.addresses.len()
    }
}

const fn check_name_length(length: usize) -> bool {
    length > 0 && length <= MAX_NAME_BYTES
}

fn check_name(name: &str) -> Result<(), PeerListError> {
    if check_name_length(name.len()) {
        Ok(())
    } else {
        Err(PeerListError::BadName { name: name.chars().take(64).collect() })
    }
}

fn check_address(address: &str) -> Result<(), PeerListError> {
    let bad = |reason| {
        let address = address.chars().take(64).collect();
        Err(PeerListError::BadAddress { address, reason })
    };
    if address.len() > MAX_ADDRESS_BYTES {
        return bad("it is too long");
    }
    let Some((host, port)) = address.rsplit_once(':') else { return bad("it has no port") };
    if host.is_empty() {
        return bad("it has no host");
    }
    if host.contains(['/', ' ', ',', '=']) {
        return bad("it is a URL or a list, not one address");
    }
    match port.parse::<u16>() {
        Ok(0) => bad("port 0 is nowhere that others could reach"),
        Ok(_) => Ok(()),
        Err(_) => bad("its port is no number below 65536"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(&str, &str)]) -> Result<PeerList, PeerListError> {
        let listed = entries.iter().map(|(name, address)| Listed::named(*name, *address));
        PeerList::new("n1", "a:1", listed)
    }

    #[test]
    fn equal_lists_are_equal_in_any_order() {
        assert_eq!(
            list(&[("n1", "a:1"), ("n2", "b:1")]).unwrap(),
            list(&[("n2", "b:1"), ("n1", "a:1")]).unwrap()
        );
    }

    #[test]
    fn a_list_without_its_own_node_is_refused_with_both_addresses() {
        let error = list(&[("n2", "b:1"), ("n3", "c:1")]).unwrap_err();
        assert!(matches!(error, PeerListError::WithoutSelf { .. }));
        let text = error.to_string();
        assert!(text.contains("a:1") && text.contains("[b:1, c:1]"), "{text}");
        assert!(matches!(list(&[]), Err(PeerListError::WithoutSelf { .. })));
    }

    #[test]
    fn names_and_addresses_are_given_once() {
        let error = list(&[("n1", "a:1"), ("n2", "a:1")]).unwrap_err();
        assert_eq!(error, PeerListError::DuplicateAddress { address: "a:1".to_owned() });
        let error = list(&[("n1", "a:1"), ("n1", "b:1")]).unwrap_err();
        assert!(matches!(error, PeerListError::DuplicateName { .. }));
        assert!(error.to_string().contains("both a:1 and b:1 `n1`"), "{error}");
    }

    #[test]
    fn the_list_calls_this_node_by_its_name() {
        let error = list(&[("n2", "a:1"), ("n1", "b:1")]).unwrap_err();
        assert!(matches!(error, PeerListError::OtherName { .. }));
        assert!(PeerList::new("n1", "a:1", [Listed::at("a:1"), Listed::at("b:1")]).is_ok());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for address in ["a", ":1", "a:0", "a:70000", "http://a:1", "a:1,b:1", "n1=a:1", "a:"] {
            let error = PeerList::alone("n1", address).unwrap_err();
            assert!(matches!(error, PeerListError::BadAddress { .. }), "{address}: {error}");
        }
        assert!(PeerList::alone("n1", "[::1]:7001").is_ok());
        assert!(matches!(PeerList::alone("", "a:1"), Err(PeerListError::BadName { .. })));
    }
}
