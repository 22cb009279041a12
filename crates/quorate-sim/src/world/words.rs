//! What a frame says, in a few words for people.

use quorate::replica::{ForwardOutcome, Frame};
use quorate::sessions::Stamp;
use quorate_core::{Append, AppendReply, Envelope, Message};

use super::trace::FrameWords;

/// Kind, term and content of a frame.
pub(crate) fn words(frame: &Frame) -> FrameWords {
    match frame {
        Frame::Raft(letter) => of_protocol(&letter.envelope),
        Frame::Chunk(chunk) => of_protocol(&chunk.envelope),
        Frame::Forward(forward) => {
            let of = match forward.stamp {
                Stamp::None => String::new(),
                Stamp::Command { session, sequence, .. } => {
                    format!(", number {sequence} of session {session}")
                }
                Stamp::Session { session, request } => format!(", {request:?} {session}"),
            };
            let (number, bytes) = (forward.number.0, forward.command.len());
            let says = format!("call {number} of {bytes} bytes{of}");
            FrameWords { kind: "forward", term: None, says }
        }
        Frame::ForwardReply(reply) => {
            let how = match &reply.outcome {
                ForwardOutcome::Applied(_) => "applied".to_owned(),
                ForwardOutcome::Refused(code) => format!("refused: {code:?}"),
                ForwardOutcome::Unknown => "unknown".to_owned(),
                ForwardOutcome::Faulted(fault) => format!("not executed: {fault:?}"),
            };
            let says = format!("call {} {how}", reply.number.0);
            FrameWords { kind: "forward-reply", term: None, says }
        }
    }
}

fn of_protocol(envelope: &Envelope) -> FrameWords {
    let (kind, says) = message(envelope);
    FrameWords { kind, term: Some(envelope.term.0), says }
}

fn message(envelope: &Envelope) -> (&'static str, String) {
    match &envelope.message {
        Message::RequestVote(vote) => {
            let kind = if vote.pre_vote { "pre-vote" } else { "vote" };
            (kind, format!("for t{} with last {}", vote.campaign.0, vote.last))
        }
        Message::VoteReply(vote) => {
            let kind = if vote.pre_vote { "pre-vote-reply" } else { "vote-reply" };
            let how = if vote.granted { "granted" } else { "refused" };
            (kind, format!("{how} for t{}", vote.campaign.0))
        }
        Message::Append(append) if append.runs.is_empty() => {
            let kind = if append.wants_reply { "heartbeat" } else { "notice" };
            (kind, format!("after {} commit={}", append.prev, append.commit.0))
        }
        Message::Append(append) => ("append", entries(append)),
        Message::AppendReply(AppendReply::Accepted { matched }) => {
            ("append-reply", format!("matches up to {}", matched.0))
        }
        Message::AppendReply(AppendReply::Rejected { prev, hint }) => {
            ("append-reply", format!("refused at {}, hint {hint}", prev.0))
        }
        Message::ReadIndex => ("read-index", String::new()),
        Message::ReadIndexReply(reply) => {
            let says = reply
                .index
                .map_or_else(|| "no leader".to_owned(), |index| format!("at {}", index.0));
            ("read-index-reply", says)
        }
        Message::OfferSnapshot(id) => ("offer-snapshot", format!("up to {}", id.last)),
        Message::SnapshotChunk(chunk) => {
            let (last, offset) = (chunk.id.last, chunk.offset);
            ("snapshot-chunk", format!("of {last} at {offset}, {} bytes", chunk.bytes))
        }
        Message::SnapshotReply(reply) => {
            ("snapshot-reply", format!("of {} has {} bytes", reply.id.last, reply.received))
        }
    }
}

fn entries(append: &Append) -> String {
    let first = append.prev.index.0 + 1;
    let last = append.end().0;
    let term = append.runs.last().map_or(0, |run| run.term.0);
    let range = if first == last { format!("{first}") } else { format!("{first}..{last}") };
    format!("{range}@{term} after {} commit={}", append.prev, append.commit.0)
}
