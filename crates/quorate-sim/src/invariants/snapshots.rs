//! A snapshot is the log that it replaces (Raft §7): the same state, byte for byte, as executing
//! everything up to its last entry gives, with what was true there; and nothing leaves a log before a
//! durable snapshot covers it.

use quorate::SnapshotMeta;
use quorate_core::{EntryId, Index, SnapshotId};

use super::{Broken, Facts, Name, end_of, link_at};

/// What is known of the snapshot of one entry.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    id: SnapshotId,
    meta: SnapshotMeta,
    /// Commands executed and digest of the state, by who restored it first.
    restored: Option<(u64, u64)>,
}

impl Facts {
    /// A snapshot is durable on a node.
    ///
    /// # Errors
    ///
    /// When its last entry is not committed, or another node has other bytes of the same entry.
    pub(crate) fn snapshot_durable(
        &mut self,
        node: usize,
        id: SnapshotId,
        meta: &SnapshotMeta,
    ) -> Result<(), Broken> {
        let committed = link_at(&self.committed, id.last.index);
        if committed.map(|link| link.term) != Some(id.last.term) {
            let what = format!("{} has {id}, whose last entry is not committed", Name(node));
            return Err(Broken::new("a snapshot covers what is committed", what));
        }
        let fresh = || Known { id, meta: meta.clone(), restored: None };
        let known = self.snapshots.entry(id.last.index.0).or_insert_with(fresh);
        if known.id != id || known.meta != *meta {
            let what = format!("{} has {id} with {meta:?}, others {known:?}", Name(node));
            return Err(Broken::new("equal states give equal snapshots", what));
        }
        let covers = &mut self.nodes[node].covered;
        *covers = (*covers).max(id.last.index);
        Ok(())
    }

    /// Bytes of the largest snapshot that was ever durable.
    pub(crate) fn largest_snapshot(&self) -> u64 {
        self.snapshots.values().map(|known| known.id.bytes).max().unwrap_or_default()
    }

    /// A node took the state of a snapshot: so many commands executed, and this state.
    ///
    /// # Errors
    ///
    /// When another node came to another state by it.
    pub(crate) fn restored(
        &mut self,
        node: usize,
        id: SnapshotId,
        found: (u64, u64),
    ) -> Result<(), Broken> {
        let Some(known) = self.snapshots.get_mut(&id.last.index.0) else {
            let what = format!("{} restores {id}, which nobody took", Name(node));
            return Err(Broken::new("a snapshot is the log that it replaces", what));
        };
        let first = *known.restored.get_or_insert(found);
        if first == found {
            return Ok(());
        }
        let what = format!("{} came to {found:?} by {id}, others to {first:?}", Name(node));
        Err(Broken::new("a snapshot is the log that it replaces", what))
    }

    /// Whether there is a snapshot that ends with this entry.
    pub(crate) fn has_snapshot(&self, index: Index) -> bool {
        self.snapshots.contains_key(&index.0)
    }

    /// The log up to an entry holds so many commands and comes to this time; executing it gives so
    /// many that were executed, and this state.
    ///
    /// # Errors
    ///
    /// When the snapshot of that entry gives something else.
    pub(crate) fn replays_to(
        &self,
        index: Index,
        (commands, log_time_ms): (u64, u64),
        replayed: (u64, u64),
    ) -> Result<(), Broken> {
        let Some(known) = self.snapshots.get(&index.0) else { return Ok(()) };
        let said = (known.meta.application_index, known.meta.log_time_ms);
        if said != (commands, log_time_ms) {
            let what = format!("{known:?} of {commands} commands at {log_time_ms} ms");
            return Err(Broken::new("a snapshot says what it holds", what));
        }
        if known.restored.is_none_or(|restored| restored == replayed) {
            return Ok(());
        }
        let what = format!("{known:?}, and a replay gives {replayed:?}");
        Err(Broken::new("a snapshot is the log that it replaces", what))
    }

    /// The log of a node durably begins after `base`.
    ///
    /// # Errors
    ///
    /// When no durable snapshot there covers that, or it is not committed.
    pub(crate) fn begins_after(&mut self, node: usize, base: EntryId) -> Result<(), Broken> {
        let committed = link_at(&self.committed, base.index);
        let facts = &mut self.nodes[node];
        if facts.covered < base.index || committed.map(|link| link.term) != Some(base.term) {
            let what = format!(
                "the log of {} begins after {base}, its snapshots cover {}",
                Name(node),
                facts.covered
            );
            return Err(Broken::new("a snapshot covers what a log gives up", what));
        }
        if link_at(&facts.durable, base.index) != committed {
            let end = usize::try_from(base.index.0).expect("logs are short");
            facts.durable = self.committed[..end].to_vec();
            facts.log.clone_from(&facts.durable);
            for write in &mut facts.pending {
                write.truncate_from = None;
                write.first = base.index.next().0;
                write.links.clear();
            }
        }
        debug_assert!(end_of(&facts.durable) >= base.index, "what is covered is held");
        Ok(())
    }
}
