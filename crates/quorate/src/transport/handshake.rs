//! The first bytes of every connection: who calls whom, of which cluster, in which boot.
//!
//! The dialer sends a [`Hello`], the other side answers with a [`Welcome`] or a
//! [`HandshakeRefusal`]; both have a fixed size, so that nothing is allocated by what a stranger
//! says. [`Acquaintances`] decides, without any I/O:
//!
//! - A connection that names its receiver (`to`) must mean this node and this cluster. A stale
//!   address or another cluster is refused with both sides' ids; terms are never exchanged.
//! - A connection to nobody in particular (`to` = 0) may carry founding messages only.
//! - The latest boot of each node is remembered; an older one is refused. Two processes of one node
//!   in one boot (a copied directory) are both refused until a later boot comes.
//! - Versions are negotiated: the highest that both know.

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::{BootCounter, ClusterId, NodeId, mutant};

use crate::wire::{Reader, WireError};

/// Lowest version of the frames that this program speaks.
pub const VERSION_MIN: u16 = 1;
/// Highest version of the frames that this program speaks.
pub const VERSION_MAX: u16 = 1;
/// Optional features that this program offers; none is defined yet.
pub const FEATURES: u64 = 0;

/// Bytes of an encoded [`Hello`].
pub const HELLO_BYTES: usize = 68;
/// Bytes of an encoded answer to it.
pub const REPLY_BYTES: usize = 76;

const HELLO_MAGIC: [u8; 8] = *b"qrtpeer\n";
const REPLY_MAGIC: [u8; 8] = *b"qrtback\n";

/// Nodes whose boots are remembered.
const MAX_REMEMBERED: usize = 1024;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Channel {
    /// The protocol's messages and forwarded calls; founding messages when `to` is 0.
    Control = 1,
    /// Chunks of snapshots, so that they never delay a heartbeat.
    Bulk = 2,
}

/// One process of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The node.
    pub node: NodeId,
    /// Its boot counter; durable before the first connection.
    pub boot: BootCounter,
    /// A random number of this process, so that two processes in one boot can be told apart.
    pub process: u64,
}

/// What a dialer says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Lowest and highest version that the dialer speaks.
    pub versions: (u16, u16),
    /// What the connection is for, as a number that may be unknown here.
    pub channel: u8,
    /// Optional features that the dialer offers.
    pub features: u64,
    /// The dialer's cluster; zero until it is founded.
    pub cluster: ClusterId,
    /// The dialer.
    pub from: Caller,
    /// The node it wants; nothing when it does not know who is at the address.
    pub to: Option<NodeId>,
}

impl Hello {
    /// The hello of this program's versions and features.
    #[must_use]
    pub const fn new(
        from: Caller,
        cluster: ClusterId,
        to: Option<NodeId>,
        channel: Channel,
    ) -> Self {
        let versions = (VERSION_MIN, VERSION_MAX);
        Self { versions, channel: channel as u8, features: FEATURES, cluster, from, to }
    }

    /// Encodes the hello.
    #[must_use]
    pub fn encode(&self) -> [u8; HELLO_BYTES] {
        let mut out = Vec::with_capacity(HELLO_BYTES);
        out.extend_from_slice(&HELLO_MAGIC);
        out.extend_from_slice(&self.versions.0.to_le_bytes());
        out.extend_from_slice(&self.versions.1.to_le_bytes());
        out.extend_from_slice(&[self.channel, 0, 0, 0]);
        for number in [
            self.features,
            self.cluster.get(),
            self.from.node.get(),
            self.to.map_or(0, NodeId::get),
            self.from.boot.get(),
            self.from.process,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        sealed(out)
    }

    /// Reads a hello.
    ///
    /// # Errors
    ///
    /// When the bytes are no hello. Such a caller gets no answer: it speaks another protocol.
    pub fn decode(bytes: &[u8; HELLO_BYTES]) -> Result<Self, WireError> {
        let mut reader = unsealed(bytes, HELLO_MAGIC, "hello")?;
        let versions = (reader.u16("lowest version")?, reader.u16("highest version")?);
        let channel = reader.u8("channel")?;
        reader.take("reserved", 3)?;
        let features = reader.u64("features")?;
        let cluster = ClusterId(reader.u64("cluster id")?);
        let node = node_id(&mut reader)?;
        let to = NodeId::new(reader.u64("to")?);
        let boot = BootCounter(reader.u64("boot counter")?);
        let process = reader.u64("process")?;
        let from = Caller { node, boot, process };
        Ok(Self { versions, channel, features, cluster, from, to })
    }
}

/// The answer of a node that accepts a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version that both sides speak from here on.
    pub version: u16,
    /// Features that both sides offer.
    pub features: u64,
    /// The cluster of the node that answers; zero until it is founded.
    pub cluster: ClusterId,
    /// The node that answers.
    pub from: Caller,
}

/// Why a connection was refused, as the node that was dialled says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeRefusal {
    /// No version is known to both sides.
    #[error("it speaks versions {min} to {max} only; upgrade the older of the two programs")]
    Version {
        /// Lowest version of the node that refuses.
        min: u16,
        /// Highest version of the node that refuses.
        max: u16,
    },
    /// The node belongs to another cluster.
    #[error(
        "it belongs to cluster {there}, and the dialer to cluster {dialer}; the address leads to \
         another cluster, or the data directory is of another one"
    )]
    WrongCluster {
        /// Cluster of the node that refuses.
        there: ClusterId,
        /// Cluster of the dialer.
        dialer: ClusterId,
    },
    /// Another node than the wanted one is at the address.
    #[error(
        "node {there} is at the address, and node {wanted} was wanted; the address is stale, or \
         the data directory there was replaced"
    )]
    WrongNode {
        /// The node that refuses.
        there: NodeId,
        /// The node that the dialer wanted.
        wanted: NodeId,
    },
    /// The node belongs to no cluster yet.
    #[error("node {there} belongs to no cluster yet; it waits to be founded")]
    NotFounded {
        /// The node that refuses.
        there: NodeId,
    },
    /// The address leads back to the dialer's own process.
    #[error("the address leads back to the node itself; correct the peer list")]
    Itself,
    /// A later boot of the dialer's node was met.
    #[error(
        "it has met boot {remembered} of this node, and the dialer is in boot {dialer}; another \
         process runs on a copy of the data directory, or an old copy was brought back"
    )]
    OldBoot {
        /// Latest boot that was met.
        remembered: BootCounter,
        /// Boot of the dialer.
        dialer: BootCounter,
    },
    /// Two processes run as one node in one boot.
    #[error(
        "another process runs as node {node} in the same boot {boot}; a data directory was copied: \
         stop one of the two"
    )]
    SameNode {
        /// The node that two processes claim to be.
        node: NodeId,
        /// The boot of both.
        boot: BootCounter,
    },
    /// The dialer was removed from the cluster.
    #[error("node {node} was removed from cluster {cluster}; format a new directory to come back")]
    Removed {
        /// The dialer.
        node: NodeId,
        /// The cluster.
        cluster: ClusterId,
    },
    /// The connection is for something that the node does not know.
    #[error("it knows no channel {channel}; upgrade the older of the two programs")]
    UnknownChannel {
        /// The number of the channel.
        channel: u8,
    },
    /// The node has as many connections, or remembers as many nodes, as it may.
    #[error("it has too many connections; it may accept this one later")]
    Busy,
    /// A later version refuses for a reason that this one does not know.
    #[error("it gives reason {code}, which this version does not know; upgrade the program")]
    Unknown {
        /// Number of the reason.
        code: u8,
    },
}

impl HandshakeRefusal {
    /// Whether the dialer must stop: another process is this node in a later boot.
    #[must_use]
    pub fn supersedes_dialer(&self) -> bool {
        matches!(self, Self::OldBoot { remembered, dialer } if remembered > dialer)
    }

    const fn code(self) -> (u8, u64, u64) {
        match self {
            Self::Version { min, max } => (1, min as u64, max as u64),
            Self::WrongCluster { there, dialer } => (2, there.get(), dialer.get()),
            Self::WrongNode { there, wanted } => (3, there.get(), wanted.get()),
            Self::NotFounded { there } => (4, there.get(), 0),
            Self::Itself => (5, 0, 0),
            Self::OldBoot { remembered, dialer } => (6, remembered.get(), dialer.get()),
            Self::SameNode { node, boot } => (7, node.get(), boot.get()),
            Self::Removed { node, cluster } => (8, node.get(), cluster.get()),
            Self::UnknownChannel { channel } => (9, channel as u64, 0),
            Self::Busy => (10, 0, 0),
            Self::Unknown { code } => (code, 0, 0),
        }
    }

    fn from_code(code: u8, a: u64, b: u64) -> Result<Self, WireError> {
        let node =
            |number| NodeId::new(number).ok_or(WireError::Value { what: "node id", found: number });
        let version = |number| {
            u16::try_from(number).map_err(|_| WireError::Value { what: "version", found: number })
        };
        Ok(match code {
            1 => Self::Version { min: version(a)?, max: version(b)? },
            2 => Self::WrongCluster { there: ClusterId(a), dialer: ClusterId(b) },
            3 => Self::WrongNode { there: node(a)?, wanted: node(b)? },
            4 => Self::NotFounded { there: node(a)? },
            5 => Self::Itself,
            6 => Self::OldBoot { remembered: BootCounter(a), dialer: BootCounter(b) },
            7 => Self::SameNode { node: node(a)?, boot: BootCounter(b) },
            8 => Self::Removed { node: node(a)?, cluster: ClusterId(b) },
            9 => Self::UnknownChannel { channel: a.to_le_bytes()[0] },
            10 => Self::Busy,
            code => Self::Unknown { code },
        })
    }
}

/// Encodes the answer to a hello; `here` and `cluster` say who answers.
#[must_use]
pub fn encode_reply(
    here: Caller,
    cluster: ClusterId,
    answer: Result<Welcome, HandshakeRefusal>,
) -> [u8; REPLY_BYTES] {
    let mut out = Vec::with_capacity(REPLY_BYTES);
    out.extend_from_slice(&REPLY_MAGIC);
    let (code, version, features, a, b) = match answer {
        Ok(welcome) => (0, welcome.version, welcome.features, 0, 0),
        Err(refusal) => {
            let (code, a, b) = refusal.code();
            (code, 0, 0, a, b)
        }
    };
    out.extend_from_slice(&[code, 0]);
    out.extend_from_slice(&version.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for number in [features, cluster.get(), here.node.get(), here.boot.get(), here.process, a, b] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    sealed(out)
}

/// Reads the answer to a hello.
///
/// # Errors
///
/// When the bytes are no such answer: something else than a node listens there.
pub fn decode_reply(
    bytes: &[u8; REPLY_BYTES],
) -> Result<Result<Welcome, HandshakeRefusal>, WireError> {
    let mut reader = unsealed(bytes, REPLY_MAGIC, "answer to the hello")?;
    let code = reader.u8("code")?;
    reader.u8("reserved")?;
    let version = reader.u16("version")?;
    reader.take("reserved", 4)?;
    let features = reader.u64("features")?;
    let cluster = ClusterId(reader.u64("cluster id")?);
    let node = node_id(&mut reader)?;
    let boot = BootCounter(reader.u64("boot counter")?);
    let process = reader.u64("process")?;
    let (a, b) = (reader.u64("first number")?, reader.u64("second number")?);
    if code != 0 {
        return HandshakeRefusal::from_code(code, a, b).map(Err);
    }
    if !(VERSION_MIN..=VERSION_MAX).contains(&version) {
        return Err(WireError::Value { what: "chosen version", found: u64::from(version) });
    }
    let from = Caller { node, boot, process };
    Ok(Ok(Welcome { version, features: features & FEATURES, cluster, from }))
}

fn node_id(reader: &mut Reader<'_>) -> Result<NodeId, WireError> {
    NodeId::new(reader.u64("from")?).ok_or(WireError::Value { what: "from", found: 0 })
}

/// Ends a fixed layout with its checksum.
fn sealed<const N: usize>(mut out: Vec<u8>) -> [u8; N] {
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out.try_into().expect("the layout has a fixed size")
}

/// Checks magic and checksum of a fixed layout.
fn unsealed<'a, const N: usize>(
    bytes: &'a [u8; N],
    magic: [u8; 8],
    what: &'static str,
) -> Result<Reader<'a>, WireError> {
    let mut reader = Reader::new(bytes);
    let found = reader.take(what, 8)?;
    if found != magic {
        let mut number = [0; 8];
        number.copy_from_slice(found);
        return Err(WireError::Value { what, found: u64::from_be_bytes(number) });
    }
    let (content, crc) = bytes.split_at(N - 4);
    let mut crc = Reader::new(crc);
    let (stored, computed) = (crc.u32("checksum")?, crc32c::crc32c(content));
    if stored != computed {
        return Err(WireError::Checksum { what, stored, computed });
    }
    Ok(reader)
}

/// Why the answer of a node that accepted a connection is not what the dialer wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WelcomeError {
    /// Another node answered.
    #[error("node {there} answers at the address, and node {wanted} was wanted")]
    WrongNode {
        /// Who answered.
        there: NodeId,
        /// Who was wanted.
        wanted: NodeId,
    },
    /// A node of another cluster answered.
    #[error("the node there belongs to cluster {there}, and this one to cluster {here}")]
    WrongCluster {
        /// Its cluster.
        there: ClusterId,
        /// This node's cluster.
        here: ClusterId,
    },
    /// The node answered in an earlier boot than one that was met, or from a second process.
    #[error(
        "node {node} answers in boot {there}, and its boot {remembered} was met elsewhere; a data \
         directory was copied, or an old copy was brought back"
    )]
    Boot {
        /// The node.
        node: NodeId,
        /// The boot it answers in.
        there: BootCounter,
        /// The latest boot that was met.
        remembered: BootCounter,
    },
}

/// What a connection may carry, once it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Founding messages, from whoever it is.
    Founding,
    /// The protocol's messages and forwarded calls.
    Control,
    /// Snapshot chunks.
    Bulk,
}

/// An accepted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What it may carry.
    pub carries: Use,
    /// The answer that the dialer gets.
    pub welcome: Welcome,
    /// Whether connections from earlier boots of the dialer are to be closed.
    pub new_boot: bool,
}

/// What is remembered of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    boot: BootCounter,
    process: u64,
    /// Two processes were met in `boot`: none is accepted until a later boot.
    doubled: bool,
}

/// Whom this node knows, and so which connections it accepts.
#[derive(Clone, Debug)]
pub struct Acquaintances {
    /// This process.
    me: Caller,
    /// This node's cluster; zero until it is founded, then fixed.
    cluster: ClusterId,
    /// Latest boot met of each node.
    known: BTreeMap<NodeId, Known>,
    /// Nodes that were removed from the cluster.
    removed: BTreeSet<NodeId>,
}

impl Acquaintances {
    /// A process that has met nobody.
    #[must_use]
    pub const fn new(me: Caller, cluster: ClusterId) -> Self {
        Self { me, cluster, known: BTreeMap::new(), removed: BTreeSet::new() }
    }

    /// This process.
    #[must_use]
    pub const fn me(&self) -> Caller {
        self.me
    }

    /// This node's cluster; zero until it is founded.
    #[must_use]
    pub const fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Notes the cluster that this node has become part of.
    ///
    /// # Panics
    ///
    /// When the node belongs to another cluster already: it never changes.
    pub fn join(&mut self, cluster: ClusterId) {
        assert!(
            self.cluster == ClusterId::ZERO || self.cluster == cluster,
            "a node never changes from cluster {} to {cluster}",
            self.cluster
        );
        self.cluster = cluster;
    }

    /// Notes that a node is no member any more, or is one.
    pub fn set_removed(&mut self, removed: impl IntoIterator<Item = NodeId>) {
        self.removed = removed.into_iter().collect();
    }

    /// Latest boot that was met of a node.
    #[must_use]
    pub fn boot_of(&self, node: NodeId) -> Option<BootCounter> {
        self.known.get(&node).map(|known| known.boot)
    }

    /// Decides on a connection that another node opened.
    ///
    /// # Errors
    ///
    /// When it is refused; the dialer is told the reason.
    pub fn judge(&mut self, hello: &Hello) -> Result<Accepted, HandshakeRefusal> {
        let version = hello.versions.1.min(VERSION_MAX);
        if version < hello.versions.0.max(VERSION_MIN) {
            return Err(HandshakeRefusal::Version { min: VERSION_MIN, max: VERSION_MAX });
        }
        let (here, dialer) = (self.cluster, hello.cluster);
        let none = ClusterId::ZERO;
        if here != none && dialer != none && here != dialer && !mutant!(AnyCluster) {
            return Err(HandshakeRefusal::WrongCluster { there: here, dialer });
        }
        if hello.from.node == self.me.node {
            return Err(self.twin(hello.from));
        }
        let features = hello.features & FEATURES;
        let welcome = Welcome { version, features, cluster: here, from: self.me };
        let carries = match (hello.to, hello.channel) {
            (None, 1) => {
                return Ok(Accepted { carries: Use::Founding, welcome, new_boot: false });
            }
            (Some(wanted), _) if wanted != self.me.node => {
                return Err(HandshakeRefusal::WrongNode { there: self.me.node, wanted });
            }
            (Some(_), 1) => Use::Control,
            (Some(_), 2) => Use::Bulk,
            (_, channel) => return Err(HandshakeRefusal::UnknownChannel { channel }),
        };
        if here == none {
            return Err(HandshakeRefusal::NotFounded { there: self.me.node });
        }
        // A dialer without a cluster has nothing to say to a member beyond founding.
        if dialer == none {
            return Err(HandshakeRefusal::WrongCluster { there: here, dialer });
        }
        if self.removed.contains(&hello.from.node) {
            let (node, cluster) = (hello.from.node, here);
            return Err(HandshakeRefusal::Removed { node, cluster });
        }
        let new_boot = self.meet(hello.from)?;
        Ok(Accepted { carries, welcome, new_boot })
    }

    /// Decides on the answer to a connection that this node opened to `wanted`.
    ///
    /// # Errors
    ///
    /// When another node, cluster or boot is at the other end than the one that was meant.
    pub fn check_welcome(
        &mut self,
        wanted: NodeId,
        welcome: &Welcome,
    ) -> Result<bool, WelcomeError> {
        let there = welcome.from.node;
        if there != wanted && !mutant!(AnyNodeAtAddress) {
            return Err(WelcomeError::WrongNode { there, wanted });
        }
        if welcome.cluster != self.cluster && !mutant!(AnyCluster) {
            let (there, here) = (welcome.cluster, self.cluster);
            return Err(WelcomeError::WrongCluster { there, here });
        }
        self.meet(welcome.from).map_err(|_| {
            let remembered = self.boot_of(there).unwrap_or_default();
            WelcomeError::Boot { node: there, there: welcome.from.boot, remembered }
        })
    }

    /// What to answer to a process that claims to be this node.
    fn twin(&self, other: Caller) -> HandshakeRefusal {
        if other.process == self.me.process && other.boot == self.me.boot {
            return HandshakeRefusal::Itself;
        }
        if other.boot < self.me.boot {
            let (remembered, dialer) = (self.me.boot, other.boot);
            return HandshakeRefusal::OldBoot { remembered, dialer };
        }
        HandshakeRefusal::SameNode { node: self.me.node, boot: self.me.boot }
    }

    /// Remembers a process that was met; says whether it is a later boot than any before.
    fn meet(&mut self, other: Caller) -> Result<bool, HandshakeRefusal> {
        let Some(known) = self.known.get_mut(&other.node) else {
            if self.known.len() >= MAX_REMEMBERED {
                return Err(HandshakeRefusal::Busy);
            }
            let known = Known { boot: other.boot, process: other.process, doubled: false };
            self.known.insert(other.node, known);
            return Ok(false);
        };
        if other.boot < known.boot && !mutant!(AnyBoot) {
            let (remembered, dialer) = (known.boot, other.boot);
            return Err(HandshakeRefusal::OldBoot { remembered, dialer });
        }
        if other.boot > known.boot {
            *known = Known { boot: other.boot, process: other.process, doubled: false };
            return Ok(true);
        }
        known.doubled |= other.process != known.process;
        if known.doubled {
            return Err(HandshakeRefusal::SameNode { node: other.node, boot: other.boot });
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests;
