//! Bytes on the peer port that no node would send.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::harness::{Cluster, PATIENCE, Random, wait_until};

#[test]
fn garbage_on_the_peer_port_ends_that_connection_and_nothing_else() {
    let cluster = Cluster::start(3);
    let leader = cluster.wait_for_leader();
    let address = cluster.plan.nodes[leader].peer();
    let term = cluster.status(leader).unwrap().raft_term;

    let mut random = Random::new(7);
    let garbage: Vec<u8> = (0..4096).map(|_| random.next().to_le_bytes()[0]).collect();
    let oversized = [&u32::MAX.to_le_bytes()[..], &[0; 64]].concat();
    let zeros = vec![0_u8; 4096];
    let text = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    for bytes in [&garbage, &oversized, &zeros, &text] {
        let mut stream = TcpStream::connect(&address).unwrap();
        // The node may have closed before the last byte.
        drop(stream.write_all(bytes));
        is_closed(&mut stream);
    }

    // Half a frame, and then nothing: others are served meanwhile, and the connection ends.
    let mut halves: Vec<TcpStream> =
        (0..16).map(|_| TcpStream::connect(&address).unwrap()).collect();
    for stream in &mut halves {
        stream.write_all(&[16, 0, 0]).unwrap();
    }
    cluster.put("while halves are open", "1").unwrap();
    drop(halves);

    wait_until("the cluster is as it was", || cluster.leader() == Some(leader));
    assert_eq!(
        cluster.status(leader).unwrap().raft_term,
        term,
        "garbage cost the leader its place"
    );
    cluster.put("after", "1").unwrap();
    let said = cluster.said(leader);
    assert!(!said.contains("panicked"), "{said}");
}

/// The node closes a connection that it cannot make sense of.
fn is_closed(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("the connection stays open: {error}"),
        }
    }
}

#[test]
fn many_silent_connections_keep_nobody_out() {
    let mut cluster = Cluster::start(3);
    let address = cluster.plan.nodes[0].peer();
    let silent: Vec<TcpStream> =
        (0..200).filter_map(|_| TcpStream::connect(&address).ok()).collect();
    assert!(!silent.is_empty());
    cluster.put("a", "1").unwrap();
    cluster.kill(1);
    cluster.start_node(1);
    wait_until("a node comes back while strangers are connected", || cluster.serves(1));
    drop(silent);
}
