//! Makes a store of its bytes.
//!
//! Versions come in the order of both trees, so that each node is made once. What a compaction may
//! drop has an order of its own, by the revision that replaced it, and is sorted at the end.

use std::io::Read;

use quorate::SnapshotError;

use super::source::Source;
use super::{END, LEASED, MARK, REPLACED, SAME_KEY, VERSION, as_u64, malformed};
use crate::alarm::{Alarm, AlarmKind};
use crate::archive::Archivist;
use crate::key_value::{KeyValue, Stamp};
use crate::retired::Retired;
use crate::revision::Revision;
use crate::tree::{ByKey, ByRevision, TreeBuilder};
use crate::view::View;

/// Bytes that no key has.
const KEY_BYTES: usize = 1 << 31;

/// The last that a store can stand at: no later one is reached in any number of centuries, and one
/// at the end of the numbers could not be written to.
const LAST_REVISION: Revision = Revision(i64::MAX / 2);

/// Fills an empty view with what the bytes hold.
pub(super) fn restore(
    from: &mut dyn Read,
    archivist: &mut Archivist,
    view: &mut View,
) -> Result<Retired, SnapshotError> {
    let mut source = Source::new(from);
    let version = source.byte()?;
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    view.revision = Revision(source.signed()?);
    view.compacted = Revision(source.signed()?);
    let made = Revision::FIRST..=LAST_REVISION;
    if !made.contains(&view.revision) || view.compacted > view.revision {
        return Err(malformed("its revisions contradict each other"));
    }
    for _ in 0..source.number()? {
        let kind = AlarmKind::of_number(u64::from(source.byte()?));
        let kind = kind.ok_or_else(|| malformed("an alarm of no known kind"))?;
        if !view.alarms.follow(Alarm { kind, member: source.number()? }) {
            return Err(malformed("an alarm that does not follow"));
        }
    }
    let mut reader = Reader {
        source,
        archivist,
        view,
        current: TreeBuilder::new(),
        history: TreeBuilder::new(),
        retired: Vec::new(),
        key: Vec::new(),
        before: Before::Nothing,
    };
    loop {
        let flags = reader.source.byte()?;
        if flags == END {
            return reader.finish();
        }
        reader.version(flags).map_err(|error| reader.named(error))?;
    }
}

struct Reader<'a> {
    source: Source<'a>,
    archivist: &'a mut Archivist,
    view: &'a mut View,
    current: TreeBuilder<ByKey>,
    history: TreeBuilder<ByRevision>,
    /// The history with the revisions at which it retired, by key.
    retired: Vec<(Revision, KeyValue)>,
    /// Key of the version before.
    key: Vec<u8>,
    before: Before,
}

/// What stands before a version.
enum Before {
    Nothing,
    /// A version that nothing replaced.
    Current,
    /// A version that the next one has to replace.
    Replaced(KeyValue),
    Mark(Revision),
}

impl Reader<'_> {
    fn version(&mut self, flags: u8) -> Result<(), SnapshotError> {
        let has = |flag| flags & flag != 0;
        if flags & !(SAME_KEY | MARK | REPLACED | LEASED) != 0
            || has(MARK) && (has(REPLACED) || has(LEASED))
        {
            return Err(malformed("a version of no known kind"));
        }
        let revision = if has(SAME_KEY) { self.next_of_key()? } else { self.next_key()? };
        let Revision(mod_revision) = revision;
        let replaced = core::mem::replace(&mut self.before, Before::Current);
        if let Before::Replaced(version) = replaced {
            if revision <= self.view.compacted {
                return Err(malformed("a version that no revision sees"));
            }
            self.retired.push((revision, version));
        }
        if has(MARK) {
            if revision <= self.view.compacted {
                return Err(malformed("a mark that no revision sees"));
            }
            let mark = KeyValue::tombstone(&self.key, revision);
            self.weigh(&mark);
            self.history.push(mark.clone());
            self.retired.push((revision, mark));
            self.before = Before::Mark(revision);
            return Ok(());
        }
        let age = self.source.signed()?;
        let version = self.source.signed()?;
        let lease = if has(LEASED) { self.source.number()?.cast_signed() } else { 0 };
        // A key is made by a put, and each revision changes it once at most.
        let create_revision = mod_revision - age;
        if create_revision <= Revision::FIRST.get()
            || version < 1
            || version - 1 > age
            || has(LEASED) && lease == 0
        {
            return Err(malformed("a version whose numbers contradict each other"));
        }
        let stamp = Stamp { create_revision, mod_revision, version, lease };
        self.keep(stamp, has(REPLACED))
    }

    /// The revision of another version of the key.
    fn next_of_key(&mut self) -> Result<Revision, SnapshotError> {
        let before = match &self.before {
            Before::Replaced(version) => version.mod_revision(),
            Before::Mark(revision) => *revision,
            Before::Nothing | Before::Current => {
                return Err(malformed("a version behind the current one"));
            }
        };
        let further = self.source.signed()?;
        let revision = before.get().checked_add(further).filter(|_| further > 0);
        self.checked(revision.map(Revision))
    }

    /// Takes in the next key, and the revision of its first version.
    fn next_key(&mut self) -> Result<Revision, SnapshotError> {
        if matches!(self.before, Before::Replaced(_)) {
            return Err(malformed("what replaced a version is not there"));
        }
        let kept = self.source.length()?;
        let added = self.source.length()?;
        if kept > self.key.len() || added >= KEY_BYTES - self.key.len() {
            return Err(malformed("a key of no possible length"));
        }
        let added = self.source.take(added)?;
        // Keys rise, and share with the one before all that they can.
        let rises = match (self.key.get(kept), added.first()) {
            (Some(before), Some(byte)) => before < byte,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if !rises {
            return Err(malformed("a key that does not follow"));
        }
        self.key.truncate(kept);
        self.key.extend_from_slice(added);
        let revision = self.source.signed()?;
        self.checked(Some(Revision(revision)))
    }

    fn checked(&self, revision: Option<Revision>) -> Result<Revision, SnapshotError> {
        let made =
            |revision: &Revision| *revision > Revision::FIRST && *revision <= self.view.revision;
        revision.filter(made).ok_or_else(|| malformed("a version of a revision that is not made"))
    }

    /// Takes in a version with its value.
    fn keep(&mut self, stamp: Stamp, is_replaced: bool) -> Result<(), SnapshotError> {
        let length = self.source.length()?;
        let value = self.source.take(length)?;
        if !is_replaced {
            let kv = KeyValue::assemble(&self.key, value, stamp);
            self.weigh(&kv);
            self.current.push(kv);
            return Ok(());
        }
        let kv = match self.archivist.keep(&mut self.view.archive, value) {
            Some(place) => KeyValue::assemble_archived(&self.key, place, stamp),
            None => KeyValue::assemble(&self.key, value, stamp),
        };
        self.weigh(&kv);
        self.history.push(kv.clone());
        self.before = Before::Replaced(kv);
        Ok(())
    }

    fn weigh(&mut self, kv: &KeyValue) {
        self.view.bytes += as_u64(kv.size());
    }

    fn finish(mut self) -> Result<Retired, SnapshotError> {
        if matches!(self.before, Before::Replaced(_)) {
            return Err(malformed("what replaced the last version is not there"));
        }
        self.view.current = self.current.finish();
        self.view.history = self.history.finish();
        let counts = (self.source.number()?, self.source.number()?);
        if counts != (as_u64(self.view.current.len()), as_u64(self.view.history.len())) {
            return Err(malformed("it holds other numbers of versions than it says"));
        }
        if !self.source.is_at_end()? {
            return Err(malformed("more follows behind its end"));
        }
        self.retired.sort_by_key(|(revision, _)| *revision);
        let mut retired = Retired::default();
        self.retired.into_iter().for_each(|(at, version)| retired.push(at, version));
        Ok(retired)
    }

    /// Says behind which key something is wrong.
    fn named(&self, error: SnapshotError) -> SnapshotError {
        match error {
            SnapshotError::Malformed(what) => {
                let key: Vec<u8> = self.key.iter().copied().take(256).collect();
                SnapshotError::Malformed(format!("{what}, at the key {}", key.escape_ascii()))
            }
            error => error,
        }
    }
}
