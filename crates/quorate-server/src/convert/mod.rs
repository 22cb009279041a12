//! Between etcd's messages and the store's types: requests in, replies out.
//!
//! What a request says that the store has no word for (an operation without content, a number
//! where one of a few was expected) is refused here; everything else is the store's to judge.

mod reply;
mod request;

#[cfg(test)]
mod tests;

pub(crate) use reply::{delete_range_reply, put_reply, range_reply, txn_reply};
pub(crate) use request::{delete_range, put, range, txn};
