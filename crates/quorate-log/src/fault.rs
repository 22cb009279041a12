//! The faulty in-memory file system.
