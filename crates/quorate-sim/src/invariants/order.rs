//! What only grows on a node, and in which order its marks stand.

use quorate_core::{Index, RoleName, Status, Term};

use super::{Broken, Facts, Name, link_at};

/// Where a node stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermarks {
    term: Term,
    commit: Index,
    applied: Index,
}

impl Watermarks {
    pub(super) const fn term(&self) -> Term {
        self.term
    }
}

impl Facts {
    /// A node begins a life with this boot counter and the term that its disk gave back.
    ///
    /// # Errors
    ///
    /// When the counter is not higher than in every life before.
    pub fn begins(&mut self, node: usize, boot: u64, term: Term) -> Result<(), Broken> {
        let facts = &mut self.nodes[node];
        if boot <= facts.boot {
            let what =
                format!("{node} begins boot {boot} after boot {}", facts.boot, node = Name(node));
            return Err(Broken::new("no boot counter comes twice", what));
        }
        facts.boot = boot;
        facts.marks = Watermarks { term, ..Watermarks::default() };
        Ok(())
    }

    /// A node after a step of its boot.
    ///
    /// # Errors
    ///
    /// When a mark fell, or stands beyond one that bounds it.
    pub fn stands(&mut self, node: usize, boot: u64, status: &Status) -> Result<(), Broken> {
        let (term, commit, applied) = (status.hard_state.term, status.commit, status.applied);
        let ordered = status.base.index <= status.applied
            && status.applied <= status.applying
            && status.applying <= status.commit
            && status.applying <= status.persisted
            && status.commit <= status.last.index;
        if !ordered {
            let what = format!("{node} stands at {status:?}", node = Name(node));
            return Err(Broken::new("marks stand in order", what));
        }
        let facts = &mut self.nodes[node];
        let before = facts.marks;
        let same_boot = facts.boot == boot;
        if (same_boot && term < before.term) || boot < facts.boot {
            let what =
                format!("{node} went back from {} to {term}", before.term, node = Name(node));
            return Err(Broken::new("a term never falls", what));
        }
        if same_boot && (commit < before.commit || applied < before.applied) {
            let what = format!(
                "{node} went back from {before:?} to {commit} and {applied}",
                node = Name(node)
            );
            return Err(Broken::new("commit and applied index never fall", what));
        }
        // Raft §5.4.2: only what a leader appended itself is committed by counting.
        if same_boot && status.role == RoleName::Leader && commit > before.commit {
            let own = link_at(&facts.log, commit).map(|link| link.term);
            if own.is_some_and(|own| own != term) {
                let what = format!(
                    "{node} leads {term} and commits {commit} of {own:?}",
                    node = Name(node)
                );
                return Err(Broken::new("a leader commits entries of its own term", what));
            }
        }
        facts.marks = Watermarks { term, commit, applied };
        facts.boot = boot;
        Ok(())
    }
}
