//! A counter that survives the loss of any one of its three nodes, on disk and over TCP.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]
use quorate::{Applying, Consistency, Node, StateMachine};
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
struct Counter(i64);

impl StateMachine for Counter {
    type Command = i64;
    type Reply = i64;
    type Query = ();
    type Answer = i64;
    fn apply(&mut self, _at: &Applying, add: i64) -> i64 {
        self.0 += add;
        self.0
    }
    fn query(&self, _: ()) -> i64 {
        self.0
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let peers = ["127.0.0.1:7001", "127.0.0.1:7002", "127.0.0.1:7003"];
    let mut nodes = Vec::new();
    for (number, address) in peers.iter().enumerate() {
        let node = Node::<Counter>::builder().listen(*address).join_or_form(peers);
        nodes.push(node.data_dir(format!("data/counter/n{number}")).start().await?);
    }
    nodes[0].ready().await?;
    let session = nodes[0].client().session().await?;
    let total = session.call(5).await?; // durable on a majority, exactly once
    let seen = nodes[1].client().read((), Consistency::Linearizable).await?;
    println!("the counter stands at {total}, and another node sees {seen}");
    assert!(seen >= total);
    Ok(())
}
