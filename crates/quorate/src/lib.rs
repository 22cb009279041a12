//! Consensus for people who build things.
pub mod codec;
pub mod machine;

pub use codec::{Codec, CodecError};
pub use machine::{Applying, StateMachine};
