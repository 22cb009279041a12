//! A state machine under observation: every reply leaves a fingerprint, and every state where the
//! workload says what it is.
//!
//! The same command at the same place must give the same reply on every node, whoever waits for it.

use std::cell::{Cell, RefCell};
use std::io::Read;
use std::panic;
use std::sync::Arc;

use quorate::{Applying, Codec, Snapshot, SnapshotError, StateMachine};

/// Room for a reply of a usual size.
const REPLY_BYTES: usize = 192;

/// Wraps the user's machine.
pub(crate) struct Observed<M> {
    inner: M,
    state: Option<Fingerprint<M>>,
    /// What was seen since it was last taken.
    replies: RefCell<Vec<Seen>>,
    /// The next command panics.
    panics: Cell<bool>,
    /// The command at this index of the application panics, however often it is executed.
    poison: Cell<Option<u64>>,
}

/// What tells one state from another.
pub type Fingerprint<M> = Arc<dyn Fn(&M) -> u64 + Send + Sync>;

/// What the execution of a command showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Index of its entry.
    pub(crate) index: u64,
    /// Fingerprint of the reply.
    pub(crate) reply: u64,
    /// Fingerprint of the state after it; zero where nobody says what it is.
    pub(crate) state: u64,
}

impl<M> core::fmt::Debug for Observed<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Observed").field("replies", &self.replies).finish_non_exhaustive()
    }
}

/// What a panic on purpose carries.
#[derive(Debug)]
pub(crate) struct OnPurpose;

impl<M> Observed<M> {
    pub(crate) const fn new(inner: M, state: Option<Fingerprint<M>>) -> Self {
        Self {
            inner,
            state,
            replies: RefCell::new(Vec::new()),
            panics: Cell::new(false),
            poison: Cell::new(None),
        }
    }

    /// The user's machine.
    pub(crate) const fn inner(&self) -> &M {
        &self.inner
    }

    /// Takes back that the next command panics.
    pub(crate) fn calm_down(&self) {
        self.panics.set(false);
    }

    /// Lets the next command panic.
    pub(crate) fn panic_next(&self) {
        self.panics.set(true);
    }

    /// Lets the command at an index of the application panic whenever it is executed, or none.
    pub(crate) fn panic_at(&self, poison: Option<u64>) {
        self.poison.set(poison);
    }

    /// What every command since this was last asked showed.
    pub(crate) fn take_replies(&self) -> Vec<Seen> {
        self.replies.take()
    }
}

impl<M: StateMachine> StateMachine for Observed<M> {
    type Command = M::Command;
    /// The reply in bytes, and the index of the entry.
    type Reply = (Vec<u8>, u64);
    type Query = M::Query;
    type Answer = M::Answer;

    fn apply(&mut self, at: &Applying, command: M::Command) -> Self::Reply {
        if self.panics.take() || self.poison.get() == Some(at.application_index) {
            // Without the hook: nobody is to be told of what was meant to happen.
            panic::resume_unwind(Box::new(OnPurpose));
        }
        let reply = self.inner.apply(at, command);
        let mut bytes = Vec::with_capacity(REPLY_BYTES);
        reply.encode(&mut bytes).expect("a reply encodes");
        let state = self.state.as_ref().map_or(0, |print| print(&self.inner));
        let index = at.id.index.0;
        self.replies.borrow_mut().push(Seen { index, reply: digest(&bytes), state });
        (bytes, index)
    }

    fn query(&self, query: M::Query) -> M::Answer {
        self.inner.query(query)
    }
}

/// What was seen is no part of it.
impl<M: Snapshot> Snapshot for Observed<M> {
    type View = M::View;

    fn view(&self) -> M::View {
        self.inner.view()
    }

    fn restore(&mut self, from: &mut dyn Read) -> Result<(), SnapshotError> {
        self.inner.restore(from)
    }
}

/// What tells bytes from others, eight at a time: for checks that look at every entry on every node.
/// Bytes that differ within one word only never have the same.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    let mix =
        |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash =
        words.iter().fold(bytes.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(hash, u64::from_le_bytes(last))
}

/// FNV-1a: enough to tell replies apart.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
