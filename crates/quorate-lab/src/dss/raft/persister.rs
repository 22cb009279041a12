//! Where a peer keeps what must survive a crash, in the labs' form: one blob of state, and one
//! snapshot beside it.

use std::sync::{Mutex, PoisonError};

/// Keeps blobs. A saved blob replaces the one before.
pub trait Persister: Send + 'static {
    /// The state as it was saved last; empty if it never was.
    fn raft_state(&self) -> Vec<u8>;

    /// Saves the state; the snapshot stays.
    fn save_raft_state(&self, state: Vec<u8>);

    /// Saves both, or neither.
    fn save_state_and_snapshot(&self, state: Vec<u8>, snapshot: Vec<u8>);

    /// The snapshot as it was saved last; empty if it never was.
    fn snapshot(&self) -> Vec<u8>;
}

/// Keeps them in memory.
#[derive(Debug, Default)]
pub struct SimplePersister(Mutex<(Vec<u8>, Vec<u8>)>);

impl SimplePersister {
    /// Nothing saved yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, act: impl FnOnce(&mut (Vec<u8>, Vec<u8>)) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Persister for SimplePersister {
    fn raft_state(&self) -> Vec<u8> {
        self.with(|kept| kept.0.clone())
    }

    fn save_raft_state(&self, state: Vec<u8>) {
        self.with(|kept| kept.0 = state);
    }

    fn save_state_and_snapshot(&self, state: Vec<u8>, snapshot: Vec<u8>) {
        self.with(|kept| *kept = (state, snapshot));
    }

    fn snapshot(&self) -> Vec<u8> {
        self.with(|kept| kept.1.clone())
    }
}

/// The lab's own persister is one, too.
impl Persister for std::sync::Arc<crate::persister::Persister> {
    fn raft_state(&self) -> Vec<u8> {
        self.state()
    }

    fn save_raft_state(&self, state: Vec<u8>) {
        self.save_state(state);
    }

    fn save_state_and_snapshot(&self, state: Vec<u8>, snapshot: Vec<u8>) {
        (**self).save_state_and_snapshot(state, snapshot);
    }

    fn snapshot(&self) -> Vec<u8> {
        (**self).snapshot()
    }
}
