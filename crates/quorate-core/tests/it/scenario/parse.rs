//! Words of the script language. Numbers are read above the origin of the playing.

use std::sync::Arc;

use quorate_core::{
    Append, AppendReply, BootCounter, EntryId, EntryKind, Index, Membership, Message, NodeId,
    ReadIndexReply, RequestId, RequestVote, Run, SnapshotChunk, SnapshotId, SnapshotReply, Term,
    VoteReply,
};

use super::shift::Origin;

pub type Parsed<T> = Result<T, String>;

/// Encoded size of an entry that a script names by its id alone.
const BYTES: u64 = 100;

/// `n3`
pub fn node(word: &str) -> Parsed<NodeId> {
    let number = word.strip_prefix('n').and_then(|digits| u64::from_str_radix(digits, 16).ok());
    number.and_then(NodeId::new).ok_or_else(|| format!("`{word}` is no node"))
}

/// `n1,n2`
pub fn nodes(word: &str) -> Parsed<Vec<NodeId>> {
    word.split(',').filter(|part| !part.is_empty()).map(node).collect()
}

pub fn number(word: &str) -> Parsed<u64> {
    word.parse().map_err(|_| format!("`{word}` is no number"))
}

/// The value after `key=`.
pub fn value<'a>(word: &'a str, key: &str) -> Option<&'a str> {
    word.strip_prefix(key)?.strip_prefix('=')
}

/// A link by its ends, where `*` is any node: `n1->*`.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    pub from: Option<NodeId>,
    pub to: Option<NodeId>,
}

impl Link {
    pub fn parse(word: &str) -> Parsed<Self> {
        let (from, to) = word.split_once("->").ok_or_else(|| format!("`{word}` is no link"))?;
        let end = |word: &str| if word == "*" { Ok(None) } else { node(word).map(Some) };
        Ok(Self { from: end(from)?, to: end(to)? })
    }

    pub fn covers(self, from: NodeId, to: NodeId) -> bool {
        self.from.is_none_or(|id| id == from) && self.to.is_none_or(|id| id == to)
    }
}

impl Origin {
    /// `7`, above the origin.
    pub fn parse_index(self, word: &str) -> Parsed<Index> {
        Ok(self.0.index.plus(number(word)?))
    }

    /// `t3`, above the origin.
    pub fn parse_term(self, word: &str) -> Parsed<Term> {
        let digits = word.strip_prefix('t').ok_or_else(|| format!("`{word}` is no term"))?;
        Ok(self.0.term.plus(number(digits)?))
    }

    /// `7@3`
    pub fn parse_id(self, word: &str) -> Parsed<EntryId> {
        let (index, term) = word.split_once('@').ok_or_else(|| format!("`{word}` is no entry"))?;
        Ok(EntryId::new(self.parse_index(index)?, self.0.term.plus(number(term)?)))
    }

    /// `12@3/1000b#0a1`, as transcripts print it: the hash as it begins.
    pub fn parse_snapshot(self, word: &str) -> Parsed<SnapshotId> {
        let wrong = || format!("`{word}` is no snapshot");
        let (last, rest) = word.split_once('/').ok_or_else(wrong)?;
        let (bytes, hash) = rest.split_once("b#").ok_or_else(wrong)?;
        let hash = u32::from_str_radix(hash, 16).map_err(|_| wrong())?;
        let (last, bytes) = (self.parse_id(last)?, number(bytes)?);
        Ok(SnapshotId { last, bytes, hash: u128::from(hash) << 96 })
    }

    /// `5..7@3`, `8@3(opening)` or `9@3(voters=n1,n2/learners=n3)`
    pub fn parse_run(self, word: &str) -> Parsed<Run> {
        let (range, kind) = word.split_once('(').unwrap_or((word, ""));
        let (first, last) = match range.split_once("..") {
            Some((first, last)) => (self.parse_index(first)?, self.parse_id(last)?),
            None => (self.parse_id(range)?.index, self.parse_id(range)?),
        };
        let count = u32::try_from(last.index.distance(first) + 1).map_err(|e| e.to_string())?;
        match kind.strip_suffix(')') {
            None => {
                let bytes = BYTES * u64::from(count);
                Ok(Run::new(first, count, last.term, EntryKind::Command, bytes))
            }
            Some("opening") => Ok(Run::new(first, 1, last.term, EntryKind::Opening, 48)),
            Some(content) => {
                let content = Arc::new(membership(content)?);
                Ok(Run::membership(first, last.term, BYTES, content))
            }
        }
    }

    /// A message as transcripts print it, for the forger.
    pub fn parse_message(self, words: &[&str]) -> Parsed<Message> {
        let (name, rest) = words.split_first().ok_or("a message is missing")?;
        let field = |key: &str| {
            let found = rest.iter().find_map(|word| value(word, key));
            found.ok_or_else(|| format!("{key}= is missing"))
        };
        let is = |word: &str| rest.contains(&word);
        match *name {
            "PreVote" | "RequestVote" => Ok(Message::RequestVote(RequestVote {
                campaign: self.parse_term(field("for")?)?,
                last: self.parse_id(field("last")?)?,
                pre_vote: *name == "PreVote",
            })),
            "PreVoteReply" | "VoteReply" => Ok(Message::VoteReply(VoteReply {
                campaign: self.parse_term(field("for")?)?,
                pre_vote: *name == "PreVoteReply",
                granted: is("granted"),
            })),
            "Append" => {
                let entries = rest.iter().filter_map(|word| word.strip_prefix('+'));
                let recorded = field("recorded").unwrap_or("0/b0").split_once("/b");
                let (recorded, boot) = recorded.ok_or("recorded=INDEX/bBOOT")?;
                Ok(Message::Append(Append {
                    prev: self.parse_id(field("prev")?)?,
                    commit: self.parse_index(field("commit")?)?,
                    recorded: self.parse_index(recorded)?,
                    recorded_boot: BootCounter(number(boot)?),
                    wants_reply: !is("notice"),
                    runs: entries.map(|word| self.parse_run(word)).collect::<Parsed<_>>()?,
                }))
            }
            "AppendReply" if is("accepted") => {
                let matched = self.parse_index(field("match")?)?;
                Ok(Message::AppendReply(AppendReply::Accepted { matched }))
            }
            "AppendReply" => Ok(Message::AppendReply(AppendReply::Rejected {
                prev: self.parse_index(field("prev")?)?,
                hint: self.parse_id(field("hint")?)?,
            })),
            "OfferSnapshot" => {
                Ok(Message::OfferSnapshot(self.parse_snapshot(rest.first().unwrap_or(&""))?))
            }
            "SnapshotChunk" => Ok(Message::SnapshotChunk(SnapshotChunk {
                id: self.parse_snapshot(rest.first().unwrap_or(&""))?,
                offset: number(field("at")?)?,
                bytes: {
                    let bytes = rest.iter().find_map(|word| word.strip_prefix('+'));
                    let bytes = number(bytes.ok_or("+BYTES is missing")?)?;
                    u32::try_from(bytes).map_err(|error| error.to_string())?
                },
            })),
            "SnapshotReply" => Ok(Message::SnapshotReply(SnapshotReply {
                id: self.parse_snapshot(rest.first().unwrap_or(&""))?,
                received: number(field("received")?)?,
            })),
            "ReadIndex" => Ok(Message::ReadIndex),
            "ReadIndexReply" => {
                let index = rest.first().filter(|word| **word != "none");
                let index = index.map(|word| self.parse_index(word)).transpose()?;
                Ok(Message::ReadIndexReply(ReadIndexReply { index }))
            }
            other => Err(format!("`{other}` is no message")),
        }
    }
}

/// `voters=n1,n2/outgoing=n3/learners=n4`
pub fn membership(text: &str) -> Parsed<Membership> {
    let part = |key: &str| {
        let found = text.split('/').find_map(|part| value(part, key));
        nodes(found.unwrap_or_default())
    };
    Ok(Membership::new(part("voters")?, part("outgoing")?, part("learners")?))
}

/// `#2.7`
pub fn request(word: &str) -> Parsed<RequestId> {
    let parts = word.strip_prefix('#').and_then(|word| word.split_once('.'));
    let (boot, at) = parts.ok_or_else(|| format!("`{word}` is no request"))?;
    Ok(RequestId::before_first(BootCounter(number(boot)?)).plus(number(at)?))
}
