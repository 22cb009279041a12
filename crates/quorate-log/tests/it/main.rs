//! Integration tests of the log: through its public interface and the faulty file system.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]

mod crash;
mod damage;
mod directory;
mod fence;
mod format;
mod frozen;
mod model;
mod records;
mod regressions;
mod running;
mod snapshots;
mod support;
