//! What a server is told at its start, in the words of etcd's flags, and the checks of it.
//!
//! Nothing is opened here: what can be wrong with the settings alone is said before a directory is
//! made or a port is bound.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::compaction::AutoCompaction;

/// Largest request that is proposed: etcd's limit.
pub const MAX_REQUEST_BYTES: usize = 1536 * 1024;
/// Bytes that the store may have unless said otherwise: what etcd advises as the most.
pub const QUOTA_BYTES: u64 = 8 << 30;
/// Connections of clients that are served at the same time, unless set otherwise.
pub(crate) const MAX_CONNECTIONS: usize = 16_384;
/// What a request may have around it on its way in: etcd's allowance.
pub(crate) const FRAMING_BYTES: usize = 512 * 1024;

/// Settings of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Name of this node among people; unique in its cluster (`--name`).
    pub name: String,
    /// Directory that holds everything the node must not lose (`--data-dir`).
    pub data_dir: PathBuf,
    /// Where clients are served (`--listen-client-urls`).
    pub listen_client_urls: Vec<String>,
    /// Where clients are told to come, from the founding of the cluster on; empty for where they are
    /// served (`--advertise-client-urls`).
    pub advertise_client_urls: Vec<String>,
    /// Where the other nodes are listened to (`--listen-peer-urls`).
    pub listen_peer_url: String,
    /// Where the other nodes are told to come; `None` for where they are listened to
    /// (`--initial-advertise-peer-urls`).
    pub advertise_peer_url: Option<String>,
    /// The nodes that found the cluster, as `name=url,name=url`; empty for this node alone
    /// (`--initial-cluster`).
    pub initial_cluster: String,
    /// How often a leader tells the others that it is there (`--heartbeat-interval`).
    pub heartbeat_interval: Option<Duration>,
    /// The shortest time that a node waits for a leader before it stands for election; the time is
    /// drawn up to twice that (`--election-timeout`).
    pub election_timeout: Option<Duration>,
    /// Largest request that is proposed (`--max-request-bytes`).
    pub max_request_bytes: usize,
    /// Executed entries after which the node takes a snapshot, so that its log can begin after it;
    /// as many bytes of them as the library says are enough. `None` for the library's default
    /// (`--snapshot-count`).
    pub snapshot_count: Option<u64>,
    /// Bytes that the store may have before writes are refused; `None` for as many as there is
    /// memory for (`--quota-backend-bytes`).
    pub quota_backend_bytes: Option<u64>,
    /// What is kept when the leader compacts without being asked; `None` for never
    /// (`--auto-compaction-mode`, `--auto-compaction-retention`).
    pub auto_compaction: Option<AutoCompaction>,
    /// Connections of clients that are served at the same time (`--max-client-connections`).
    pub max_connections: usize,
}

impl ServerConfig {
    /// Settings of a node by itself, on etcd's ports on loopback.
    #[must_use]
    pub fn new(name: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            data_dir: data_dir.into(),
            listen_client_urls: vec!["http://127.0.0.1:2379".to_owned()],
            advertise_client_urls: Vec::new(),
            listen_peer_url: "http://127.0.0.1:2380".to_owned(),
            advertise_peer_url: None,
            initial_cluster: String::new(),
            heartbeat_interval: None,
            election_timeout: None,
            max_request_bytes: MAX_REQUEST_BYTES,
            snapshot_count: None,
            quota_backend_bytes: Some(QUOTA_BYTES),
            auto_compaction: None,
            max_connections: MAX_CONNECTIONS,
        }
    }

    /// Checks the settings and takes them apart.
    ///
    /// # Errors
    ///
    /// When a setting is wrong by itself or against another; the error names it.
    pub fn validate(&self) -> Result<Settings, ConfigError> {
        if self.name.is_empty() {
            return Err(ConfigError::Empty { flag: "--name" });
        }
        if self.data_dir.as_os_str().is_empty() {
            return Err(ConfigError::Empty { flag: "--data-dir" });
        }
        if self.listen_client_urls.is_empty() {
            return Err(ConfigError::Empty { flag: "--listen-client-urls" });
        }
        let addresses = |flag, urls: &[String]| {
            urls.iter().map(|url| address(flag, url)).collect::<Result<Vec<_>, _>>()
        };
        let listen_client = addresses("--listen-client-urls", &self.listen_client_urls)?;
        addresses("--advertise-client-urls", &self.advertise_client_urls)?;
        let listen_peer = address("--listen-peer-urls", &self.listen_peer_url)?;
        let advertise_peer = match &self.advertise_peer_url {
            Some(url) => address("--initial-advertise-peer-urls", url)?,
            None => listen_peer.clone(),
        };
        let peers = self.peers(&advertise_peer)?;
        Ok(Settings { listen_client, listen_peer, advertise_peer, peers })
    }

    /// The founding nodes' names and peer addresses, this node's among them.
    fn peers(&self, own: &str) -> Result<Vec<(String, String)>, ConfigError> {
        if self.initial_cluster.is_empty() {
            return Ok(vec![(self.name.clone(), own.to_owned())]);
        }
        let mut by_name = BTreeMap::new();
        let mut by_address = BTreeMap::new();
        for part in self.initial_cluster.split(',') {
            let syntax = || ConfigError::ClusterSyntax { part: part.to_owned() };
            let (name, url) = part.trim().split_once('=').ok_or_else(syntax)?;
            if name.is_empty() {
                return Err(syntax());
            }
            let address = address("--initial-cluster", url)?;
            if let Some(first) = by_name.insert(name, address.clone()) {
                return Err(ConfigError::DuplicateName {
                    name: name.to_owned(),
                    first,
                    second: address,
                });
            }
            if let Some(first) = by_address.insert(address.clone(), name) {
                return Err(ConfigError::DuplicateAddress {
                    address,
                    first: first.to_owned(),
                    second: name.to_owned(),
                });
            }
        }
        match by_name.get(self.name.as_str()) {
            Some(listed) if listed == own => {
                let owned = |(name, address): (&str, String)| (name.to_owned(), address);
                Ok(by_name.into_iter().map(owned).collect())
            }
            Some(listed) => Err(ConfigError::OwnAddress {
                name: self.name.clone(),
                listed: listed.clone(),
                advertised: own.to_owned(),
            }),
            None => Err(ConfigError::OwnName {
                name: self.name.clone(),
                listed: by_name.into_keys().collect::<Vec<_>>().join(", "),
            }),
        }
    }
}

/// Settings that were checked, taken apart into addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Where clients are served, as `host:port`.
    pub listen_client: Vec<String>,
    /// Where the other nodes are listened to, as `host:port`.
    pub listen_peer: String,
    /// Where the other nodes are told to come, as `host:port`.
    pub advertise_peer: String,
    /// The founding nodes' names and peer addresses, by name, this node's among them.
    pub peers: Vec<(String, String)>,
}

/// What is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A setting that is needed has no value.
    #[error("{flag} is empty; give it a value")]
    Empty {
        /// The flag.
        flag: &'static str,
    },
    /// A URL cannot be read.
    #[error("{flag} has {url:?}, which {why}; write it as http://host:port")]
    Url {
        /// The flag.
        flag: &'static str,
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A retention is none of its mode.
    #[error(
        "--auto-compaction-retention is {text:?}, which {why}; write hours or a time such as 30m, or \
         with --auto-compaction-mode revision a number of revisions; 0 for none"
    )]
    Retention {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no such mode.
    #[error("--auto-compaction-mode is {text:?}; write periodic or revision")]
    CompactionMode {
        /// What was given.
        text: String,
    },
    /// A part of the list of nodes cannot be read.
    #[error("--initial-cluster has {part:?}; write it as name=http://host:port,name=...")]
    ClusterSyntax {
        /// The part between two commas.
        part: String,
    },
    /// Two nodes have one name.
    #[error(
        "--initial-cluster gives the name {name:?} to both {first} and {second}; names are unique"
    )]
    DuplicateName {
        /// The name.
        name: String,
        /// The first address.
        first: String,
        /// The second address.
        second: String,
    },
    /// Two nodes have one address.
    #[error(
        "--initial-cluster gives the address {address} to both {first:?} and {second:?}; each node \
         has its own"
    )]
    DuplicateAddress {
        /// The address.
        address: String,
        /// The first name.
        first: String,
        /// The second name.
        second: String,
    },
    /// The list of nodes leaves this one out.
    #[error(
        "--initial-cluster lists {listed}, but not this node, {name:?}; add it, or correct --name"
    )]
    OwnName {
        /// This node's name.
        name: String,
        /// The names that are listed.
        listed: String,
    },
    /// The list of nodes has another address for this one.
    #[error(
        "--initial-cluster has {name:?} at {listed}, but it advertises {advertised}; make \
         --initial-advertise-peer-urls (or --listen-peer-urls) and the list agree"
    )]
    OwnAddress {
        /// This node's name.
        name: String,
        /// Its address in the list.
        listed: String,
        /// The address that it advertises.
        advertised: String,
    },
}

/// The `host:port` of a URL.
fn address(flag: &'static str, url: &str) -> Result<String, ConfigError> {
    let wrong = |why| ConfigError::Url { flag, url: url.to_owned(), why };
    let rest = match url.trim().split_once("://") {
        Some(("http", rest)) => rest,
        Some(("https", _)) => return Err(wrong("asks for TLS, which is not there yet")),
        Some(_) => return Err(wrong("has a scheme other than http")),
        None => return Err(wrong("has no scheme")),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '@']) {
        return Err(wrong("has more than host and port"));
    }
    let (host, port) = authority.rsplit_once(':').ok_or_else(|| wrong("has no port"))?;
    if host.is_empty() {
        return Err(wrong("has no host"));
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err(wrong("has an IPv6 address without brackets"));
    }
    let port: u16 = port.parse().map_err(|_| wrong("has no port from 0 to 65535"))?;
    Ok(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(cluster: &str) -> ServerConfig {
        ServerConfig { initial_cluster: cluster.to_owned(), ..ServerConfig::new("n1", "data") }
    }

    #[test]
    fn a_list_of_nodes_becomes_addresses() {
        let list = "n2=http://b:2380, n1=http://127.0.0.1:2380/,n3=http://[::1]:5";
        let settings = config(list).validate().unwrap();
        let listed = [("n1", "127.0.0.1:2380"), ("n2", "b:2380"), ("n3", "[::1]:5")];
        let listed = listed.map(|(name, address)| (name.to_owned(), address.to_owned()));
        assert_eq!(settings.peers, listed);
        assert_eq!(settings.listen_client, ["127.0.0.1:2379"]);
        let alone = config("").validate().unwrap().peers;
        assert_eq!(alone, [("n1".to_owned(), "127.0.0.1:2380".to_owned())]);
    }

    #[test]
    fn a_list_of_nodes_that_cannot_be_meant_is_refused() {
        let own = "n1=http://127.0.0.1:2380";
        for (list, expected) in [
            ("n2=http://b:1", "not this node, \"n1\""),
            ("n1=http://b:1", "advertises 127.0.0.1:2380"),
            (&format!("{own},n1=http://b:1"), "the name \"n1\" to both"),
            (&format!("{own},n2=http://127.0.0.1:2380"), "to both \"n1\" and \"n2\""),
            (&format!("{own},http://b:1"), "write it as name=http://host:port"),
            (&format!("{own},"), "write it as name=http://host:port"),
            (&format!("{own},=http://b:1"), "write it as name=http://host:port"),
        ] {
            let error = config(list).validate().unwrap_err().to_string();
            assert!(error.contains(expected), "{list} gave {error}");
        }
    }

    #[test]
    fn urls_that_are_none_are_refused_with_their_flag() {
        for (url, why) in [
            ("127.0.0.1:2379", "has no scheme"),
            ("https://127.0.0.1:2379", "asks for TLS"),
            ("ftp://127.0.0.1:2379", "other than http"),
            ("http://127.0.0.1", "has no port"),
            ("http://127.0.0.1:65536", "has no port"),
            ("http://:2379", "has no host"),
            ("http://::1:2379", "without brackets"),
            ("http://a:1/b", "more than host and port"),
            ("http://u@a:1", "more than host and port"),
        ] {
            let mut config = config("");
            config.listen_client_urls = vec![url.to_owned()];
            let error = config.validate().unwrap_err().to_string();
            assert!(
                error.contains(why) && error.contains("--listen-client-urls"),
                "{url}: {error}"
            );
        }
        let mut config = config("");
        config.name.clear();
        assert_eq!(config.validate(), Err(ConfigError::Empty { flag: "--name" }));
    }
}
