//! Tests of the protocol from outside: random clusters, rules of the paper, golden transcripts.
#![allow(missing_docs, unreachable_pub, reason = "tests")]

mod cluster;
mod paper;
mod property;
mod scenario;
