//! A multi-version key-value store with etcd's semantics, as a pure state machine.
