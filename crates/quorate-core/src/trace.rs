//! One line for everything that happens: what traces, golden transcripts and people read.
//!
//! The notation is stable and compact, and its words are the glossary's: `n1` is a node, `t3` a
//! term, `12@3` the entry with index 12 of term 3, `p4` a write, `#2.7` request 7 of its sender's
//! boot 2. What has its ordinary value is left out: a status without `persisted` means that the
//! whole log is durable, a log without `base` begins at `0@0`.
//!
//! - Nothing here decides anything: the core never reads what it prints.
//! - Equal values print equally, on every machine: no clock, no address, no order of hashing.

use core::fmt::{Display, Formatter, Result};

use crate::effect::{DropReason, Effect, HaltReason, Persist, Send};
use crate::entry::{EntryKind, Run};
use crate::hard_state::HardState;
use crate::id::{EntryId, NodeId, RequestId};
use crate::input::Input;
use crate::membership::Membership;
use crate::message::{
    Append, AppendReply, Envelope, Message, ReadIndexReply, RequestVote, VoteReply,
};
use crate::status::{PeerStatus, ReceivingStatus, RoleName, Status, TransferStatus};

/// A request's number as `#boot.number`.
struct Number(RequestId);

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "#{}.{}", self.0.boot().get(), self.0.within_boot())
    }
}

/// Node ids with commas between.
struct Nodes<'a>(&'a [NodeId]);

impl Display for Nodes<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (at, id) in self.0.iter().enumerate() {
            write!(f, "{}{id}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl Display for RoleName {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.as_str())
    }
}

impl Display for HardState {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.term)?;
        self.vote.map_or(Ok(()), |vote| write!(f, " vote={vote}"))
    }
}

impl Display for Membership {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "voters={}", Nodes(self.voters()))?;
        if !self.outgoing().is_empty() {
            write!(f, " outgoing={}", Nodes(self.outgoing()))?;
        }
        if !self.learners().is_empty() {
            write!(f, " learners={}", Nodes(self.learners()))?;
        }
        Ok(())
    }
}

/// `6..8@3`, with the kind where it is not a command.
impl Display for Run {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.count > 1 {
            write!(f, "{}..", self.first)?;
        }
        write!(f, "{}", self.last_id())?;
        match (self.kind, &self.membership) {
            (EntryKind::Command, None) => Ok(()),
            (EntryKind::Opening, None) => write!(f, "(opening)"),
            (EntryKind::Session, None) => write!(f, "(session)"),
            (_, Some(membership)) => write!(f, "({membership})"),
            (EntryKind::Membership, None) => write!(f, "(no membership)"),
        }
    }
}

impl Display for Status {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} {} {}", self.id, self.role, self.hard_state.term)?;
        if let Some(leader) = self.leader.filter(|leader| *leader != self.id) {
            write!(f, " leader={leader}")?;
        }
        if self.base != EntryId::ZERO {
            write!(f, " base={}", self.base)?;
        }
        write!(f, " last={}", self.last)?;
        if self.persisted != self.last.index {
            write!(f, " persisted={}", self.persisted)?;
        }
        write!(f, " commit={}", self.commit)?;
        if self.applying != self.applied {
            write!(f, " applying={}", self.applying)?;
        }
        write!(f, " applied={}", self.applied)?;
        if let Some(snapshot) = self.snapshot.filter(|snapshot| snapshot.last != self.base) {
            write!(f, " snapshot={}", snapshot.last)?;
        }
        match self.receiving {
            Some(receiving) if receiving.installing => write!(f, " installing={}", receiving.id),
            Some(ReceivingStatus { id, stored, .. }) => {
                write!(f, " receiving={id} stored={stored}")
            }
            None => Ok(()),
        }
    }
}

impl Display for PeerStatus {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mode = match self.transfer {
            Some(_) => "snapshot",
            None if self.replicating => "replicate",
            None => "probe",
        };
        write!(f, "{} {mode} match={} next={}", self.id, self.matched, self.next)?;
        if let Some(TransferStatus { id, sent, acked }) = self.transfer {
            write!(f, " {id} sent={sent} acked={acked}")?;
        }
        if self.inflight > 0 {
            write!(f, " inflight={}", self.inflight)?;
        }
        Ok(())
    }
}

impl Display for Envelope {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { from, boot: _, to, term, request, message } = self;
        write!(f, "{from}->{to} {} {term} {message}", Number(*request))
    }
}

impl Display for Message {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::RequestVote(message) => message.fmt(f),
            Self::VoteReply(message) => message.fmt(f),
            Self::Append(message) => message.fmt(f),
            Self::AppendReply(message) => message.fmt(f),
            Self::ReadIndex => f.write_str("ReadIndex"),
            Self::ReadIndexReply(message) => message.fmt(f),
            Self::OfferSnapshot(id) => write!(f, "OfferSnapshot {id}"),
            Self::SnapshotChunk(chunk) => {
                write!(f, "SnapshotChunk {} at={} +{}", chunk.id, chunk.offset, chunk.bytes)
            }
            Self::SnapshotReply(reply) => {
                write!(f, "SnapshotReply {} received={}", reply.id, reply.received)
            }
        }
    }
}

impl Display for RequestVote {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let name = if self.pre_vote { "PreVote" } else { "RequestVote" };
        write!(f, "{name} for={} last={}", self.campaign, self.last)
    }
}

impl Display for VoteReply {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let name = if self.pre_vote { "PreVoteReply" } else { "VoteReply" };
        let outcome = if self.granted { "granted" } else { "refused" };
        write!(f, "{name} for={} {outcome}", self.campaign)
    }
}

impl Display for Append {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "Append prev={}", self.prev)?;
        for run in &self.runs {
            write!(f, " +{run}")?;
        }
        write!(f, " commit={}", self.commit)?;
        if self.recorded.get() > 0 {
            write!(f, " recorded={}", self.recorded)?;
        }
        f.write_str(if self.wants_reply { "" } else { " notice" })
    }
}

impl Display for AppendReply {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Accepted { matched } => write!(f, "AppendReply accepted match={matched}"),
            Self::Rejected { prev, hint } => {
                write!(f, "AppendReply rejected prev={prev} hint={hint}")
            }
        }
    }
}

impl Display for ReadIndexReply {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.index {
            Some(index) => write!(f, "ReadIndexReply {index}"),
            None => f.write_str("ReadIndexReply none"),
        }
    }
}

impl Display for Input {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Message(envelope) => write!(f, "message {envelope}"),
            Self::Propose { bytes } => write!(f, "propose {bytes} bytes"),
            Self::Read(id) => write!(f, "{id}"),
            Self::Persisted(token) => write!(f, "persisted {token}"),
            Self::Applied(index) => write!(f, "applied {index}"),
            Self::PeerConnected { peer, boot } => write!(f, "connected {peer} {boot}"),
            Self::PeerClosed(peer) => write!(f, "closed {peer}"),
            Self::SendDropped { to, request } => {
                write!(f, "send to {to} dropped {}", Number(*request))
            }
            Self::SnapshotTaken(id) => write!(f, "snapshot {id} taken"),
            Self::Compacted(base) => write!(f, "compacted {base}"),
            Self::ChunkStored { id, received } => write!(f, "stored {received} of {id}"),
            Self::SnapshotInstalled { id, membership } => {
                write!(f, "snapshot {id} installed ({membership})")
            }
            Self::SnapshotFailed(id) => write!(f, "snapshot {id} failed"),
            Self::SnapshotUnreadable(id) => write!(f, "snapshot {id} cannot be read"),
            Self::Timer => f.write_str("timer"),
            Self::Flush => f.write_str("flush"),
        }
    }
}

impl Display for Effect {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Persist(persist) => persist.fmt(f),
            Self::Send(send) => send.fmt(f),
            Self::Truncated { from } => write!(f, "truncated from {from}"),
            Self::Opened(id) => write!(f, "opened {id}"),
            Self::Apply { first, last } if first == last => write!(f, "apply {first}"),
            Self::Apply { first, last } => write!(f, "apply {first}..{last}"),
            Self::ReadReady { id, index } => write!(f, "{id} ready at {index}"),
            Self::ReadFailed(id) => write!(f, "{id} failed"),
            Self::Leadership { role: RoleName::Leader, term, leader: _ } => {
                write!(f, "leader of {term}")
            }
            Self::Leadership { role, term, leader } => {
                write!(f, "{role} {term}")?;
                leader.map_or(Ok(()), |leader| write!(f, " leader={leader}"))
            }
            Self::ReceiveSnapshot(id) => write!(f, "receive snapshot {id}"),
            Self::StoreChunk { id, offset, bytes } => {
                write!(f, "store chunk of {id} at={offset} +{bytes}")
            }
            Self::InstallSnapshot(id) => write!(f, "install snapshot {id}"),
            Self::ProposalRefused(error) => write!(f, "proposal refused: {error}"),
            Self::Dropped(reason) => write!(f, "dropped: {reason}"),
            Self::Halt(reason) => write!(f, "halt: {reason}"),
        }
    }
}

impl Display for Persist {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "persist {}", self.token)?;
        if let Some(hard_state) = self.hard_state {
            write!(f, " {hard_state}")?;
        }
        if let Some(from) = self.truncate_from {
            write!(f, " truncate={from}")?;
        }
        match self.append {
            Some((first, last)) if first == last => write!(f, " append={first}"),
            Some((first, last)) => write!(f, " append={first}..{last}"),
            None => Ok(()),
        }
    }
}

impl Display for Send {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.envelope)?;
        self.after.map_or(Ok(()), |token| write!(f, " (after {token})"))
    }
}

impl Display for DropReason {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Misdirected => "misdirected",
            Self::OldBoot => "of an old boot",
            Self::OldTerm => "of an old term",
            Self::LeaderAlive => "the leader is alive",
            Self::StaleReply => "stale reply",
            Self::Absurd => "absurd",
            Self::StaleChunk => "stale chunk",
            Self::TermOverflow => "term too high",
            Self::UnknownToken => "never given out",
        })
    }
}

impl Display for HaltReason {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::TwoLeaders { term, known, other } => {
                write!(f, "both {known} and {other} lead {term}")
            }
            Self::LostDurability { recorded, last } => {
                write!(
                    f,
                    "the leader recorded {recorded} as durable here, but the log ends at {last}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::id::{BootCounter, Index, PersistToken, Term};

    fn node(id: u64) -> NodeId {
        NodeId::new(id).unwrap()
    }

    #[test]
    fn an_append_prints_every_run_it_carries() {
        let membership = Membership::new([node(1), node(2)], [node(1)], [node(3)]);
        let append = Append {
            prev: EntryId::new(Index(5), Term(2)),
            commit: Index(4),
            recorded: Index(3),
            recorded_boot: BootCounter(1),
            wants_reply: true,
            runs: vec![
                Run::new(Index(6), 3, Term(2), EntryKind::Command, 300),
                Run::new(Index(9), 1, Term(3), EntryKind::Opening, 48),
                Run::membership(Index(10), Term(3), 64, Arc::new(membership)),
            ]
            .into(),
        };
        let envelope = Envelope {
            from: node(1),
            boot: BootCounter(2),
            to: node(2),
            term: Term(3),
            request: RequestId::before_first(BootCounter(2)).plus(7),
            message: Message::Append(append),
        };
        assert_eq!(
            Send { envelope: Box::new(envelope), after: Some(PersistToken(4)) }.to_string(),
            "n1->n2 #2.7 t3 Append prev=5@2 +6..8@2 +9@3(opening) \
             +10@3(voters=n1,n2 outgoing=n1 learners=n3) commit=4 recorded=3 (after p4)"
        );
    }

    #[test]
    fn a_status_leaves_out_what_is_ordinary() {
        let mut status = Status {
            id: node(1),
            role: RoleName::Leader,
            hard_state: HardState { term: Term(3), vote: Some(node(1)) },
            leader: Some(node(1)),
            base: EntryId::ZERO,
            last: EntryId::new(Index(12), Term(3)),
            persisted: Index(12),
            commit: Index(11),
            applying: Index(11),
            applied: Index(11),
            snapshot: None,
            receiving: None,
            peers: Vec::new(),
        };
        assert_eq!(status.to_string(), "n1 leader t3 last=12@3 commit=11 applied=11");
        status.role = RoleName::Follower;
        status.leader = Some(node(2));
        status.base = EntryId::new(Index(5), Term(2));
        status.persisted = Index(9);
        status.applied = Index(8);
        assert_eq!(
            status.to_string(),
            "n1 follower t3 leader=n2 base=5@2 last=12@3 persisted=9 commit=11 applying=11 applied=8"
        );
    }
}
