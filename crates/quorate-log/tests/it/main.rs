//! Integration tests of the log: through its public interface and the faulty file system.
#![allow(missing_docs, reason = "tests")]

mod crash;
mod damage;
mod directory;
mod model;
mod records;
mod regressions;
mod running;
mod support;
