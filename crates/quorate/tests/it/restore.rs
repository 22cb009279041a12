//! A cluster that begins with a state.

use quorate::restore::{NewMember, RestoreError, found_with};
use quorate::{Applying, Consistency, Listening, Node, StateMachine};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::cluster::PATIENCE;

/// Adds up.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Total(u64);

impl StateMachine for Total {
    type Command = u64;
    type Reply = (u64, u64);
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, at: &Applying, add: u64) -> (u64, u64) {
        self.0 += add;
        (at.application_index, self.0)
    }

    fn query(&self, (): ()) -> u64 {
        self.0
    }
}

#[tokio::test]
async fn nodes_begin_with_the_state_that_their_directories_were_made_with() {
    let folder = tempfile::tempdir().unwrap();
    let sockets: Vec<Listening> = (0..3).map(|_| Listening::bind("127.0.0.1:0").unwrap()).collect();
    let members: Vec<NewMember> = sockets
        .iter()
        .enumerate()
        .map(|(number, socket)| NewMember {
            name: format!("n{number}"),
            peer_address: socket.address().to_string(),
            client_urls: Vec::new(),
            directory: folder.path().join(format!("n{number}")),
        })
        .collect();
    let cluster = found_with(Total(40), members.clone()).unwrap();
    let again = found_with(Total(0), members.clone()).unwrap_err();
    assert!(matches!(again, RestoreError::NotEmpty(_)), "{again}");

    let mut nodes = Vec::new();
    for (member, socket) in members.iter().zip(sockets) {
        let builder = Node::<Total>::builder().name(member.name.as_str()).listen_on(socket);
        let builder = builder.data_dir(&member.directory);
        nodes.push(builder.start().await.unwrap());
    }
    for node in &nodes {
        timeout(PATIENCE, node.ready()).await.unwrap().unwrap();
        assert_eq!(node.client().read((), Consistency::Linearizable).await, Ok(40));
        assert_eq!(node.status().borrow().cluster, Some(cluster));
    }
    assert_eq!(nodes[1].client().call(2).await, Ok((1, 42)), "its first command counts as such");
    for node in &nodes {
        assert_eq!(node.client().read((), Consistency::Linearizable).await, Ok(42));
    }
    for node in nodes {
        node.shutdown().await.unwrap();
    }
}
