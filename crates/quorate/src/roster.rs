//! Who belongs to a cluster, with what people and sockets need: names, addresses, client URLs.
//!
//! The protocol reasons about node ids alone ([`Membership`]); a roster is what a membership entry
//! carries, and what a founding record and a snapshot's metadata hold.
//!
//! - A member is known by its [`NodeId`]; its name and addresses are data and may change.
//! - Two members may share an address: a replaced node and its successor do while both are listed.
//! - A roster has at least one voter, holds no id twice, and has exactly one encoding: members in
//!   ascending order of id, each once with the parts it plays.
//! - Decoding allocates nothing by a length it has not checked; see `docs/wire-format.md`.

#[cfg(feature = "runtime")]
mod majority;

use std::collections::BTreeMap;

use quorate_core::{ClusterId, Membership, NodeId};

use crate::wire::{Reader, WireError, put_count, put_text, within};

#[cfg(feature = "runtime")]
pub(crate) use self::majority::missing_majority;

/// Version byte of an encoded roster.
const ROSTER_VERSION: u8 = 1;
/// Version byte of an encoded founding record.
const RECORD_VERSION: u8 = 1;
/// First bytes of an encoded founding record.
const RECORD_MAGIC: [u8; 8] = *b"qrtfound";

/// Members that one roster may hold.
pub const MAX_MEMBERS: usize = 128;
/// Bytes of a member's name.
pub const MAX_NAME_BYTES: usize = 256;
/// Bytes of a member's peer address.
pub const MAX_ADDRESS_BYTES: usize = 512;
/// Client URLs of one member.
pub const MAX_CLIENT_URLS: usize = 16;
/// Bytes of one client URL.
pub const MAX_URL_BYTES: usize = 1024;
/// Bytes of an encoded roster.
pub const MAX_ROSTER_BYTES: usize = 256 * 1024;
/// Bytes that a founding record adds to its roster.
const RECORD_FRAME_BYTES: usize = RECORD_MAGIC.len() + 1 + 8 + 4;
/// Bytes of an encoded founding record.
pub const MAX_RECORD_BYTES: usize = MAX_ROSTER_BYTES + RECORD_FRAME_BYTES;

/// One node as others know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Identity of the data directory; what everything else hangs on.
    pub id: NodeId,
    /// What people call it.
    pub name: String,
    /// Where its peers reach it, as `host:port`.
    pub peer_address: String,
    /// Where clients reach it; empty when it serves none.
    pub client_urls: Vec<String>,
}

/// Which parts a member plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts {
    voter: bool,
    outgoing: bool,
    learner: bool,
}

impl Parts {
    const fn bits(self) -> u8 {
        self.voter as u8 | (self.outgoing as u8) << 1 | (self.learner as u8) << 2
    }

    /// Reads the parts; a learner is never a voter, and everyone plays some part.
    fn from_bits(bits: u8) -> Option<Self> {
        let parts = Self { voter: bits & 1 != 0, outgoing: bits & 2 != 0, learner: bits & 4 != 0 };
        matches!(bits, 1..=4).then_some(parts)
    }
}

/// Voters of each half and learners, with their names and addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    members: BTreeMap<NodeId, (Member, Parts)>,
}

/// Why a roster or a founding record could not be made or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RosterError {
    /// The bytes are not what a roster or record looks like, or a limit is exceeded.
    #[error("the cluster's list of members cannot be used: {0}")]
    Wire(#[from] WireError),
    /// Nobody votes, so that nothing could ever be decided.
    #[error("a list of members needs at least one voter; this one has none")]
    NoVoter,
    /// The same node is listed twice with different data or as voter and learner.
    #[error("node {0} is listed twice, with different data or both as voter and as learner")]
    Conflict(NodeId),
    /// The first bytes are not those of a founding record.
    #[error("these bytes are no founding record; its first eight bytes are missing")]
    NotARecord,
    /// A founding record names cluster zero, which no cluster has.
    #[error("a founding record names no cluster; its cluster id is zero")]
    NoCluster,
}

impl Roster {
    /// A roster of voters alone, as a cluster begins.
    ///
    /// # Errors
    ///
    /// As [`Roster::new`].
    pub fn of_voters(voters: impl IntoIterator<Item = Member>) -> Result<Self, RosterError> {
        Self::new(voters, [], [])
    }

    /// Makes a roster. A member may be given in both halves, with the same data.
    ///
    /// # Errors
    ///
    /// When nobody votes, a node is listed twice with different data or as voter and learner, or a
    /// limit is exceeded.
    pub fn new(
        voters: impl IntoIterator<Item = Member>,
        outgoing: impl IntoIterator<Item = Member>,
        learners: impl IntoIterator<Item = Member>,
    ) -> Result<Self, RosterError> {
        let mut roster = Self { members: BTreeMap::new() };
        for (part, members) in [
            (1, voters.into_iter().collect::<Vec<_>>()),
            (2, outgoing.into_iter().collect()),
            (4, learners.into_iter().collect()),
        ] {
            for member in members {
                roster.add(member, part)?;
            }
        }
        roster.checked()
    }

    fn add(&mut self, member: Member, part: u8) -> Result<(), RosterError> {
        let id = member.id;
        let before = match self.members.get(&id) {
            Some((known, _)) if *known != member => return Err(RosterError::Conflict(id)),
            Some((_, parts)) => parts.bits(),
            None => 0,
        };
        // The same part twice is a conflict as well: the caller has lost count of its nodes.
        if before & part != 0 {
            return Err(RosterError::Conflict(id));
        }
        let parts = Parts::from_bits(before | part).ok_or(RosterError::Conflict(id))?;
        self.members.insert(id, (member, parts));
        Ok(())
    }

    fn checked(self) -> Result<Self, RosterError> {
        within("members", self.members.len(), MAX_MEMBERS)?;
        if !self.members.values().any(|(_, parts)| parts.voter) {
            return Err(RosterError::NoVoter);
        }
        let mut bytes = Vec::new();
        self.write(&mut bytes)?;
        within("roster", bytes.len(), MAX_ROSTER_BYTES)?;
        Ok(self)
    }

    /// What the protocol sees of it.
    #[must_use]
    pub fn membership(&self) -> Membership {
        let ids = |pick: fn(&Parts) -> bool| {
            self.members.values().filter(move |(_, parts)| pick(parts)).map(|(member, _)| member.id)
        };
        Membership::new(ids(|p| p.voter), ids(|p| p.outgoing), ids(|p| p.learner))
    }

    /// Every member once, in ascending order of id.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values().map(|(member, _)| member)
    }

    /// Voters of the incoming half, in ascending order of id.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|(_, parts)| parts.voter).map(|(member, _)| member)
    }

    /// Voters of the outgoing half, in ascending order of id; none while not joint.
    pub fn outgoing(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|(_, parts)| parts.outgoing).map(|(member, _)| member)
    }

    /// Learners, in ascending order of id.
    pub fn learners(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|(_, parts)| parts.learner).map(|(member, _)| member)
    }

    /// The member with this id.
    #[must_use]
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.members.get(&id).map(|(member, _)| member)
    }

    /// Appends the encoded roster.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.write(out).expect("a roster is held within its limits when it is made");
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        out.push(ROSTER_VERSION);
        put_count(out, "members", self.members.len(), MAX_MEMBERS)?;
        for (member, parts) in self.members.values() {
            out.push(parts.bits());
            put_member(out, member)?;
        }
        Ok(())
    }

    /// Reads a roster from exactly these bytes.
    ///
    /// # Errors
    ///
    /// When they are not the encoding of a roster, or exceed a limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, RosterError> {
        within("roster", bytes.len(), MAX_ROSTER_BYTES)?;
        let mut reader = Reader::new(bytes);
        let found = reader.u8("roster version")?;
        if found != ROSTER_VERSION {
            let known = ROSTER_VERSION;
            return Err(WireError::Version { what: "roster", found, known }.into());
        }
        let count = reader.count("members", MAX_MEMBERS)?;
        let mut members = BTreeMap::new();
        for _ in 0..count {
            let bits = reader.u8("parts")?;
            let parts = Parts::from_bits(bits)
                .ok_or_else(|| WireError::Value { what: "parts", found: u64::from(bits) })?;
            let member = take_member(&mut reader)?;
            let id = member.id;
            if members.last_key_value().is_some_and(|(&last, _)| last >= id) {
                return Err(WireError::Value { what: "order of members", found: id.get() }.into());
            }
            members.insert(id, (member, parts));
        }
        reader.finish("roster")?;
        Self { members }.checked()
    }
}

/// Appends one member, without the parts it plays.
pub(crate) fn put_member(out: &mut Vec<u8>, member: &Member) -> Result<(), WireError> {
    out.extend_from_slice(&member.id.get().to_le_bytes());
    put_text(out, "name", &member.name, MAX_NAME_BYTES)?;
    put_text(out, "peer address", &member.peer_address, MAX_ADDRESS_BYTES)?;
    put_count(out, "client URLs", member.client_urls.len(), MAX_CLIENT_URLS)?;
    for url in &member.client_urls {
        put_text(out, "client URL", url, MAX_URL_BYTES)?;
    }
    Ok(())
}

/// Reads one member, without the parts it plays.
pub(crate) fn take_member(reader: &mut Reader<'_>) -> Result<Member, WireError> {
    let id = NodeId::new(reader.u64("node id")?)
        .ok_or(WireError::Value { what: "node id", found: 0 })?;
    let name = reader.text("name", MAX_NAME_BYTES)?;
    let peer_address = reader.text("peer address", MAX_ADDRESS_BYTES)?;
    let count = reader.count("client URLs", MAX_CLIENT_URLS)?;
    let mut client_urls = Vec::new();
    for _ in 0..count {
        client_urls.push(reader.text("client URL", MAX_URL_BYTES)?);
    }
    Ok(Member { id, name, peer_address, client_urls })
}

/// How a cluster began: its random id and its first voters. A data directory accepts at most one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundingRecord {
    /// Drawn at random by the founding node; never zero.
    pub cluster: ClusterId,
    /// The members that the cluster began with.
    pub roster: Roster,
}

impl FoundingRecord {
    /// Encodes the record with its own checksum, fit for a file as for a frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(&RECORD_MAGIC);
        out.push(RECORD_VERSION);
        out.extend_from_slice(&self.cluster.get().to_le_bytes());
        self.roster.encode(&mut out);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a record from exactly these bytes.
    ///
    /// # Errors
    ///
    /// When they are not the encoding of a founding record, are damaged, or exceed a limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, RosterError> {
        within("founding record", bytes.len(), MAX_RECORD_BYTES)?;
        let mut reader = Reader::new(bytes);
        if reader.take("founding record", RECORD_MAGIC.len())? != RECORD_MAGIC {
            return Err(RosterError::NotARecord);
        }
        let found = reader.u8("founding record version")?;
        if found != RECORD_VERSION {
            let known = RECORD_VERSION;
            return Err(WireError::Version { what: "founding record", found, known }.into());
        }
        let cluster = ClusterId(reader.u64("cluster id")?);
        let rest = reader.rest();
        let Some((roster, crc)) = rest.split_last_chunk::<4>() else {
            let need = 4 - rest.len();
            let what = "founding record checksum";
            return Err(WireError::Short { what, have: bytes.len(), need }.into());
        };
        let stored = u32::from_le_bytes(*crc);
        let computed = crc32c::crc32c(&bytes[..bytes.len() - 4]);
        if stored != computed {
            let what = "founding record";
            return Err(WireError::Checksum { what, stored, computed }.into());
        }
        if cluster == ClusterId::ZERO {
            return Err(RosterError::NoCluster);
        }
        Ok(Self { cluster, roster: Roster::decode(roster)? })
    }
}

#[cfg(test)]
mod tests;
