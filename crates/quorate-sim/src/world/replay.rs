//! The whole log once more, at the end of a run: a machine of its own executes it from the
//! beginning, and must give every reply and every answer that clients were given. Before that every
//! disk is read: a node that never started again after a bad write would not have looked.

use quorate::StateMachine;
use quorate::applier::Applier;
use quorate_core::{EntryKind, Index};
use quorate_log::{Entries, EntryRef};

use super::World;
use super::observed::{Observed, Seen, digest};
use super::sessions::DUPLICATES;
use super::snapshot_steps::digest_of;
use super::workload::Workload;
use crate::history::OperationId;
use crate::invariants::Broken;

/// What was executed by anybody, in order, and what was read in between.
#[derive(Debug, Default)]
pub(super) struct Executed {
    entries: Vec<Entries>,
    last: Index,
    /// Reads that were answered, by the index of the state that answered them.
    reads: Vec<(Index, OperationId)>,
}

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// A node went through these entries, and executed the commands of which `seen` tells.
    pub(super) fn note_executed(&mut self, entries: &Entries, seen: &[Seen]) -> Result<(), Broken> {
        let commands = || entries.iter().filter(|entry| entry.envelope.kind == EntryKind::Command);
        for entry in commands().filter(|entry| entry.envelope.session != 0) {
            let (envelope, index) = (entry.envelope, entry.id.index);
            if is_seen(seen, index) {
                let stamp = (envelope.session, envelope.sequence);
                self.facts.executed_in_session(stamp, index)?;
            }
        }
        let next = self.executed.last.next();
        let Some(first_time) = entries.starting_at(next) else { return Ok(()) };
        for entry in commands().filter(|entry| entry.id.index >= next) {
            if is_seen(seen, entry.id.index) {
                self.facts.executed(entry.id.index, digest(entry.payload))?;
            } else {
                // Recognised where it is executed: a duplicate, or of a session that is gone.
                self.count(DUPLICATES);
            }
        }
        self.executed.last = first_time.last();
        self.executed.entries.push(first_time);
        Ok(())
    }

    /// A query was answered from the state at `index`.
    pub(super) fn note_read(&mut self, index: Index, operation: Option<OperationId>) {
        self.facts.looked(index);
        if let Some(operation) = operation {
            self.executed.reads.push((index, operation));
        }
    }

    /// Reads the whole log of every node that runs from its disk, and compares it with what the node
    /// wrote.
    ///
    /// # Errors
    ///
    /// The first entry that is missing or differs.
    pub fn read_disks(&mut self) -> Result<(), Broken> {
        for node in 0..self.nodes.len() {
            self.nodes[node].disk.clear_faults();
            if let Some(live) = self.nodes[node].live() {
                self.facts.reads_back(node, &mut live.log)?;
            }
        }
        Ok(())
    }

    /// Executes everything once more, and compares.
    ///
    /// # Errors
    ///
    /// The first reply or answer that differs.
    pub fn replay(&mut self) -> Result<(), Broken> {
        let mut reads = core::mem::take(&mut self.executed.reads);
        reads.sort_unstable();
        let mut reads = reads.into_iter().peekable();
        let machine = Observed::new(M::default(), self.workload.fingerprint());
        let mut applier = Applier::with_limits(machine, self.session_limits);
        let all = core::mem::take(&mut self.executed.entries);
        let steps = all.iter().flat_map(|entries| {
            entries
                .iter()
                .map(|entry| entry.id.index)
                .filter_map(|at| entries.starting_at(at).and_then(|entries| entries.up_to(at)))
        });
        let mut commands = 0;
        for step in core::iter::once(None).chain(steps.map(Some)) {
            if let Some(entry) = &step
                && let Err(error) = applier.apply(entry, &[], |_, _| {})
            {
                return Err(Broken::new("commands decode", format!("a replay: {error}")));
            }
            for seen in applier.machine().take_replies() {
                self.facts.replied(None, seen)?;
            }
            let last = step.as_ref().and_then(|step| step.entry(step.last()));
            let is_command = |entry: &EntryRef<'_>| entry.envelope.kind == EntryKind::Command;
            commands += u64::from(last.as_ref().is_some_and(is_command));
            let index = applier.applied();
            if self.facts.has_snapshot(index) {
                let state = (applier.application_index(), digest_of(&mut applier)?);
                let log = (commands, applier.log_time_ms());
                self.facts.replays_to(index, log, state)?;
            }
            while let Some((index, operation)) =
                reads.next_if(|(index, _)| *index == applier.applied())
            {
                let machine = applier.machine().inner();
                self.workload.replay_read(operation, machine).map_err(|what| {
                    let what = format!("{what}, from the state after entry {index}");
                    Broken::new("answers are true", what)
                })?;
            }
        }
        match reads.next() {
            None => Ok(()),
            Some((index, _)) => {
                let what =
                    format!("a query was answered from entry {index}, which nobody executed");
                Err(Broken::new("answers are true", what))
            }
        }
    }
}

/// Whether a command was executed, by what its node showed of those that were.
fn is_seen(seen: &[Seen], index: Index) -> bool {
    seen.binary_search_by_key(&index.0, |seen| seen.index).is_ok()
}
