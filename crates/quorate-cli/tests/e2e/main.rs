//! End-to-end tests: real processes, real sockets, real disks, SIGKILL.
//!
//! `cargo test --test e2e` runs them; a plain `cargo test` leaves them out. Every case has servers, ports
//! and directories of its own, waits for conditions and not for time, and leaves nothing running.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests"
)]

mod backup;
mod bad_input;
mod bench;
mod command_line;
mod demo;
mod harness;
mod idle;
mod kill;
mod lab;
mod once;
mod restore;
mod wiped;
