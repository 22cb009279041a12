//! Entries as bytes, on the way and in the blob alike: a byte or two before each payload.
//!
//! Each entry begins with a number that holds the payload's length, whether the entry opens a term,
//! and whether its term is another than the one before. If it is, by how much follows.

use quorate_core::{EntryKind, Index, Term};
use quorate_log::{BlockBuilder, Entries, Envelope};

use super::bytes::{put_number, take_bytes, take_number};

/// The entry opens a term and has no payload.
const OPENS: u64 = 1;
/// Its term is higher than that of the entry before.
const LATER_TERM: u64 = 2;
/// Bits of the first number below the payload's length.
const LENGTH_SHIFT: u32 = 2;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub(super) term: Term,
    /// The payload; nothing for an entry that opens a term.
    pub(super) command: Option<&'a [u8]>,
}

/// Appends an entry that follows one of the term `before`.
pub(super) fn put_entry(out: &mut Vec<u8>, before: Term, item: Item<'_>) {
    let payload = item.command.unwrap_or_default();
    let later = item.term.0 - before.0;
    let mut head = (payload.len() as u64) << LENGTH_SHIFT;
    if item.command.is_none() {
        head |= OPENS;
    }
    if later > 0 {
        head |= LATER_TERM;
    }
    put_number(out, head);
    if later > 0 {
        put_number(out, later);
    }
    out.extend_from_slice(payload);
}

/// Takes an entry from the front that follows one of the term `before`; nothing where there is none.
pub(super) fn take_entry<'a>(bytes: &mut &'a [u8], before: Term) -> Option<Item<'a>> {
    let head = take_number(bytes)?;
    let later = if head & LATER_TERM == 0 { 0 } else { take_number(bytes)? };
    let term = Term(before.0.checked_add(later).filter(|term| *term > 0)?);
    let payload = take_bytes(bytes, head >> LENGTH_SHIFT)?;
    let command = match head & OPENS {
        0 => Some(payload),
        _ if payload.is_empty() => None,
        _ => return None,
    };
    Some(Item { term, command })
}

/// Appends all of `entries`, which follow an entry of the term `before`.
pub(super) fn put_entries(out: &mut Vec<u8>, mut before: Term, entries: &Entries) -> Term {
    for entry in entries.iter() {
        let command = (entry.envelope.kind == EntryKind::Command).then_some(entry.payload);
        put_entry(out, before, Item { term: entry.id.term, command });
        before = entry.id.term;
    }
    before
}

/// Makes entries of the replica out of items.
#[derive(Default)]
pub(super) struct Builder {
    block: Option<BlockBuilder>,
}

impl Builder {
    pub(super) fn push(&mut self, index: Index, item: Item<'_>) {
        let kind = if item.command.is_some() { EntryKind::Command } else { EntryKind::Opening };
        let block = self.block.get_or_insert_with(BlockBuilder::new);
        block.push(index, item.term, &Envelope::of(kind, 0), item.command.unwrap_or_default());
    }

    /// All of them; nothing where there is none.
    pub(super) fn finish(self) -> Option<Entries> {
        self.block.map(|mut block| Entries::all(block.finish()))
    }
}

/// Reads entries that follow `before` at `first`, to the end of `bytes`; nothing where they are none.
pub(super) fn take_entries(
    mut bytes: &[u8],
    first: Index,
    mut before: Term,
) -> Option<Option<Entries>> {
    let mut builder = Builder::default();
    let mut index = first;
    while !bytes.is_empty() {
        let item = take_entry(&mut bytes, before)?;
        before = item.term;
        builder.push(index, item);
        index = Index(index.0.checked_add(1)?);
    }
    Some(builder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_entries_cost_a_byte_more_than_their_payload() {
        let items = [
            Item { term: Term(3), command: Some(b"abc".as_slice()) },
            Item { term: Term(5), command: None },
            Item { term: Term(5), command: Some(b"".as_slice()) },
            Item { term: Term(5), command: Some(&[7; 100]) },
        ];
        let (mut out, mut before) = (Vec::new(), Term(3));
        for item in items {
            put_entry(&mut out, before, item);
            before = item.term;
        }
        assert_eq!(out.len(), (1 + 3) + 2 + 1 + (2 + 100));
        let (mut rest, mut before) = (out.as_slice(), Term(3));
        for item in items {
            assert_eq!(take_entry(&mut rest, before), Some(item));
            before = item.term;
        }
        assert!(rest.is_empty());
        let entries = take_entries(&out, Index(8), Term(3)).unwrap().unwrap();
        assert_eq!((entries.first(), entries.last(), entries.len()), (Index(8), Index(11), 4));
        let mut again = Vec::new();
        assert_eq!(put_entries(&mut again, Term(3), &entries), Term(5));
        assert_eq!(again, out);
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        assert_eq!(take_entry(&mut [0b100].as_slice(), Term(1)), None, "the payload is missing");
        assert_eq!(
            take_entry(&mut [0b101, 9].as_slice(), Term(1)),
            None,
            "it opens with a payload"
        );
        let later = [0b010, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(take_entry(&mut later.as_slice(), Term(1)), None, "the terms are used up");
        assert_eq!(take_entry(&mut [0].as_slice(), Term(0)), None, "no entry has that term");
        assert!(take_entries(&[0b100], Index(1), Term(1)).is_none());
        assert!(take_entries(&[], Index(1), Term(1)).is_some_and(|entries| entries.is_none()));
    }
}
