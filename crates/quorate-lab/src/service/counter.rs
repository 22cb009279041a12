//! A counter on three servers: the smallest service that there is.

use std::sync::Arc;

use super::driver::{Driver, Seat};
use super::hosted::Service;
use super::machine::CounterMachine;
use crate::raft::LabRaft;

/// One server of the counter.
#[derive(Debug)]
pub struct CounterServer<R> {
    driver: Driver<R, CounterMachine>,
}

impl<R: LabRaft> CounterServer<R> {
    /// Submits, and knows the machine.
    #[must_use]
    pub const fn driver(&self) -> &Driver<R, CounterMachine> {
        &self.driver
    }

    /// What this server has counted so far.
    #[must_use]
    pub fn count(&self) -> i64 {
        self.driver.with_machine(CounterMachine::value)
    }
}

impl<R: LabRaft> Service<R> for CounterServer<R> {
    fn start(seat: Seat) -> Arc<Self> {
        Arc::new(Self { driver: Driver::new(seat, CounterMachine::default()) })
    }

    async fn answer(self: Arc<Self>, method: String, args: Vec<u8>) -> Vec<u8> {
        Arc::clone(self.driver.raft()).handle(method, args).await
    }

    fn raft(&self) -> &Arc<R> {
        self.driver.raft()
    }

    fn applied(&self) -> u64 {
        self.driver.applied()
    }

    fn kill(&self) {
        self.driver.kill();
    }
}
