//! The etcd v3 services over a replicated store.
