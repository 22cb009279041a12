//! The lab's tests of itself.
