//! Quorate's own Raft in the lab: the replica of production behind a shell of its own.
