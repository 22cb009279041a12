//! A durable, segmented, checksummed Raft log with group commit, driven one file operation at a time.
