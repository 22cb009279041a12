//! The key-value store of one server: requests become commands, replies go back.
//!
//! A request that is sent again while the first is still under way in the same term does not become a
//! second entry: it waits for the first. So a leader that was cut off from the others holds at most
//! one entry for each client, however often they try. A read goes through the log like a write; a
//! server that is cut off cannot answer one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::driver::{Driver, Lost, Seat, Waiter};
use super::hosted::Service;
use super::machine::{KvCommand, KvMachine};
use super::wire::{Reader, Writer};
use crate::context::Context;
use crate::raft::{LabRaft, Start};

/// How long a request waits for its entry before the client is sent elsewhere.
const PATIENCE: Duration = Duration::from_secs(1);

/// The method under which requests arrive; every other one is the Raft's.
pub(super) const METHOD: &str = "kv";

/// What a server answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KvReply {
    /// Whether another server has to be asked.
    pub wrong_leader: bool,
    /// Why there is no value; empty if nothing went wrong.
    pub err: String,
    /// What a get asked for; empty where the key has no value.
    pub value: String,
}

impl KvReply {
    /// The reply as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let head = Writer::default().number(u64::from(self.wrong_leader));
        head.bytes(self.err.as_bytes()).bytes(self.value.as_bytes()).finish()
    }

    /// The reply that these bytes are, if they are one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let wrong_leader = reader.number()? != 0;
        let (err, value) = (reader.text()?, reader.text()?);
        reader.end()?;
        Some(Self { wrong_leader, err, value })
    }

    fn refused(lost: Lost) -> Self {
        Self { wrong_leader: true, err: lost.to_string(), value: String::new() }
    }

    fn failed(why: &str) -> Self {
        Self { wrong_leader: false, err: why.to_owned(), value: String::new() }
    }
}

/// One server of the store.
#[derive(Debug)]
pub struct KvServer<R> {
    driver: Driver<R, KvMachine>,
    context: Context,
    /// The last request of each client that was started here: its number, and where it stands.
    started: Mutex<BTreeMap<String, (u64, Start)>>,
}

impl<R: LabRaft> KvServer<R> {
    /// Executes, waits, and hands snapshots over.
    #[must_use]
    pub const fn driver(&self) -> &Driver<R, KvMachine> {
        &self.driver
    }

    /// Answers a request of a client.
    pub async fn serve(&self, command: &KvCommand) -> KvReply {
        let Some(waiter) = self.started(command) else { return KvReply::refused(Lost::NotLeader) };
        match self.context.timeout(PATIENCE, self.driver.outcome(waiter)).await {
            Some(Ok(value)) => match String::from_utf8(value) {
                Ok(value) => KvReply { wrong_leader: false, err: String::new(), value },
                Err(_) => KvReply::failed("the value is no text"),
            },
            Some(Err(lost)) => KvReply::refused(lost),
            None => KvReply::failed("no majority answered in time"),
        }
    }

    /// Waits where the request was started in this term already, or starts it.
    fn started(&self, command: &KvCommand) -> Option<Waiter> {
        let (term, is_leader) = self.driver.raft().state();
        if !is_leader {
            return None;
        }
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        // What was started in an earlier term is forgotten: it may never be executed.
        started.retain(|_, (_, start)| start.term == term);
        if let Some((sequence, start)) = started.get(&command.client)
            && *sequence == command.sequence
            && let Some(waiter) = self.driver.join(*start)
        {
            return Some(waiter);
        }
        let (start, waiter) = self.driver.start(&command.encode())?;
        started.insert(command.client.clone(), (command.sequence, start));
        Some(waiter)
    }
}

impl<R: LabRaft> Service<R> for KvServer<R> {
    fn start(seat: Seat) -> Arc<Self> {
        let context = seat.context.clone();
        let driver = Driver::new(seat, KvMachine::default());
        Arc::new(Self { driver, context, started: Mutex::default() })
    }

    async fn answer(self: Arc<Self>, method: String, args: Vec<u8>) -> Vec<u8> {
        if method != METHOD {
            return Arc::clone(self.driver.raft()).handle(method, args).await;
        }
        match KvCommand::decode(&args) {
            Some(command) => self.serve(&command).await.encode(),
            None => KvReply::failed("the request cannot be read").encode(),
        }
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
