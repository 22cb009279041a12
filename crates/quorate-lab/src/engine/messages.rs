//! What peers say to each other, in as few bytes as it takes: numbers of seven bits a byte, and what
//! follows from the rest is left out.
//!
//! - A heartbeat to a peer that is up to date takes three bytes, and its answer one.
//! - An answer is no message of its own: it means something only beside the [`Asked`] of its request.
//! - An empty answer is none: whoever is dead, or did not understand, promised nothing.

use quorate_core::{
    Append, AppendReply, BootCounter, EntryId, EntryKind, Few, Index, Message, RequestVote, Term,
    VoteReply,
};
use quorate_log::Entries;

use super::bytes::{put_number, take_byte, take_number};
use super::entries::{put_entries, take_entries};
use crate::recording::{Kind, Wire, Words};

/// Asks for a vote.
pub const REQUEST_VOTE: &str = "request_vote";
/// Replicates entries; without any it is the heartbeat.
pub const APPEND_ENTRIES: &str = "append_entries";
/// Brings a snapshot, all of it.
pub const INSTALL_SNAPSHOT: &str = "install_snapshot";

/// Bits of the first number below the sender.
const SENDER_SHIFT: u32 = 4;
/// A dry run.
const PRE_VOTE: u64 = 1;
/// The commit index is not the index of `prev`.
const COMMIT: u64 = 1;
/// The index of `prev` is what the leader has recorded for the receiver.
const RECORDED: u64 = 2;
/// No answer is wanted.
const NO_REPLY: u64 = 4;
/// The term of `prev` is not the leader's.
const EARLIER_TERM: u64 = 8;

/// The answer's term is not the request's, and follows.
const OTHER_TERM: u8 = 0x80;
/// There is no answer but the term.
const NOTHING: u8 = 0;
/// All that was sent, or asked for, is there.
const ALL: u8 = 1;
/// As far as the index that follows, all is there.
const MATCHED: u8 = 2;
/// The logs do not agree; where they may, follows.
const REJECTED: u8 = 3;
/// The vote is given.
const GRANTED: u8 = 4;
/// It is not.
const REFUSED: u8 = 5;

/// What an answer needs in order to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Vote { campaign: Term, pre_vote: bool },
    Append { prev: Index, end: Index, wants_reply: bool },
    Snapshot { last: Index },
}

/// A request that came.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) from: usize,
    pub(super) term: Term,
    pub(super) asked: Asked,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// A message of the protocol, with its entries.
    Message(Message, Few<Entries>),
    /// A snapshot: its last entry, the commands up to and with it, and its bytes.
    Snapshot { last: EntryId, commands: u64, data: Vec<u8> },
}

pub(super) fn encode_vote(me: usize, term: Term, vote: RequestVote) -> Vec<u8> {
    let mut out = head(me, if vote.pre_vote { PRE_VOTE } else { 0 }, term);
    put_id(&mut out, term, vote.last);
    out
}

pub(super) fn encode_append(
    me: usize,
    term: Term,
    append: &Append,
    entries: &Few<Entries>,
) -> Vec<u8> {
    let prev = append.prev;
    let set = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
    let flags = set(append.commit != prev.index, COMMIT)
        | set(append.recorded == prev.index, RECORDED)
        | set(!append.wants_reply, NO_REPLY)
        | set(prev.term != term, EARLIER_TERM);
    let mut out = head(me, flags, term);
    put_number(&mut out, prev.index.0);
    if flags & EARLIER_TERM != 0 {
        put_number(&mut out, term.0 - prev.term.0);
    }
    if flags & COMMIT != 0 {
        put_number(&mut out, append.commit.0);
    }
    let mut before = prev.term;
    for slice in entries {
        before = put_entries(&mut out, before, slice);
    }
    out
}

pub(super) fn encode_snapshot(
    me: usize,
    term: Term,
    last: EntryId,
    commands: u64,
    data: &[u8],
) -> Vec<u8> {
    let mut out = head(me, 0, term);
    put_id(&mut out, term, last);
    put_number(&mut out, commands);
    out.extend_from_slice(data);
    out
}

fn head(me: usize, flags: u64, term: Term) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    put_number(&mut out, (me as u64) << SENDER_SHIFT | flags);
    put_number(&mut out, term.0);
    out
}

/// Appends an entry's id; its term is at most `term`.
fn put_id(out: &mut Vec<u8>, term: Term, id: EntryId) {
    put_number(out, id.index.0);
    put_number(out, term.0 - id.term.0);
}

fn take_id(bytes: &mut &[u8], term: Term) -> Option<EntryId> {
    let index = Index(take_number(bytes)?);
    Some(EntryId::new(index, Term(term.0.checked_sub(take_number(bytes)?)?)))
}

/// Reads a request; nothing where it is none.
pub(super) fn decode(method: &str, mut bytes: &[u8]) -> Option<Request> {
    let bytes = &mut bytes;
    let first = take_number(bytes)?;
    let flags = first & ((1 << SENDER_SHIFT) - 1);
    let from = usize::try_from(first >> SENDER_SHIFT).ok()?;
    let term = Term(take_number(bytes)?);
    let (asked, content) = match method {
        REQUEST_VOTE => decode_vote(bytes, term, flags)?,
        APPEND_ENTRIES => decode_append(bytes, term, flags)?,
        INSTALL_SNAPSHOT => {
            let last = take_id(bytes, term)?;
            let commands = take_number(bytes)?;
            let data = std::mem::take(bytes).to_vec();
            (Asked::Snapshot { last: last.index }, Content::Snapshot { last, commands, data })
        }
        _ => return None,
    };
    bytes.is_empty().then_some(Request { from, term, asked, content })
}

fn decode_vote(bytes: &mut &[u8], term: Term, flags: u64) -> Option<(Asked, Content)> {
    let pre_vote = flags & PRE_VOTE != 0;
    let campaign = Term(term.0.checked_add(u64::from(pre_vote))?);
    let vote = RequestVote { campaign, last: take_id(bytes, term)?, pre_vote };
    let content = Content::Message(Message::RequestVote(vote), Few::new());
    Some((Asked::Vote { campaign, pre_vote }, content))
}

fn decode_append(bytes: &mut &[u8], term: Term, flags: u64) -> Option<(Asked, Content)> {
    let index = Index(take_number(bytes)?);
    let earlier = if flags & EARLIER_TERM == 0 { 0 } else { take_number(bytes)? };
    let prev = EntryId::new(index, Term(term.0.checked_sub(earlier)?));
    let commit = if flags & COMMIT == 0 { index } else { Index(take_number(bytes)?) };
    let first = Index(index.0.checked_add(1)?);
    let entries = take_entries(std::mem::take(bytes), first, prev.term)?;
    let end = entries.as_ref().map_or(index, Entries::last);
    let recorded = if flags & RECORDED == 0 { Index::ZERO } else { index };
    let wants_reply = flags & NO_REPLY == 0;
    let append = Append {
        prev,
        commit,
        recorded,
        // Nobody here loses what it saved but by losing all of its numbers with it.
        recorded_boot: BootCounter(u64::from(recorded > Index::ZERO)),
        wants_reply,
        runs: Few::new(),
    };
    let entries = entries.map_or_else(Few::new, Few::one);
    let asked = Asked::Append { prev: index, end, wants_reply };
    Some((asked, Content::Message(Message::Append(append), entries)))
}

/// An answer to what was asked in a request of the term `asked_in`; `reply` comes with its own term.
pub(super) fn encode_reply(
    asked: Asked,
    asked_in: Term,
    reply: Option<(Term, &Message)>,
) -> Vec<u8> {
    if matches!(asked, Asked::Append { wants_reply: false, .. }) {
        return Vec::new();
    }
    let (term, message) = reply.map_or((asked_in, None), |(term, message)| (term, Some(message)));
    let mut rest = Vec::new();
    let code = match (asked, message) {
        (_, Some(Message::AppendReply(AppendReply::Accepted { matched }))) => {
            if *matched == end(asked) {
                ALL
            } else {
                put_number(&mut rest, matched.0);
                MATCHED
            }
        }
        (_, Some(Message::AppendReply(AppendReply::Rejected { hint, .. }))) => {
            put_number(&mut rest, hint.index.0);
            put_number(&mut rest, hint.term.0);
            REJECTED
        }
        (_, Some(Message::VoteReply(vote))) => {
            if vote.granted {
                GRANTED
            } else {
                REFUSED
            }
        }
        _ => NOTHING,
    };
    let mut out = Vec::with_capacity(1);
    if term == asked_in {
        out.push(code);
    } else {
        out.push(code | OTHER_TERM);
        put_number(&mut out, term.0);
    }
    out.extend_from_slice(&rest);
    out
}

/// The index that an answer speaks of where it says nothing else.
const fn end(asked: Asked) -> Index {
    match asked {
        Asked::Append { end, .. } => end,
        Asked::Snapshot { last } => last,
        Asked::Vote { .. } => Index::ZERO,
    }
}

/// Reads an answer, with its term; nothing where it is none, or not one to what was asked.
pub(super) fn decode_reply(
    asked: Asked,
    asked_in: Term,
    mut bytes: &[u8],
) -> Option<(Term, Message)> {
    let bytes = &mut bytes;
    let first = take_byte(bytes)?;
    let term = if first & OTHER_TERM == 0 { asked_in } else { Term(take_number(bytes)?) };
    let accepted = |matched| Message::AppendReply(AppendReply::Accepted { matched });
    let rejected = |prev, hint| Message::AppendReply(AppendReply::Rejected { prev, hint });
    let message = match (first & !OTHER_TERM, asked) {
        (GRANTED | REFUSED, Asked::Vote { campaign, pre_vote }) => {
            let granted = first & !OTHER_TERM == GRANTED;
            Message::VoteReply(VoteReply { campaign, pre_vote, granted })
        }
        (_, Asked::Vote { .. }) => return None,
        (ALL, Asked::Append { .. } | Asked::Snapshot { .. }) => accepted(end(asked)),
        (MATCHED, Asked::Append { .. } | Asked::Snapshot { .. }) => {
            accepted(Index(take_number(bytes)?))
        }
        (REJECTED, Asked::Append { prev, .. } | Asked::Snapshot { last: prev }) => {
            let index = Index(take_number(bytes)?);
            rejected(prev, EntryId::new(index, Term(take_number(bytes)?)))
        }
        // What matters of it is the term: the one it was asked in is over.
        (NOTHING, Asked::Append { prev, .. } | Asked::Snapshot { last: prev })
            if term > asked_in =>
        {
            rejected(prev, EntryId::ZERO)
        }
        _ => return None,
    };
    bytes.is_empty().then_some((term, message))
}

/// A message in words, for a page. Entries are told by how many commands they are: the page counts
/// those alone.
pub(super) fn words(wire: Wire<'_>) -> Option<Words> {
    let (Wire::Request { method, args } | Wire::Answer { method, args, .. }) = wire;
    let Request { term, asked, content, .. } = decode(method, args)?;
    let kind = match (asked, &content) {
        (Asked::Vote { pre_vote, .. }, _) => {
            if pre_vote {
                Kind::PreVote
            } else {
                Kind::Vote
            }
        }
        (Asked::Append { .. }, Content::Message(_, entries)) if entries.is_empty() => {
            Kind::Heartbeat
        }
        (Asked::Append { .. }, _) => Kind::Append,
        (Asked::Snapshot { .. }, _) => Kind::Snapshot,
    };
    if let Wire::Answer { answer, .. } = wire {
        let Some((term, message)) = decode_reply(asked, term, answer) else {
            return Some(Words { kind, term: None, says: "empty".to_owned() });
        };
        let says = match message {
            Message::VoteReply(vote) if vote.granted => "granted",
            Message::VoteReply(_) => "refused",
            Message::AppendReply(AppendReply::Accepted { .. }) => "taken",
            _ => "refused: the logs differ, or the term is over",
        };
        return Some(Words { kind, term: Some(term.0), says: says.to_owned() });
    }
    let says = match (asked, content) {
        (Asked::Vote { campaign, .. }, _) => format!("for t{}", campaign.0),
        (_, Content::Message(_, entries)) => match commands(&entries) {
            0 => String::new(),
            1 => "1 command".to_owned(),
            more => format!("{more} commands"),
        },
        (_, Content::Snapshot { commands, data, .. }) => {
            format!("of {commands} commands, {} bytes", data.len())
        }
    };
    Some(Words { kind, term: Some(term.0), says })
}

fn commands(entries: &Few<Entries>) -> usize {
    let all = entries.iter().flat_map(Entries::iter);
    all.filter(|entry| entry.envelope.kind == EntryKind::Command).count()
}

#[cfg(test)]
mod tests {
    use super::super::entries::{Builder, Item};
    use super::*;

    fn id(index: u64, term: u64) -> EntryId {
        EntryId::new(Index(index), Term(term))
    }

    fn append(prev: EntryId, commit: u64, recorded: u64, wants_reply: bool) -> Append {
        let recorded_boot = BootCounter(u64::from(recorded > 0));
        let (commit, recorded) = (Index(commit), Index(recorded));
        Append { prev, commit, recorded, recorded_boot, wants_reply, runs: Few::new() }
    }

    fn two_entries() -> Few<Entries> {
        let mut builder = Builder::default();
        builder.push(Index(8), Item { term: Term(4), command: Some(b"one") });
        builder.push(Index(9), Item { term: Term(5), command: None });
        Few::one(builder.finish().unwrap())
    }

    #[test]
    fn a_heartbeat_takes_three_bytes_and_its_answer_one() {
        let beat = encode_append(2, Term(5), &append(id(100, 5), 100, 100, true), &Few::new());
        assert_eq!(beat.len(), 3);
        let request = decode(APPEND_ENTRIES, &beat).unwrap();
        let matched = Message::AppendReply(AppendReply::Accepted { matched: Index(100) });
        let reply = encode_reply(request.asked, Term(5), Some((Term(5), &matched)));
        assert_eq!(reply.len(), 1);
        assert_eq!(decode_reply(request.asked, Term(5), &reply), Some((Term(5), matched)));
    }

    #[test]
    fn requests_come_back_as_they_were_and_nothing_shorter_or_longer_is_one() {
        for pre_vote in [false, true] {
            let campaign = Term(7 + u64::from(pre_vote));
            let vote = RequestVote { campaign, last: id(300, 6), pre_vote };
            let bytes = encode_vote(4, Term(7), vote);
            let request = decode(REQUEST_VOTE, &bytes).unwrap();
            assert_eq!((request.from, request.term), (4, Term(7)));
            let Content::Message(Message::RequestVote(found), _) = request.content else {
                panic!()
            };
            assert_eq!(found, vote);
            cut_and_lengthen(REQUEST_VOTE, &bytes);
        }
        for (prev, commit, recorded, wants_reply) in
            [(id(7, 4), 3, 7, true), (id(7, 4), 9, 0, false), (id(0, 0), 0, 0, true)]
        {
            let (append, entries) = (append(prev, commit, recorded, wants_reply), two_entries());
            let entries = if prev == id(7, 4) { entries } else { Few::new() };
            let bytes = encode_append(1, Term(5), &append, &entries);
            let request = decode(APPEND_ENTRIES, &bytes).unwrap();
            let Content::Message(Message::Append(found), held) = request.content else { panic!() };
            assert_eq!(found, append);
            assert_eq!(held.iter().map(Entries::len).sum::<usize>(), entries.len() * 2);
            let (end, prev) = (entries.last().map_or(prev.index, Entries::last), prev.index);
            assert_eq!(request.asked, Asked::Append { prev, end, wants_reply });
        }
        let bytes = encode_snapshot(0, Term(5), id(40, 3), 37, b"state");
        let request = decode(INSTALL_SNAPSHOT, &bytes).unwrap();
        let Content::Snapshot { last, commands, data } = request.content else { panic!() };
        assert_eq!((last, commands, data.as_slice()), (id(40, 3), 37, b"state".as_slice()));
        assert!(decode("other", &bytes).is_none());
        assert!(decode(APPEND_ENTRIES, &[]).is_none());
    }

    fn cut_and_lengthen(method: &str, bytes: &[u8]) {
        for length in 0..bytes.len() {
            assert!(decode(method, &bytes[..length]).is_none(), "{length} of {}", bytes.len());
        }
        assert!(decode(method, &[bytes, &[0]].concat()).is_none());
    }

    #[test]
    fn answers_come_back_as_they_were() {
        let asked = Asked::Append { prev: Index(7), end: Index(9), wants_reply: true };
        let vote = Asked::Vote { campaign: Term(6), pre_vote: true };
        let accepted = |matched| AppendReply::Accepted { matched: Index(matched) };
        let rejected = AppendReply::Rejected { prev: Index(7), hint: id(3, 2) };
        let granted =
            |granted| Message::VoteReply(VoteReply { campaign: Term(6), pre_vote: true, granted });
        for (asked, message, bytes) in [
            (asked, Message::AppendReply(accepted(9)), 1),
            (asked, Message::AppendReply(accepted(8)), 2),
            (asked, Message::AppendReply(rejected), 3),
            (vote, granted(true), 1),
            (vote, granted(false), 1),
        ] {
            for (term, more) in [(Term(5), 0), (Term(6), 1)] {
                let reply = encode_reply(asked, Term(5), Some((term, &message)));
                assert_eq!(reply.len(), bytes + more);
                assert_eq!(decode_reply(asked, Term(5), &reply), Some((term, message.clone())));
                assert_eq!(decode_reply(asked, Term(5), &[reply.as_slice(), &[0]].concat()), None);
            }
        }
    }

    #[test]
    fn no_answer_promises_nothing() {
        let asked = Asked::Append { prev: Index(7), end: Index(9), wants_reply: true };
        let vote = Asked::Vote { campaign: Term(6), pre_vote: false };
        for asked in [asked, vote, Asked::Snapshot { last: Index(9) }] {
            assert_eq!(decode_reply(asked, Term(5), &[]), None);
            assert_eq!(decode_reply(asked, Term(5), &[0xff; 12]), None);
            let nothing = encode_reply(asked, Term(5), None);
            assert_eq!(decode_reply(asked, Term(5), &nothing), None);
        }
        let accepted = Message::AppendReply(AppendReply::Accepted { matched: Index(9) });
        let reply = encode_reply(asked, Term(5), Some((Term(5), &accepted)));
        assert_eq!(decode_reply(vote, Term(5), &reply), None, "no answer to a request for a vote");
        let unwanted = Asked::Append { prev: Index(7), end: Index(7), wants_reply: false };
        assert!(encode_reply(unwanted, Term(5), None).is_empty());
    }
}
