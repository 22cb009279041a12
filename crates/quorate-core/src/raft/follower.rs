//! Appends as a follower takes them (Raft §5.3, figure 2: AppendEntries receiver).
//!
//! - Only a real conflict of terms truncates, never at or below the commit index: a late or
//!   repeated append must not cut entries that a later one brought.
//! - The commit index follows no further than this message verifies: entries beyond it may be a
//!   stale tail.
//! - An acknowledgement of entries waits for the write that covers them, which may be an earlier
//!   one. A heartbeat's acknowledges what is durable, and waits for no entries.

use super::Raft;
use super::role::Role;
use crate::effect::{DropReason, Effect, HaltReason};
use crate::entry::Run;
use crate::id::{EntryId, Index, NodeId, RequestId};
use crate::message::{Append, AppendReply, Message};

impl Raft {
    pub(super) fn handle_append(
        &mut self,
        from: NodeId,
        request: RequestId,
        append: &Append,
        effects: &mut Vec<Effect>,
    ) {
        if !self.follow(from, effects) {
            return;
        }
        if self.receiving.is_some()
            && self.is_installing(from, request, append.wants_reply, effects)
        {
            return;
        }
        let (recorded, last) = (append.recorded, self.log.last());
        if append.recorded_boot == self.sender.boot
            && recorded > last.index
            && self.membership().contains(from)
            && !mutant!(RolledBackGoesOn)
        {
            return self.halt(HaltReason::LostDurability { recorded, last }, effects);
        }
        let reply = match self.check_append(append) {
            Err(reason) => return effects.push(Effect::Dropped(reason)),
            Ok(Check::Missing(hint)) => AppendReply::Rejected { prev: append.prev.index, hint },
            Ok(Check::Agrees(difference)) => self.take_append(append, difference, effects),
        };
        if append.wants_reply {
            let after = match reply {
                AppendReply::Accepted { .. } if mutant!(AcknowledgedUnsynced) => None,
                AppendReply::Accepted { matched } => self.after_entries(matched),
                AppendReply::Rejected { .. } => None,
            };
            self.send_reply(from, request, Message::AppendReply(reply), after, effects);
        }
    }

    /// Recognises the sender as leader of the present term; says whether the append may go on.
    pub(super) fn follow(&mut self, from: NodeId, effects: &mut Vec<Effect>) -> bool {
        if matches!(self.role, Role::PreCandidate(_) | Role::Candidate(_)) {
            self.become_follower(self.term());
        }
        let known = match &self.role {
            Role::Follower(follower) => follower.leader.unwrap_or(from),
            Role::PreCandidate(_) | Role::Candidate(_) | Role::Leader(_) => self.id,
        };
        if known != from {
            if self.membership().contains(from) {
                let term = self.term();
                self.halt(HaltReason::TwoLeaders { term, known, other: from }, effects);
            } else {
                effects.push(Effect::Dropped(DropReason::Absurd));
            }
            return false;
        }
        let (now, election_at) = (self.now, self.election_deadline());
        if self.leader().is_none() {
            self.reads.ask_at(now);
        }
        if let Role::Follower(follower) = &mut self.role {
            follower.leader = Some(from);
            follower.heard_at = Some(now);
            follower.election_at = election_at;
        }
        true
    }

    /// Whether the logs agree at `prev` (Raft §5.3, Log Matching). What contradicts a committed
    /// entry comes from no leader.
    fn check_append(&self, append: &Append) -> Result<Check, DropReason> {
        if !append.is_well_formed(self.term()) || append.prev.term > self.term() {
            return Err(DropReason::Absurd);
        }
        let (prev, base) = (append.prev, self.log.base());
        if prev == self.log.last() {
            // Nearly always: it goes on where this log ends.
            return Ok(Check::Agrees(append.runs.first().map(|run| run.first)));
        }
        let is_below = prev.index < base.index && !mutant!(CompactedIsMissing);
        let is_held = self.log.holds(prev)
            || mutant!(PrevByIndexAlone) && self.log.term_at(prev.index).is_some();
        if is_below || is_held {
            let covers_base = |run: &&Run| run.first <= base.index && base.index <= run.last();
            let at_base = append.runs.iter().find(covers_base);
            let difference = self.log.first_difference(&append.runs);
            let contradicts = at_base.is_some_and(|run| run.term != base.term)
                || difference.is_some_and(|from| from <= self.commit);
            return if contradicts {
                Err(DropReason::Absurd)
            } else {
                Ok(Check::Agrees(difference))
            };
        }
        if prev.index <= self.commit {
            return Err(DropReason::Absurd);
        }
        let hint = self.log.highest_at_or_below(prev.index, prev.term);
        Ok(Check::Missing(hint.unwrap_or(base)))
    }

    /// Takes what is missing from `difference` on, lets go of what conflicts, follows the commit
    /// index.
    fn take_append(
        &mut self,
        append: &Append,
        difference: Option<Index>,
        effects: &mut Vec<Effect>,
    ) -> AppendReply {
        let everything = append.prev.index.max(self.commit).next();
        let difference = if mutant!(CutWithoutConflict) { Some(everything) } else { difference };
        if let Some(from) = difference {
            if from <= self.log.last().index {
                self.truncate_from(from, effects);
            }
            for run in &append.runs {
                self.append_above(run, from.previous());
            }
        }
        let end = append.end();
        let verified =
            if mutant!(CommitUnverified) { append.commit } else { append.commit.min(end) };
        let known = self.commit.max(verified.min(self.log.last().index));
        self.raise_commit(known);
        self.hand_out_committed(effects);
        let matched =
            if append.runs.is_empty() { end.min(self.durability.persisted()) } else { end };
        AppendReply::Accepted { matched }
    }

    /// Appends the part of a run that lies above `index`.
    fn append_above(&mut self, run: &Run, index: Index) {
        if run.last() <= index {
            return;
        }
        if run.first > index {
            return self.append_run(run);
        }
        let skipped = u32::try_from(index.distance(run.first) + 1)
            .expect("fewer entries are skipped than the run holds");
        let mut rest = run.clone();
        rest.bytes -= run.bytes / u64::from(run.count) * u64::from(skipped);
        rest.count -= skipped;
        rest.first = index.next();
        self.append_run(&rest);
    }
}

/// What a follower finds at `prev`.
enum Check {
    /// The logs agree up to `prev`, and beyond it up to before this index, if they part at all.
    Agrees(Option<Index>),
    /// They do not; this is where they may.
    Missing(EntryId),
}
