//! Names of snapshot files.

use quorate_core::{EntryId, Index, SnapshotId, Term};

use crate::directory::TEMPORARY;

const FINAL: &str = ".snap";
const PART: &str = ".part";
const DAMAGED: &str = ".damaged";

/// What the name of a file says about a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// A whole one.
    Final(EntryId),
    /// One that is being received.
    Part(EntryId, u128),
    /// One that was found to be damaged.
    Damaged(EntryId),
}

impl Name {
    /// Reads a name, if it is one of a snapshot.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("snap-")?;
        let last = EntryId::new(Index(hex(rest, 0)?), Term(hex(rest, 17)?));
        let parsed = match rest.get(33..)? {
            FINAL => Self::Final(last),
            DAMAGED => Self::Damaged(last),
            part => {
                let digits = part.strip_prefix('-')?.strip_suffix(PART)?;
                Self::Part(last, u128::from_str_radix(digits, 16).ok()?)
            }
        };
        let made = match parsed {
            Self::Final(last) => final_name(last),
            Self::Damaged(last) => damaged_name(last),
            Self::Part(last, hash) => part_name_of(last, hash),
        };
        (made == name).then_some(parsed)
    }
}

/// The number in 16 digits at a place.
fn hex(text: &str, at: usize) -> Option<u64> {
    u64::from_str_radix(text.get(at..at + 16)?, 16).ok()
}

fn stem(last: EntryId) -> String {
    format!("snap-{:016x}-{:016x}", last.index.0, last.term.0)
}

/// The name of a whole snapshot.
pub(super) fn final_name(last: EntryId) -> String {
    stem(last) + FINAL
}

/// The name of one that is being taken.
pub(super) fn taking_name(last: EntryId) -> String {
    stem(last) + TEMPORARY
}

/// The name of one that is being received.
pub(super) fn part_name(id: &SnapshotId) -> String {
    part_name_of(id.last, id.hash)
}

fn part_name_of(last: EntryId, hash: u128) -> String {
    format!("{}-{hash:032x}{PART}", stem(last))
}

/// The name of one that was found to be damaged.
pub(crate) fn damaged_name(last: EntryId) -> String {
    stem(last) + DAMAGED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_a_file_is_and_nothing_else_does() {
        let last = EntryId::new(Index(0x12), Term(3));
        let id = SnapshotId { last, bytes: 9, hash: 7 << 64 };
        assert_eq!(final_name(last), "snap-0000000000000012-0000000000000003.snap");
        assert_eq!(Name::parse(&final_name(last)), Some(Name::Final(last)));
        assert_eq!(Name::parse(&part_name(&id)), Some(Name::Part(last, id.hash)));
        assert_eq!(Name::parse(&damaged_name(last)), Some(Name::Damaged(last)));
        for other in [
            "snap-0000000000000012-0000000000000003.tmp",
            "snap-000000000000001G-0000000000000003.snap",
            "snap-0000000000000012-000000000000000A.snap",
            "snap-0000000000000012.snap",
            "snap-+000000000000012-0000000000000003.snap",
            "snap-0000000000000012-0000000000000003-00.part",
            "snap-\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}",
            "log-0000000000000001.seg",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }
}
