//! From encoded entries to what the core is told of them, memberships included.

use std::sync::Arc;

use quorate_core::{EntryKind, Few, Index, Run};
use quorate_log::Entries;

use crate::roster::{Roster, RosterError};

/// A membership entry whose content this program cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the membership in entry {index} cannot be read: {source}")]
pub struct HeadsError {
    /// The entry.
    pub index: Index,
    /// What is wrong with it.
    pub source: RosterError,
}

/// The runs of these entries, the content of membership entries decoded.
///
/// # Errors
///
/// When a membership entry cannot be decoded.
pub fn heads(slices: &[Entries]) -> Result<Few<Run>, HeadsError> {
    if let [slice] = slices
        && let Some(run) = slice.only_run()
        && run.kind != EntryKind::Membership
    {
        return Ok(Few::one(run));
    }
    let mut runs = Few::new();
    for slice in slices {
        for mut run in slice.runs() {
            if run.kind == EntryKind::Membership {
                let payload = slice.entry(run.first).map_or(&[][..], |entry| entry.payload);
                run.membership = Some(Arc::new(decode(run.first, payload)?.membership()));
            }
            runs.push(run);
        }
    }
    Ok(runs)
}

/// Decodes the content of a membership entry.
pub(crate) fn decode(index: Index, payload: &[u8]) -> Result<Roster, HeadsError> {
    Roster::decode(payload).map_err(|source| HeadsError { index, source })
}

/// Rosters of these entries, with the index that each is in force from.
pub(crate) fn rosters(entries: &Entries) -> impl Iterator<Item = (Index, Arc<Roster>)> {
    let memberships = entries.iter().filter(|e| e.envelope.kind == EntryKind::Membership);
    memberships.filter_map(|entry| {
        let roster = decode(entry.id.index, entry.payload).ok()?;
        Some((entry.id.index, Arc::new(roster)))
    })
}
