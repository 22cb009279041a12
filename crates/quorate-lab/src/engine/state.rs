//! The blob: everything that must survive a crash but the service's own state, in as few bytes as it
//! takes.
//!
//! Term and vote, where the log begins, which snapshot lies beside, and every entry from there on. It
//! is saved whole, so its entries are kept encoded, and a save is a copy. The snapshot itself lies
//! beside it, byte for byte as the service gave it; the blob knows its length and checksum, so that the
//! two cannot be mixed up.

use std::collections::VecDeque;

use quorate_core::{EntryId, EntryKind, HardState, Index, NodeId, Run, Term};
use quorate_log::{Compact, Entries, Write};

use super::bytes::{put_number, take_byte, take_number};
use super::entries::{Builder, Item, put_entry, take_entry};

/// First byte of a blob: which layout the rest has.
const VERSION: u8 = 0xb1;
/// Bytes of a checksum.
const CHECKSUM_BYTES: usize = 4;
/// What the replica counts for an entry beside its payload.
const RECORD_BYTES: u64 = quorate_log::RECORD_HEADER_BYTES as u64;

/// Why a peer cannot start from what its persister holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damaged {
    /// The blob does not begin like one.
    #[error(
        "the saved state is none that this Raft wrote: it begins with {first:#04x}, not {VERSION:#04x}"
    )]
    NotAState {
        /// Its first byte.
        first: u8,
    },
    /// The checksum is another.
    #[error(
        "the saved state of {bytes} bytes is damaged: its checksum is {found:08x}, and {written:08x} \
         was written; restore it, or let the peer begin with an empty one under another number"
    )]
    Checksum {
        /// Length of the blob.
        bytes: usize,
        /// What it is.
        found: u32,
        /// What it should be.
        written: u32,
    },
    /// The checksum holds, and yet the content makes no sense.
    #[error("the saved state makes no sense at byte {at}, although its checksum holds")]
    Content {
        /// Where.
        at: usize,
    },
    /// The snapshot beside it is not the one it was saved with.
    #[error(
        "the saved snapshot is not the one that the saved state goes with: it has {bytes} bytes, and \
         {expected} were saved, or their checksum is another; both must come from one save"
    )]
    Snapshot {
        /// Length of the snapshot that is there.
        bytes: usize,
        /// Length of the one that should be.
        expected: u64,
    },
    /// Each part makes sense, but together they do not.
    #[error("the saved state contradicts itself: {0}")]
    Contradiction(String),
}

/// An entry within the blob.
#[derive(Clone, Copy, Debug)]
struct Place {
    term: Term,
    is_command: bool,
    /// Where it begins, counted from where the blob's first entry ever began.
    begin: u64,
    /// Commands up to and with it.
    commands: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) hard_state: HardState,
    /// The entry before the first.
    pub(super) base: EntryId,
    /// Commands up to and with the base.
    pub(super) base_commands: u64,
    /// The last entry of the snapshot that lies beside, with its length and checksum.
    snapshot: Option<(EntryId, u64, u32)>,
    /// The entries, encoded one after the other.
    body: Vec<u8>,
    /// Bytes that went from the front of the body.
    gone: u64,
    places: VecDeque<Place>,
}

// To and from bytes.
impl State {
    /// The blob.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len() + 40);
        out.push(VERSION);
        put_number(&mut out, self.hard_state.term.0);
        put_number(&mut out, self.hard_state.vote.map_or(0, NodeId::get));
        for number in [self.base.index.0, self.base.term.0, self.base_commands] {
            put_number(&mut out, number);
        }
        match self.snapshot {
            None => out.push(0),
            Some((last, bytes, checksum)) => {
                put_number(&mut out, last.index.0 - self.base.index.0 + 1);
                put_number(&mut out, bytes);
                out.extend_from_slice(&checksum.to_le_bytes());
            }
        }
        out.extend_from_slice(&self.body);
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads a blob, and checks that `snapshot` lies beside it. An empty one is that of a peer that
    /// never saved anything.
    pub(super) fn decode(blob: &[u8], snapshot: &[u8]) -> Result<Self, Damaged> {
        let Some(first) = blob.first() else {
            let bytes = snapshot.len();
            return if bytes == 0 {
                Ok(Self::default())
            } else {
                Err(Damaged::Snapshot { bytes, expected: 0 })
            };
        };
        if *first != VERSION {
            return Err(Damaged::NotAState { first: *first });
        }
        let (content, checksum) =
            blob.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Damaged::Content { at: blob.len() })?;
        let (found, written) = (crc32c::crc32c(content), u32::from_le_bytes(*checksum));
        if found != written {
            return Err(Damaged::Checksum { bytes: blob.len(), found, written });
        }
        let mut rest = &content[1..];
        let state = Self::decode_content(&mut rest);
        let state = state.ok_or(Damaged::Content { at: content.len() - rest.len() })?;
        state.check_snapshot(snapshot)?;
        Ok(state)
    }

    fn decode_content(rest: &mut &[u8]) -> Option<Self> {
        let term = Term(take_number(rest)?);
        let vote = NodeId::new(take_number(rest)?);
        let base = (take_number(rest)?, take_number(rest)?);
        let base = EntryId::new(Index(base.0), Term(base.1));
        let mut state = Self {
            hard_state: HardState { term, vote },
            base,
            base_commands: take_number(rest)?,
            ..Self::default()
        };
        let snapshot = match take_number(rest)? {
            0 => None,
            above => {
                let bytes = take_number(rest)?;
                let mut checksum = [0; CHECKSUM_BYTES];
                for byte in &mut checksum {
                    *byte = take_byte(rest)?;
                }
                let index = Index(base.index.0.checked_add(above - 1)?);
                Some((index, bytes, u32::from_le_bytes(checksum)))
            }
        };
        while !rest.is_empty() {
            // Numbers end where a peer could count no further.
            state.last().index.0.checked_add(1)?;
            let item = take_entry(rest, state.last().term)?;
            state.push(item);
        }
        if let Some((index, bytes, checksum)) = snapshot {
            let term = state.term_at(index)?;
            state.snapshot = Some((EntryId::new(index, term), bytes, checksum));
        }
        Some(state)
    }

    fn check_snapshot(&self, snapshot: &[u8]) -> Result<(), Damaged> {
        let (bytes, here) = (snapshot.len(), crc32c::crc32c(snapshot));
        let (expected, checksum) = match self.snapshot {
            Some((_, expected, checksum)) => (expected, checksum),
            None => (0, crc32c::crc32c(&[])),
        };
        if bytes as u64 == expected && here == checksum {
            Ok(())
        } else {
            Err(Damaged::Snapshot { bytes, expected })
        }
    }
}

// What a replica does to it.
impl State {
    /// Takes a write of the replica.
    pub(super) fn write(&mut self, write: &Write) {
        if let Some(hard_state) = write.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(from) = write.truncate_from {
            self.truncate(from);
        }
        for entries in &write.entries {
            for entry in entries.iter() {
                debug_assert_eq!(entry.id.index, self.last().index.next(), "a log has no gaps");
                let command = (entry.envelope.kind == EntryKind::Command).then_some(entry.payload);
                self.push(Item { term: entry.id.term, command });
            }
        }
    }

    fn push(&mut self, item: Item<'_>) {
        let before = self.last();
        let commands = self.commands_through(before.index) + u64::from(item.command.is_some());
        let begin = self.gone + self.body.len() as u64;
        put_entry(&mut self.body, before.term, item);
        let is_command = item.command.is_some();
        self.places.push_back(Place { term: item.term, is_command, begin, commands });
    }

    fn truncate(&mut self, from: Index) {
        let kept = self.count_before(from);
        if let Some(first_gone) = self.places.get(kept) {
            self.body.truncate(within(first_gone.begin - self.gone));
            self.places.truncate(kept);
        }
    }

    /// Lets the log begin after `compact.base`; all of it goes where it does not hold that entry, and
    /// `commands` says how many there are up to it.
    pub(super) fn compact(&mut self, compact: &Compact, commands: u64) {
        let base = compact.base;
        if base.index < self.base.index {
            return;
        }
        if self.term_at(base.index) == Some(base.term) {
            let goes = self.count_before(base.index.next());
            let end = self.gone + self.body.len() as u64;
            let kept_from = self.places.get(goes).map_or(end, |place| place.begin);
            self.body.drain(..within(kept_from - self.gone));
            self.gone = kept_from;
            self.places.drain(..goes);
        } else {
            self.gone += self.body.len() as u64;
            self.body.clear();
            self.places.clear();
        }
        (self.base, self.base_commands) = (base, commands);
    }

    /// The snapshot up to `last` lies beside it from here on.
    pub(super) fn set_snapshot(&mut self, last: EntryId, snapshot: &[u8]) {
        self.snapshot = Some((last, snapshot.len() as u64, crc32c::crc32c(snapshot)));
    }
}

// What it says.
impl State {
    /// The last entry of the snapshot that lies beside.
    pub(super) fn snapshot(&self) -> Option<EntryId> {
        self.snapshot.map(|(last, ..)| last)
    }

    /// The last entry; the base where there is none.
    pub(super) fn last(&self) -> EntryId {
        match self.places.back() {
            Some(place) => {
                EntryId::new(Index(self.base.index.0 + self.places.len() as u64), place.term)
            }
            None => self.base,
        }
    }

    pub(super) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        self.place(index).map(|place| place.term)
    }

    /// Commands up to and with this entry, where it is held or the base.
    pub(super) fn commands_through(&self, index: Index) -> u64 {
        self.place(index).map_or(self.base_commands, |place| place.commands)
    }

    /// The entry of the command with this number, from 1, where it is held.
    /// The term of every command behind the base.
    pub(super) fn command_terms(&self) -> Vec<u64> {
        let commands = self.places.iter().filter(|place| place.is_command);
        commands.map(|place| place.term.0).collect()
    }

    pub(super) fn entry_of_command(&self, number: u64) -> Option<EntryId> {
        let at = self.places.partition_point(|place| place.commands < number);
        let place = self.places.get(at).filter(|place| place.commands == number)?;
        let index = Index(self.base.index.0 + at as u64 + 1);
        // An entry that is no command repeats the count of the one before, and comes after it.
        place.is_command.then(|| EntryId::new(index, place.term))
    }

    /// The payload of this entry, where it is held and a command.
    pub(super) fn command(&self, index: Index) -> Option<&[u8]> {
        self.item(index)?.command
    }

    /// The entries `first..=last`, at least the first and no more than fit into so many bytes; nothing
    /// where the first is not held.
    pub(super) fn read(&self, first: Index, last: Index, max_bytes: usize) -> Option<Entries> {
        let mut builder = Builder::default();
        let (mut index, mut bytes) = (first, 0_u64);
        while index <= last.min(self.last().index) {
            let item = self.item(index)?;
            bytes += RECORD_BYTES + item.command.map_or(0, |command| command.len() as u64);
            if index > first && bytes > max_bytes as u64 {
                break;
            }
            builder.push(index, item);
            index = index.next();
        }
        builder.finish()
    }

    /// The heads of all entries.
    pub(super) fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut index = self.base.index;
        while index < self.last().index {
            index = index.next();
            let Some(item) = self.item(index) else { break };
            let kind = if item.command.is_some() { EntryKind::Command } else { EntryKind::Opening };
            let bytes = RECORD_BYTES + item.command.map_or(0, |command| command.len() as u64);
            match runs.last_mut().filter(|run| run.term == item.term && run.kind == kind) {
                Some(run) => {
                    run.count += 1;
                    run.bytes += bytes;
                }
                None => runs.push(Run::new(index, 1, item.term, kind, bytes)),
            }
        }
        runs
    }

    fn item(&self, index: Index) -> Option<Item<'_>> {
        let place = self.place(index)?;
        let mut bytes = &self.body[within(place.begin - self.gone)..];
        take_entry(&mut bytes, self.term_at(index.previous())?)
    }

    fn place(&self, index: Index) -> Option<&Place> {
        let above = index.0.checked_sub(self.base.index.0)?.checked_sub(1)?;
        self.places.get(usize::try_from(above).ok()?)
    }

    /// How many of its entries lie before this index.
    fn count_before(&self, index: Index) -> usize {
        let above = index.0.saturating_sub(self.base.index.0).saturating_sub(1);
        usize::try_from(above).unwrap_or(usize::MAX).min(self.places.len())
    }
}

fn within(offset: u64) -> usize {
    usize::try_from(offset).expect("what lies in memory has an address")
}

#[cfg(test)]
mod tests;
