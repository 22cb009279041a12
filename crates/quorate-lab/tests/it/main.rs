//! The lab's tests of itself.
#![allow(missing_docs, unreachable_pub, reason = "tests")]
#![allow(clippy::cast_possible_truncation, reason = "indices of a test are small")]
#![allow(clippy::print_stdout, reason = "what a fault was told as is worth reading")]

mod blocking;
mod bring_your_own;
mod every;
mod faces;
mod faults;
mod figures;
mod signatures;
mod small;
mod threads;
