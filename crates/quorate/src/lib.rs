//! Consensus for people who build things.
pub mod codec;
pub mod error;
pub mod founding;
pub mod machine;
pub mod replica;
pub mod roster;
pub mod transport;
pub mod wire;

pub use codec::{Codec, CodecError};
pub use machine::{Applying, StateMachine};
