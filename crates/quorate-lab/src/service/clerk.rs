//! A client of the key-value store that asks until it has an answer.
//!
//! One request at a time: what exactly once rests on is that a client's requests have numbers that
//! grow, and that the next one begins when the one before is answered. The server that answered last
//! is asked first.
//!
//! It does not wait for a call to fail, which may take half a minute on a bad network: after
//! [`CALL`] it asks the next server, and a server that gets the same request again knows it.

use std::fmt;
use std::time::Duration;

use tokio::sync::Mutex;

use super::machine::{Action, KvCommand};
use super::server::{KvReply, METHOD};
use crate::context::Context;
use crate::raft::Peers;

/// How long one call may take before the next server is asked.
const CALL: Duration = Duration::from_millis(300);
/// How long to wait after every server has been asked in vain.
const PAUSE: Duration = Duration::from_millis(30);

/// A client; it has one request under way at a time, and others wait for their turn.
pub struct Clerk {
    name: String,
    servers: Peers,
    context: Context,
    turn: Mutex<Turn>,
}

impl fmt::Debug for Clerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clerk").field("name", &self.name).finish_non_exhaustive()
    }
}

struct Turn {
    /// The server to ask first.
    leader: usize,
    /// The number of the last request.
    sequence: u64,
}

impl Clerk {
    /// A client with a name that no other one has, and the way to each server.
    #[must_use]
    pub fn new(name: String, servers: Peers, context: Context) -> Self {
        Self { name, servers, context, turn: Mutex::new(Turn { leader: 0, sequence: 0 }) }
    }

    /// The client's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of a key; empty where it has none.
    pub async fn get(&self, key: &str) -> String {
        self.ask(Action::Get, key, "").await
    }

    /// Replaces the value of a key.
    pub async fn put(&self, key: &str, value: &str) {
        self.ask(Action::Put, key, value).await;
    }

    /// Adds to the end of the value of a key.
    pub async fn append(&self, key: &str, value: &str) {
        self.ask(Action::Append, key, value).await;
    }

    async fn ask(&self, action: Action, key: &str, value: &str) -> String {
        let mut turn = self.turn.lock().await;
        turn.sequence += 1;
        let (client, sequence) = (self.name.clone(), turn.sequence);
        let (key, value) = (key.to_owned(), value.to_owned());
        let request = KvCommand { client, sequence, action, key, value }.encode();
        let mut in_vain = 0;
        loop {
            let call = self.servers[turn.leader].call(METHOD, request.clone());
            let answer = self.context.timeout(CALL, call).await.flatten();
            match answer.and_then(|bytes| KvReply::decode(&bytes)) {
                Some(reply) if !reply.wrong_leader && reply.err.is_empty() => return reply.value,
                Some(_) | None => {}
            }
            turn.leader = (turn.leader + 1) % self.servers.len();
            in_vain += 1;
            if in_vain % self.servers.len() == 0 {
                self.context.sleep(PAUSE).await;
            }
        }
    }
}
