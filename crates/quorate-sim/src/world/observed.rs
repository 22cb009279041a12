//! A state machine under observation: every reply leaves a fingerprint.
//!
//! The same command at the same place must give the same reply on every node, whoever waits for it.

use std::cell::{Cell, RefCell};
use std::panic;

use quorate::{Applying, Codec, StateMachine};

/// Wraps the user's machine.
#[derive(Debug)]
pub(crate) struct Observed<M> {
    inner: M,
    /// Index of the entry and fingerprint of the reply, since they were last taken.
    replies: RefCell<Vec<(u64, u64)>>,
    /// The next command panics.
    panics: Cell<bool>,
}

/// What a panic on purpose carries.
#[derive(Debug)]
pub(crate) struct OnPurpose;

impl<M> Observed<M> {
    pub(crate) const fn new(inner: M) -> Self {
        Self { inner, replies: RefCell::new(Vec::new()), panics: Cell::new(false) }
    }

    /// Lets the next command panic.
    pub(crate) fn panic_next(&self) {
        self.panics.set(true);
    }

    pub(crate) const fn inner(&self) -> &M {
        &self.inner
    }

    /// Index and fingerprint of every reply since this was last asked.
    pub(crate) fn take_replies(&self) -> Vec<(u64, u64)> {
        self.replies.take()
    }
}

impl<M: StateMachine> StateMachine for Observed<M> {
    type Command = M::Command;
    type Reply = (Vec<u8>, u64);
    type Query = M::Query;
    type Answer = M::Answer;

    fn apply(&mut self, at: &Applying, command: M::Command) -> Self::Reply {
        if self.panics.take() {
            // Without the hook: nobody is to be told of what was meant to happen.
            panic::resume_unwind(Box::new(OnPurpose));
        }
        let reply = self.inner.apply(at, command);
        let mut bytes = Vec::new();
        let encoded = reply.encode(&mut bytes).is_ok();
        let print = fingerprint(&bytes) ^ u64::from(!encoded);
        self.replies.borrow_mut().push((at.id.index.0, print));
        (bytes, print)
    }

    fn query(&self, query: M::Query) -> M::Answer {
        self.inner.query(query)
    }
}

/// FNV-1a: enough to tell replies apart.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
