//! The etcd v3 wire messages and services, generated and committed.
