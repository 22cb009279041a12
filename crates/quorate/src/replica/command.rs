//! An encoded command on its way into the log: owned, or shared with whoever made it.

use std::ops::Deref;
use std::sync::Arc;

/// The bytes of one command. They are copied once, into the block that carries the entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Nobody else holds it.
    Owned(Vec<u8>),
    /// Others may hold it, too.
    Shared(Arc<Vec<u8>>),
}

impl Command {
    /// The same bytes, shared.
    #[must_use]
    pub fn into_shared(self) -> Arc<Vec<u8>> {
        match self {
            Self::Owned(bytes) => Arc::new(bytes),
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Deref for Command {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for Command {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Owned(bytes)
    }
}

impl From<Arc<Vec<u8>>> for Command {
    fn from(bytes: Arc<Vec<u8>>) -> Self {
        Self::Shared(bytes)
    }
}
