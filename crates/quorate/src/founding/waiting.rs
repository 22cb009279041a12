//! What an empty node waits for, as a sentence that names whom and says what to do.

use std::fmt;

use quorate_core::{ClusterId, NodeId};

use super::{Answer, PeerList};
use crate::roster::Member;

/// Why no cluster has begun, or why this node is not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting {
    /// Listed nodes are silent; any of them may belong to a cluster already.
    Silent {
        /// Addresses with what is known of each.
        silent: Vec<(String, String)>,
        /// Number of listed nodes.
        listed: usize,
    },
    /// Everything is ready; the node with the lowest id makes the record.
    Maker {
        /// The node that makes it.
        node: NodeId,
        /// Its address.
        address: String,
    },
    /// The record is being written here.
    Writing {
        /// The cluster it founds.
        cluster: ClusterId,
    },
    /// A listed node belongs to a cluster that was founded without this data directory. An
    /// operator can have this node added to that cluster.
    NotAMember {
        /// Address of the listed node.
        address: String,
        /// The listed node.
        holder: NodeId,
        /// Its cluster.
        cluster: ClusterId,
        /// This node.
        me: NodeId,
    },
    /// A listed node belongs to a cluster, or is about to, and shows no founding record.
    Joining {
        /// Address of the listed node.
        address: String,
        /// Its cluster.
        cluster: ClusterId,
    },
    /// A listed node was started with another list.
    OtherList {
        /// Address of the listed node.
        address: String,
        /// Its list.
        theirs: Vec<String>,
        /// This node's list.
        ours: Vec<String>,
    },
    /// A listed address is answered by a node that calls another address its own.
    OtherAddress {
        /// The listed address.
        address: String,
        /// The address that the node there calls its own.
        theirs: String,
    },
    /// Two addresses are answered by the same node.
    SameNode {
        /// One address.
        first: String,
        /// The other.
        second: String,
        /// The node at both.
        node: NodeId,
    },
    /// Two nodes have the same name.
    SameName {
        /// Address of one.
        first: String,
        /// Address of the other.
        second: String,
        /// The name of both.
        name: String,
    },
    /// The members do not make a roster.
    Unfit {
        /// What is wrong.
        reason: String,
    },
}

impl Waiting {
    /// What it means that the node at `address` belongs to a cluster.
    pub(super) fn belongs(me: NodeId, address: &str, answer: &Answer) -> Self {
        let (address, cluster) = (address.to_owned(), answer.cluster);
        match &answer.record {
            None => Self::Joining { address, cluster },
            Some(_) => Self::NotAMember { address, holder: answer.member.id, cluster, me },
        }
    }
}

/// Checks the answer of one empty node against the list and against the members found so far.
pub(super) fn check(
    peers: &PeerList,
    address: &str,
    answer: &Answer,
    members: &[Member],
) -> Result<(), Waiting> {
    let theirs = &answer.member;
    if let Some(twin) = members.iter().find(|member| member.id == theirs.id) {
        let (first, second) = (twin.peer_address.clone(), address.to_owned());
        return Err(Waiting::SameNode { first, second, node: theirs.id });
    }
    if theirs.peer_address != address {
        let theirs = theirs.peer_address.clone();
        return Err(Waiting::OtherAddress { address: address.to_owned(), theirs });
    }
    if let Some(twin) = members.iter().find(|member| member.name == theirs.name) {
        let (first, second) = (twin.peer_address.clone(), address.to_owned());
        return Err(Waiting::SameName { first, second, name: theirs.name.clone() });
    }
    if !peers.addresses().eq(answer.listed.iter().map(String::as_str)) {
        let ours = peers.addresses().map(str::to_owned).collect();
        let theirs = answer.listed.clone();
        return Err(Waiting::OtherList { address: address.to_owned(), theirs, ours });
    }
    Ok(())
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { silent, listed } => {
                write!(f, "waits for {} of {listed} listed nodes: ", silent.len())?;
                for (at, (address, reason)) in silent.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{address} ({reason})")?;
                }
                f.write_str(
                    "; no cluster is founded while a listed node is silent, because it may belong \
                     to one already: start it, or correct the peer list",
                )
            }
            Self::Maker { node, address } => {
                write!(f, "waits for {address} ({node}, the lowest id) to found the cluster")
            }
            Self::Writing { cluster } => {
                write!(f, "writes the founding record of cluster {cluster}")
            }
            Self::NotAMember { address, holder, cluster, me } => write!(
                f,
                "waits because {address} ({holder}) belongs to cluster {cluster}, which was \
                 founded without this data directory ({me}); bring back the directory that was a \
                 member, or have the cluster add this node as a new member"
            ),
            Self::Joining { address, cluster } => write!(
                f,
                "waits for {address}, which is part of cluster {cluster} or about to become so"
            ),
            Self::OtherList { address, theirs, ours } => write!(
                f,
                "waits because {address} was started with the peer list [{}] and this node with \
                 [{}]; start both with the same list",
                theirs.join(", "),
                ours.join(", ")
            ),
            Self::OtherAddress { address, theirs } => write!(
                f,
                "waits because the node that answers at {address} calls {theirs} its peer \
                 address; correct the peer list or the address that the node advertises"
            ),
            Self::SameNode { first, second, node } => write!(
                f,
                "waits because {first} and {second} lead to the same node {node}; correct the \
                 peer list, or format the data directory that was copied"
            ),
            Self::SameName { first, second, name } => write!(
                f,
                "waits because the nodes at {first} and {second} are both named `{name}`; give \
                 each a name of its own"
            ),
            Self::Unfit { reason } => {
                write!(f, "waits because no cluster can be made of the listed nodes: {reason}")
            }
        }
    }
}
