//! Formatting an empty directory.
//!
//! The identity comes last: a directory without one was never used, and formatting begins again.
//! Before it, both copies of term and vote are durable by content and by name, so that a directory
//! with an identity always has them.

use quorate_core::{BootCounter, ClusterId, HardState};

use super::{Opening, Stage};
use crate::directory::{LOCK, TEMPORARY};
use crate::error::OpenError;
use crate::fs::Fs;
use crate::hard_state::{Copy, HardStateRecord};
use crate::small::{Small, SmallKind};

/// One operation of formatting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FormatStep {
    Remove(String),
    Create(&'static str),
    Write(&'static str),
    Sync,
    SyncNames,
    Name,
}

/// The identity before it has its name.
const IDENTITY_TEMPORARY: &str = "identity.tmp";

impl<F: Fs> Opening<F> {
    /// Plans to format; what a crash left of an earlier try goes first.
    pub(super) fn plan_format(&mut self) {
        let leftovers = self.names.iter().filter(|name| *name != LOCK);
        self.format = leftovers.cloned().map(FormatStep::Remove).collect();
        for name in [Copy::A.name(), Copy::B.name()] {
            self.format.extend([
                FormatStep::Create(name),
                FormatStep::Write(name),
                FormatStep::Sync,
            ]);
        }
        self.format.extend([
            FormatStep::SyncNames,
            FormatStep::Create(IDENTITY_TEMPORARY),
            FormatStep::Write(IDENTITY_TEMPORARY),
            FormatStep::Sync,
            FormatStep::Name,
            FormatStep::SyncNames,
        ]);
        debug_assert!(IDENTITY_TEMPORARY.ends_with(TEMPORARY));
    }

    /// Does one operation of formatting.
    pub(super) fn format(&mut self) -> Result<(), OpenError> {
        let Some(step) = self.format.pop_front() else {
            self.reading.file = None;
            self.report.formatted = true;
            self.stage = Stage::List;
            return Ok(());
        };
        match step {
            FormatStep::Remove(name) => self.directory().remove(&name)?,
            FormatStep::Create(name) => self.reading.file = Some(self.directory().create(name)?),
            FormatStep::Write(name) => {
                let bytes = self.initial(name);
                self.reading.file.as_ref().expect("created before").write(&bytes, 0)?;
            }
            FormatStep::Sync => self.reading.file.as_ref().expect("created before").sync()?,
            FormatStep::SyncNames => self.directory().sync_dir()?,
            FormatStep::Name => {
                self.directory().rename(IDENTITY_TEMPORARY, SmallKind::Identity.name())?;
            }
        }
        Ok(())
    }

    /// What a file holds when a directory is formatted.
    fn initial(&self, name: &str) -> Vec<u8> {
        let node = self.options.format_as.expect("checked before formatting was planned");
        if name == IDENTITY_TEMPORARY {
            let kind = SmallKind::Identity;
            let (cluster, numbers) = (ClusterId::ZERO, [0; 3]);
            return Small { kind, node, cluster, numbers, content: Vec::new() }.encode();
        }
        HardStateRecord {
            sequence: 1,
            node,
            cluster: ClusterId::ZERO,
            boot: BootCounter::ZERO,
            state: HardState::default(),
            durable_batch: 0,
            segment: 0,
        }
        .encode()
    }
}
