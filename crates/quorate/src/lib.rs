//! Consensus for people who build things.
pub mod codec;
pub mod founding;
pub mod machine;
pub mod roster;
pub mod wire;

pub use codec::{Codec, CodecError};
pub use machine::{Applying, StateMachine};
