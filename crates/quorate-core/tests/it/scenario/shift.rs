//! Moves everything that counts entries or terms down by an origin, so that a transcript reads the
//! same wherever its log begins.

use std::sync::Arc;

use quorate_core::{
    Append, AppendReply, Effect, EntryId, Envelope, HaltReason, HardState, Index, Message, Persist,
    ReadIndexReply, ReceivingStatus, RequestVote, Run, Send, SnapshotChunk, SnapshotId,
    SnapshotReply, Status, Term, VoteReply,
};

/// Where a log begins that is told as if it began at the first entry.
#[derive(Clone, Copy, Debug)]
pub struct Origin(pub EntryId);

impl Origin {
    pub fn index(self, index: Index) -> Index {
        Index(index.get().saturating_sub(self.0.index.get()))
    }

    pub fn term(self, term: Term) -> Term {
        Term(term.get().saturating_sub(self.0.term.get()))
    }

    pub fn id(self, id: EntryId) -> EntryId {
        EntryId::new(self.index(id.index), self.term(id.term))
    }

    pub fn snapshot(self, id: SnapshotId) -> SnapshotId {
        SnapshotId { last: self.id(id.last), ..id }
    }

    fn hard_state(self, state: HardState) -> HardState {
        HardState { term: self.term(state.term), vote: state.vote }
    }

    fn run(self, run: &Run) -> Run {
        Run {
            first: self.index(run.first),
            term: self.term(run.term),
            membership: run.membership.as_ref().map(Arc::clone),
            ..run.clone()
        }
    }

    pub fn envelope(self, envelope: &Envelope) -> Envelope {
        Envelope {
            term: self.term(envelope.term),
            message: self.message(&envelope.message),
            ..envelope.clone()
        }
    }

    fn message(self, message: &Message) -> Message {
        match message {
            Message::RequestVote(vote) => Message::RequestVote(RequestVote {
                campaign: self.term(vote.campaign),
                last: self.id(vote.last),
                ..*vote
            }),
            Message::VoteReply(vote) => {
                Message::VoteReply(VoteReply { campaign: self.term(vote.campaign), ..*vote })
            }
            Message::Append(append) => Message::Append(Append {
                prev: self.id(append.prev),
                commit: self.index(append.commit),
                recorded: self.index(append.recorded),
                runs: append.runs.iter().map(|run| self.run(run)).collect(),
                ..*append
            }),
            Message::AppendReply(AppendReply::Accepted { matched }) => {
                Message::AppendReply(AppendReply::Accepted { matched: self.index(*matched) })
            }
            Message::AppendReply(AppendReply::Rejected { prev, hint }) => {
                let (prev, hint) = (self.index(*prev), self.id(*hint));
                Message::AppendReply(AppendReply::Rejected { prev, hint })
            }
            Message::ReadIndex => Message::ReadIndex,
            Message::ReadIndexReply(reply) => Message::ReadIndexReply(ReadIndexReply {
                index: reply.index.map(|index| self.index(index)),
            }),
            Message::OfferSnapshot(id) => Message::OfferSnapshot(self.snapshot(*id)),
            Message::SnapshotChunk(chunk) => {
                Message::SnapshotChunk(SnapshotChunk { id: self.snapshot(chunk.id), ..*chunk })
            }
            Message::SnapshotReply(reply) => {
                Message::SnapshotReply(SnapshotReply { id: self.snapshot(reply.id), ..*reply })
            }
        }
    }

    pub fn send(self, send: &Send) -> Send {
        Send { envelope: Box::new(self.envelope(&send.envelope)), after: send.after }
    }

    pub fn effect(self, effect: &Effect) -> Effect {
        match effect {
            Effect::Persist(persist) => Effect::Persist(Persist {
                hard_state: persist.hard_state.map(|state| self.hard_state(state)),
                truncate_from: persist.truncate_from.map(|from| self.index(from)),
                append: persist.append.map(|(a, b)| (self.index(a), self.index(b))),
                commit: self.index(persist.commit),
                ..*persist
            }),
            Effect::Send(send) => Effect::Send(self.send(send)),
            Effect::Truncated { from } => Effect::Truncated { from: self.index(*from) },
            Effect::Opened(id) => Effect::Opened(self.id(*id)),
            Effect::Apply { first, last } => {
                Effect::Apply { first: self.index(*first), last: self.index(*last) }
            }
            Effect::ReadReady { id, index } => {
                Effect::ReadReady { id: *id, index: self.index(*index) }
            }
            Effect::Leadership { role, term, leader } => {
                Effect::Leadership { role: *role, term: self.term(*term), leader: *leader }
            }
            Effect::Halt(HaltReason::TwoLeaders { term, known, other }) => {
                let (term, known, other) = (self.term(*term), *known, *other);
                Effect::Halt(HaltReason::TwoLeaders { term, known, other })
            }
            Effect::Halt(HaltReason::LostDurability { recorded, last }) => {
                let (recorded, last) = (self.index(*recorded), self.id(*last));
                Effect::Halt(HaltReason::LostDurability { recorded, last })
            }
            Effect::ReceiveSnapshot(id) => Effect::ReceiveSnapshot(self.snapshot(*id)),
            Effect::StoreChunk { id, offset, bytes } => {
                Effect::StoreChunk { id: self.snapshot(*id), offset: *offset, bytes: *bytes }
            }
            Effect::InstallSnapshot(id) => Effect::InstallSnapshot(self.snapshot(*id)),
            Effect::ReadFailed(_) | Effect::ProposalRefused(_) | Effect::Dropped(_) => {
                effect.clone()
            }
        }
    }

    pub fn status(self, status: &Status) -> Status {
        let mut peers = status.peers.clone();
        for peer in &mut peers {
            (peer.matched, peer.next) = (self.index(peer.matched), self.index(peer.next));
            if let Some(transfer) = &mut peer.transfer {
                transfer.id = self.snapshot(transfer.id);
            }
        }
        let receiving = status
            .receiving
            .map(|receiving| ReceivingStatus { id: self.snapshot(receiving.id), ..receiving });
        Status {
            hard_state: self.hard_state(status.hard_state),
            base: self.id(status.base),
            last: self.id(status.last),
            persisted: self.index(status.persisted),
            commit: self.index(status.commit),
            applying: self.index(status.applying),
            applied: self.index(status.applied),
            snapshot: status.snapshot.map(|id| self.snapshot(id)),
            receiving,
            peers,
            ..*status
        }
    }
}
