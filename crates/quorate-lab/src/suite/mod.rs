//! Which document names which scenario, and how it is run: the table behind `quorate lab`, `make`, and
//! the tests under the documents' names.
//!
//! A [`Suite`] is what a document has together, with its network, its timing and its harness's manner;
//! an [`Entry`] is one of its names for a scenario. The same scenario under two names is run in two
//! ways.

mod names;
mod run;
mod table;

use std::time::Duration;

pub use names::{UnknownName, find};
pub use run::{Clock, Outcome, Run};
pub use table::{ALL, documents};

use crate::harness::{Manner, Pauses, Settings};
use crate::network::{Lost, Model};
use crate::raft::Timing;
use crate::scenario::Scenario;

/// Scenarios that a document has together.
#[derive(Debug)]
pub struct Suite {
    /// What it is called on a command line.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Which document's it is.
    pub document: Document,
    /// Its scenarios, in the document's order.
    pub entries: &'static [Entry],
}

/// A scenario under a document's name.
#[derive(Debug)]
pub struct Entry {
    /// The name.
    pub name: &'static str,
    /// Another name that the document has for it, or the same one.
    pub also: &'static str,
    /// What is run.
    pub scenario: Scenario,
    /// Servers, where this document has another number of them than others.
    pub peers: Option<usize>,
    /// Bytes of Raft state from which on services take snapshots, where it is not the scenario's own.
    pub max_state: Option<usize>,
}

/// Who asks for a suite; it decides how scenarios are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// The async Rust lab.
    AsyncRust,
    /// The talent-plan dss labs.
    Dss,
    /// The Go course lab in the MIT 6.824 manner.
    GoCourse,
    /// None: scenarios that this lab adds.
    Own,
}

impl Document {
    /// Its name in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AsyncRust => "the async Rust lab",
            Self::Dss => "the talent-plan dss labs",
            Self::GoCourse => "the Go course lab",
            Self::Own => "this lab",
        }
    }

    /// What the network does in its suites.
    const fn model(self) -> Model {
        match self {
            Self::AsyncRust => Model::Proxy,
            Self::Dss => Model::LabRpc(Lost::Late),
            Self::GoCourse | Self::Own => Model::LabRpc(Lost::Soon),
        }
    }

    const fn manner(self) -> Manner {
        match self {
            Self::AsyncRust => Manner::Process,
            Self::Dss | Self::GoCourse | Self::Own => Manner::Course,
        }
    }

    const fn timing(self) -> Timing {
        match self {
            Self::AsyncRust => Timing::brisk(),
            Self::Dss | Self::GoCourse | Self::Own => Timing::course(),
        }
    }

    /// The time that one of its scenarios may take. The async Rust lab gives some of them more.
    const fn limit(self, scenario: Scenario) -> Duration {
        let seconds = match (self, scenario) {
            (Self::Dss | Self::GoCourse | Self::Own, _) => 120,
            (Self::AsyncRust, Scenario::N4 | Scenario::P1) => 180,
            (Self::AsyncRust, Scenario::R7 | Scenario::R9 | Scenario::U3 | Scenario::U4) => 240,
            (Self::AsyncRust, Scenario::P2) => 360,
            (Self::AsyncRust, Scenario::P7) => 480,
            (Self::AsyncRust, _) => 120,
        };
        Duration::from_secs(seconds)
    }
}

impl Suite {
    /// How one of its scenarios is run.
    #[must_use]
    pub fn settings(&self, entry: &Entry, pauses: Pauses) -> Settings {
        Settings {
            manner: self.document.manner(),
            model: self.document.model(),
            timing: self.document.timing(),
            pauses,
            peers: entry.peers,
            max_state: entry.max_state,
            limit: self.document.limit(entry.scenario),
        }
    }
}

impl Entry {
    /// A name of it without spaces.
    #[must_use]
    pub fn word(&self) -> &'static str {
        if self.name.contains(' ') { self.also } else { self.name }
    }
}

#[cfg(test)]
mod tests;
