//! The committed code is what its inputs give, and its field numbers are etcd's.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod manifest;
mod wire;
