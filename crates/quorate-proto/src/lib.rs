//! The etcd v3 wire messages and services and our own, generated and committed.
//!
//! The `.proto` files in `proto/` are this project's own, written from etcd's public field numbers;
//! `cargo xtask generate` makes the code from them, so that building needs no generator. What is
//! `bytes` on the wire is [`bytes::Bytes`] here: a decoded field shares the receive buffer, so
//! whoever keeps a value for long copies it.
//!
//! - Messages need no feature; `client` and `server` add the two sides of the services over tonic.
//! - Decoding refuses messages nested more than a hundred deep (prost's limit, left on).
//! - Enums are plain numbers in the messages, because a peer may send any number.

#[allow(
    missing_docs,
    rustdoc::all,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "generated"
)]
pub mod mvccpb {
    //! One version of a key, and one change of it.
    include!("generated/mvccpb.rs");
}

#[allow(
    missing_docs,
    rustdoc::all,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "generated"
)]
pub mod etcdserverpb {
    //! The requests, replies and services of etcd v3.
    include!("generated/etcdserverpb.rs");
}

#[allow(
    missing_docs,
    rustdoc::all,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "generated"
)]
pub mod health {
    //! The standard gRPC health service, `grpc.health.v1`.
    include!("generated/grpc.health.v1.rs");
}

#[allow(
    missing_docs,
    rustdoc::all,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "generated"
)]
pub mod quoratepb {
    //! What Quorate offers beside etcd's API: sessions, and an atomic append.
    include!("generated/quoratepb.rs");
}
