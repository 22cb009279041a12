//! Break a cluster on purpose, from a seed, and find out whether it kept its promise.
//!
//! [`world::World`] runs the production replica, log, recovery and applier of every node on a
//! virtual network, disk and clock; [`run::run_seed`] judges one seed after every step by
//! [`invariants`] and at its end by what the clients saw; [`shrink::shrink`] makes a failing run
//! small. Two runs of one seed are the same run.
//!
//! From what clients saw alone:
//!
//! - [`History`] records what clients did: when each operation was called, when and how it ended.
//!   An operation whose outcome the client never learnt may have taken effect at any later time,
//!   or never.
//! - [`Model`] says in a few lines what one operation does to a store on one machine;
//!   [`Register`], [`KeyValue`] and [`Counter`] are ready.
//! - [`Checker`] decides whether some order of the operations explains every answer and respects
//!   real time. If there is none, it says which few operations already contradict each other.
//!
//! ```
//! use core::time::Duration;
//! use quorate_sim::{Checker, ClientId, History, KeyValue, KeyValueOp, KeyValueOutput};
//!
//! let at = Duration::from_millis;
//! let mut history = History::new();
//! let put = history.invoke(ClientId(1), KeyValueOp::put("x", "1"), at(0));
//! history.returned(put, KeyValueOutput::Done, at(2));
//! let get = history.invoke(ClientId(2), KeyValueOp::get("x"), at(3));
//! history.returned(get, KeyValueOutput::Value(None), at(4));
//!
//! let verdict = Checker::new(KeyValue).check(&history);
//! let violation = verdict.violation().expect("the read missed a write that had returned");
//! assert_eq!(violation.operations, [put, get]);
//! println!("{violation}");
//! ```
#![forbid(unsafe_code)]

pub mod builder;
pub mod history;
pub mod invariants;
pub mod linearizable;
mod liveness;
pub mod model;
pub mod page;
pub mod queue;
pub mod regression;
mod report;
pub mod rng;
pub mod run;
pub mod shrink;
pub mod store;
pub mod totals;
pub mod world;

pub use builder::{Sim, Told, sim};
pub use history::{ClientId, History, Operation, OperationId, Outcome};
pub use linearizable::{Checker, Explanation, Verdict, Violation};
pub use model::{
    Counter, CounterOp, KeyValue, KeyValueOp, KeyValueOutput, Model, Register, RegisterOp,
    RegisterOutput, Trace,
};
pub use world::workload::Request;
pub use world::{Fault, Faults};
