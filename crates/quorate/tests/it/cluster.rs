//! A small cluster on loopback, with a state machine that tells everything it did.

use std::path::PathBuf;
use std::time::Duration;

use quorate::{
    Applying, CallError, Client, Consistency, Listening, Node, NodeBuilder, StateMachine,
};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// Time that anything may take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Keeps every command it was given, and panics at one of them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Journal(Vec<String>);

impl StateMachine for Journal {
    type Command = String;
    type Reply = u64;
    type Query = ();
    type Answer = Vec<String>;

    fn apply(&mut self, at: &Applying, command: String) -> u64 {
        assert!(command != "poison", "this command cannot be borne");
        self.0.push(command);
        assert_eq!(at.application_index, self.0.len() as u64);
        at.application_index
    }

    fn query(&self, (): ()) -> Vec<String> {
        self.0.clone()
    }
}

pub(crate) struct Cluster {
    pub(crate) dir: TempDir,
    pub(crate) addresses: Vec<String>,
    pub(crate) nodes: Vec<Option<Node<Journal>>>,
}

impl Cluster {
    /// Starts that many nodes and waits until each knows the leader.
    pub(crate) async fn start(count: usize) -> Self {
        let mut cluster = Self::prepare(count).await;
        for at in 0..count {
            cluster.restart(at).await;
        }
        for node in cluster.nodes.iter().flatten() {
            timeout(PATIENCE, node.ready()).await.expect("a leader").expect("it runs");
        }
        cluster
    }

    /// Chooses addresses without starting anything.
    pub(crate) async fn prepare(count: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listening: Vec<Listening> =
            (0..count).map(|_| Listening::bind("127.0.0.1:0").unwrap()).collect();
        let addresses = listening.iter().map(|l| l.address().to_string()).collect();
        Self { dir, addresses, nodes: (0..count).map(|_| None).collect() }
    }

    pub(crate) fn data_dir(&self, at: usize) -> PathBuf {
        self.dir.path().join(format!("n{at}"))
    }

    pub(crate) fn builder(&self, at: usize) -> NodeBuilder<Journal> {
        Node::builder()
            .name(format!("n{at}"))
            .listen(self.addresses[at].clone())
            .join_or_form(self.addresses.clone())
            .data_dir(self.data_dir(at))
            .segment_bytes(1 << 20)
    }

    /// Starts a node on whatever its directory holds.
    pub(crate) async fn restart(&mut self, at: usize) {
        let node = self.builder(at).start().await.expect("it starts");
        self.nodes[at] = Some(node);
    }

    pub(crate) fn node(&self, at: usize) -> &Node<Journal> {
        self.nodes[at].as_ref().expect("it runs")
    }

    pub(crate) async fn shut_down(&mut self, at: usize) {
        let node = self.nodes[at].take().expect("it runs");
        timeout(PATIENCE, node.shutdown()).await.expect("it ends").expect("in order");
    }

    pub(crate) async fn shut_down_all(mut self) {
        for at in 0..self.nodes.len() {
            if self.nodes[at].is_some() {
                self.shut_down(at).await;
            }
        }
    }

    /// The place of the node that leads, once one of those that run does.
    pub(crate) async fn leader(&self) -> usize {
        let find = async {
            loop {
                let leads = |node: &Option<Node<Journal>>| {
                    node.as_ref().is_some_and(|node| node.status().borrow().is_leader())
                };
                if let Some(at) = self.nodes.iter().position(leads) {
                    return at;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, find).await.expect("a leader")
    }
}

/// Calls until the call is applied; what is unknown is not repeated.
pub(crate) async fn call(client: &Client<Journal>, command: &str) -> u64 {
    let until_applied = async {
        loop {
            match client.call(command.to_owned()).await {
                Ok(reply) => return reply,
                Err(CallError::Refused(_)) => {}
                Err(error) => panic!("{command}: {error}"),
            }
        }
    };
    timeout(PATIENCE, until_applied).await.expect("an answer")
}

/// Reads until a read is answered.
pub(crate) async fn read(client: &Client<Journal>) -> Vec<String> {
    let until_answered = async {
        loop {
            if let Ok(answer) = client.read((), Consistency::Linearizable).await {
                return answer;
            }
        }
    };
    timeout(PATIENCE, until_answered).await.expect("an answer")
}
