//! Tests of the store through its public face: the language against a naive model, the habits of
//! etcd that clients rely on, and the encoding.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "tests")]

mod codec;
mod commands;
mod machine;
mod model;
mod property;
mod quirks;
mod snapshot;
