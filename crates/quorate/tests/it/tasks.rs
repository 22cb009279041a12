//! Nodes without threads: tasks of one runtime, connected in memory, their directories in memory.

use quorate::{
    Applying, CallError, Consistency, MemoryNetwork, Node, Refusal, StateMachine, StopReason,
    UnknownReason,
};
use quorate_log::MemoryFs;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::cluster::PATIENCE;

/// Adds up, and panics at zero.
#[derive(Default, Serialize, Deserialize)]
struct Sum(u64);

impl StateMachine for Sum {
    type Command = u64;
    type Reply = u64;
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, _: &Applying, add: u64) -> u64 {
        assert!(add > 0, "nothing to add");
        self.0 += add;
        self.0
    }

    fn query(&self, (): ()) -> u64 {
        self.0
    }
}

async fn start(disks: &[MemoryFs]) -> Vec<Node<Sum>> {
    let network = MemoryNetwork::new();
    let sockets: Vec<_> = disks.iter().map(|_| network.listen()).collect();
    let peers: Vec<String> = sockets.iter().map(|socket| socket.address().to_string()).collect();
    let mut nodes = Vec::new();
    for (disk, socket) in disks.iter().zip(sockets) {
        let builder = Node::<Sum>::builder().listen_on(socket).join_or_form(peers.clone());
        let builder = builder.data_dir("memory").segment_bytes(1 << 20).without_threads();
        nodes.push(builder.start_on(disk.another()).await.unwrap());
    }
    for node in &nodes {
        timeout(PATIENCE, node.ready()).await.unwrap().unwrap();
    }
    nodes
}

#[tokio::test]
async fn three_nodes_serve_without_threads_and_come_back() {
    let disks = [0, 1, 2].map(|number| MemoryFs::new(format!("memory/{number}")));
    let nodes = start(&disks).await;
    for (node, total) in nodes.iter().zip([5, 10, 15]) {
        assert_eq!(timeout(PATIENCE, node.client().call(5)).await.unwrap(), Ok(total));
    }
    let client = nodes[0].client();
    for node in nodes {
        timeout(PATIENCE, node.shutdown()).await.unwrap().unwrap();
    }
    let stopped = Err(CallError::Refused(Refusal::Stopped(StopReason::Shutdown)));
    assert_eq!(client.call(5).await, stopped);
    // Their directories are free, and hold everything.
    let nodes = start(&disks).await;
    for node in &nodes {
        let client = node.client();
        let read = client.read((), Consistency::Linearizable);
        assert_eq!(timeout(PATIENCE, read).await.unwrap(), Ok(15));
    }
}

#[tokio::test]
async fn a_panic_of_the_state_machine_stops_a_node_without_threads() {
    let disks = [MemoryFs::new("memory")];
    let nodes = start(&disks).await;
    let client = nodes[0].client();
    let ended = timeout(PATIENCE, client.call(0)).await.unwrap();
    let reason = timeout(PATIENCE, nodes[0].stopped()).await.unwrap();
    assert!(
        matches!(&reason, StopReason::ApplyPanicked { reason, .. } if reason == "nothing to add")
    );
    assert_eq!(ended, Err(CallError::Unknown(UnknownReason::Stopped(reason))));
}
