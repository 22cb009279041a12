//! What the server says its version is.
//!
//! Clients read etcd's version to decide which features they may use, and take digits and dots
//! only: the version fields name the etcd release whose behaviour is offered. Our own version
//! stands beside it where there is room.

/// The etcd release whose behaviour clients may expect.
pub(crate) const ETCD_SERVER: &str = "3.5.21";
/// The level that the whole cluster offers.
pub(crate) const ETCD_CLUSTER: &str = "3.5.0";
/// This program's own version.
pub(crate) const QUORATE: &str = env!("CARGO_PKG_VERSION");
