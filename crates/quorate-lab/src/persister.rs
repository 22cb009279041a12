//! What a peer has left after a crash: the blob of its state, and a snapshot beside it.
//!
//! - Each save replaces the whole, and one that saves both, saves both or none.
//! - A crash takes a [`Persister::copy`]: what the crashed instance saves from then on, nobody reads.
//!   A persister that keeps a file is closed instead, and what the file holds is read again.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where blobs go beside memory, for those who keep them in files. Called in order, and never twice
/// at a time.
pub trait Store: Send + 'static {
    /// Keeps both, or neither. `snapshot` is nothing where it stays as it is.
    ///
    /// # Panics
    ///
    /// A store that cannot keep them panics with what it tried and why it failed: a Raft that goes on
    /// without has forgotten its promise.
    fn keep(&mut self, state: &[u8], snapshot: Option<&[u8]>);
}

/// See the module. Shared by the Raft, its service and the harness.
pub struct Persister(Mutex<Kept>);

struct Kept {
    state: Arc<Vec<u8>>,
    snapshot: Arc<Vec<u8>>,
    saves: u64,
    /// Highest length of the state so far.
    most: usize,
    store: Option<Box<dyn Store>>,
}

impl Persister {
    /// Nothing saved yet, and nothing but memory.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::from_parts(Vec::new(), Vec::new())
    }

    /// With these blobs saved already.
    #[must_use]
    pub fn from_parts(state: Vec<u8>, snapshot: Vec<u8>) -> Arc<Self> {
        Self::make(Arc::new(state), Arc::new(snapshot), None)
    }

    /// With these blobs, and whatever is saved kept in `store`, too.
    #[must_use]
    pub fn with_store(state: Vec<u8>, snapshot: Vec<u8>, store: impl Store) -> Arc<Self> {
        Self::make(Arc::new(state), Arc::new(snapshot), Some(Box::new(store)))
    }

    fn make(
        state: Arc<Vec<u8>>,
        snapshot: Arc<Vec<u8>>,
        store: Option<Box<dyn Store>>,
    ) -> Arc<Self> {
        let most = state.len();
        Arc::new(Self(Mutex::new(Kept { state, snapshot, saves: 0, most, store })))
    }

    /// Saves the state; the snapshot stays as it is.
    pub fn save_state(&self, state: Vec<u8>) {
        self.save(state, None);
    }

    /// Saves both at once.
    pub fn save_state_and_snapshot(&self, state: Vec<u8>, snapshot: Vec<u8>) {
        self.save(state, Some(snapshot));
    }

    fn save(&self, state: Vec<u8>, snapshot: Option<Vec<u8>>) {
        let mut kept = self.kept();
        if let Some(store) = &mut kept.store {
            store.keep(&state, snapshot.as_deref());
        }
        kept.saves += 1;
        kept.most = kept.most.max(state.len());
        kept.state = Arc::new(state);
        if let Some(snapshot) = snapshot {
            kept.snapshot = Arc::new(snapshot);
        }
    }

    /// The state that was saved last; empty where none was.
    #[must_use]
    pub fn state(&self) -> Vec<u8> {
        self.kept().state.to_vec()
    }

    /// The snapshot that was saved last; empty where none was.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        self.kept().snapshot.to_vec()
    }

    /// Both, as one save left them.
    #[must_use]
    pub fn both(&self) -> (Vec<u8>, Vec<u8>) {
        let kept = self.kept();
        (kept.state.to_vec(), kept.snapshot.to_vec())
    }

    /// Bytes of the state.
    #[must_use]
    pub fn state_len(&self) -> usize {
        self.kept().state.len()
    }

    /// Bytes of the snapshot.
    #[must_use]
    pub fn snapshot_len(&self) -> usize {
        self.kept().snapshot.len()
    }

    /// The most bytes that the state ever had.
    #[must_use]
    pub fn most_state_len(&self) -> usize {
        self.kept().most
    }

    /// How often anything was saved.
    #[must_use]
    pub fn saves(&self) -> u64 {
        self.kept().saves
    }

    /// What a new instance finds. The two share nothing from then on, and a store stays with the
    /// new one.
    #[must_use]
    pub fn copy(&self) -> Arc<Self> {
        let mut kept = self.kept();
        let store = kept.store.take();
        Self::make(Arc::clone(&kept.state), Arc::clone(&kept.snapshot), store)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Persister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept();
        f.debug_struct("Persister")
            .field("state", &kept.state.len())
            .field("snapshot", &kept.snapshot.len())
            .field("saves", &kept.saves)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_crashed_instance_writes_to_nowhere() {
        let before = Persister::new();
        before.save_state_and_snapshot(vec![1], vec![2]);
        let after = before.copy();
        before.save_state(vec![3; 3]);
        assert_eq!(after.both(), (vec![1], vec![2]));
        after.save_state(vec![4; 4]);
        assert_eq!((after.state_len(), after.snapshot_len(), after.saves()), (4, 1, 1));
        assert_eq!(before.both(), (vec![3; 3], vec![2]), "the snapshot stays where none is given");
        after.save_state(Vec::new());
        assert_eq!(after.most_state_len(), 4);
    }

    #[test]
    fn a_store_sees_each_save_once_and_whole_and_only_from_the_living() {
        struct Seen(mpsc::Sender<(Vec<u8>, Option<Vec<u8>>)>);

        impl Store for Seen {
            fn keep(&mut self, state: &[u8], snapshot: Option<&[u8]>) {
                let seen = (state.to_vec(), snapshot.map(<[u8]>::to_vec));
                self.0.send(seen).expect("the test listens");
            }
        }

        let (sender, seen) = mpsc::channel();
        let before = Persister::with_store(vec![9], vec![8], Seen(sender));
        assert_eq!(before.both(), (vec![9], vec![8]));
        before.save_state_and_snapshot(vec![1], vec![2]);
        let after = before.copy();
        before.save_state(vec![7]);
        after.save_state(vec![3]);
        drop((before, after));
        assert_eq!(seen.iter().collect::<Vec<_>>(), [(vec![1], Some(vec![2])), (vec![3], None)]);
    }
}
