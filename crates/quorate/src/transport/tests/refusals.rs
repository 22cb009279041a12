//! Handshakes that do not fit: the dialer learns the reason, says so, and backs off.

use super::*;

/// The trouble of the only link, once there is one.
async fn trouble(peer: &Peer) -> String {
    let waiting = async {
        loop {
            if let Some(trouble) = peer.transport.links()[0].trouble.clone() {
                return trouble;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(AT_MOST, waiting).await.expect("the attempt fails")
}

async fn refused(peer: &mut Peer) -> HandshakeRefusal {
    peer.next(|event| match event {
        Event::Refused { refusal, .. } => Some(*refusal),
        _ => None,
    })
    .await
}

#[test]
fn another_cluster_is_named_on_both_sides() {
    run(async {
        let mut one = Peer::start(1, 1);
        let other = ClusterId(0xc2);
        let two = Peer::start_at("127.0.0.1:0", caller(2, 1), other, config());
        one.knows(&[&two]);
        let expected = HandshakeRefusal::WrongCluster { there: other, dialer: CLUSTER };
        assert_eq!(refused(&mut one).await, expected);
        let text = trouble(&one).await;
        assert!(text.contains("cluster c194") && text.contains("cluster c193"), "{text}");
        two.counted(1, |counts| counts.refused).await;
        let send = one.transport.send(id(2), notice(one.me, id(2), 1));
        assert_eq!(send, Err(SendError::NotConnected(id(2))), "no message ever leaves");
    });
}

#[test]
fn a_stale_address_is_told_by_both_ids() {
    run(async {
        let mut one = Peer::start(1, 1);
        let three = Peer::start(3, 1);
        one.transport.set_peers([(id(2), three.address())]);
        let expected = HandshakeRefusal::WrongNode { there: id(3), wanted: id(2) };
        assert_eq!(refused(&mut one).await, expected);
        let text = trouble(&one).await;
        assert!(text.contains("node n3 is at the address, and node n2 was wanted"), "{text}");
    });
}

#[test]
fn a_node_that_is_not_founded_takes_no_messages() {
    run(async {
        let mut one = Peer::start(1, 1);
        let mut two = Peer::start_at("127.0.0.1:0", caller(2, 1), ClusterId::ZERO, config());
        one.knows(&[&two]);
        assert_eq!(refused(&mut one).await, HandshakeRefusal::NotFounded { there: id(2) });
        two.transport.join_cluster(CLUSTER);
        one.connected(2, Side::Outgoing).await;
        two.connected(1, Side::Incoming).await;
    });
}

#[test]
fn an_old_boot_is_refused_and_must_stop() {
    run(async {
        let mut one = Peer::start(1, 1);
        let (_later, answer) = by_hand(&one, hello(caller(2, 7), &one)).await;
        assert!(answer.is_ok());
        let mut two = Peer::start(2, 6);
        two.knows(&[&one]);
        let refusal = refused(&mut two).await;
        assert!(refusal.supersedes_dialer(), "{refusal}");
        let text = trouble(&two).await;
        assert!(text.contains("has met boot b7 of this node"), "{text}");
        one.connected(2, Side::Incoming).await;
    });
}

#[test]
fn a_later_boot_ends_the_connections_of_the_earlier_one() {
    run(async {
        let (mut one, two) = pair().await;
        let (_later, answer) = by_hand(&one, hello(caller(2, 2), &one)).await;
        assert!(answer.is_ok(), "a higher boot wins");
        one.closed(2, Side::Outgoing).await;
        // The earlier process still listens at the address, and is not believed any more.
        let text = trouble(&one).await;
        assert!(text.contains("later process") || text.contains("answers in boot b1"), "{text}");
        drop(two);
    });
}

#[test]
fn two_processes_of_one_node_and_boot_are_both_refused() {
    run(async {
        let mut one = Peer::start(1, 1);
        let (mut first, answer) = by_hand(&one, hello(caller(2, 3), &one)).await;
        assert!(answer.is_ok());
        one.connected(2, Side::Incoming).await;
        let twin = Caller { process: 999, ..caller(2, 3) };
        let (_second, answer) = by_hand(&one, hello(twin, &one)).await;
        let expected = HandshakeRefusal::SameNode { node: id(2), boot: BootCounter(3) };
        assert_eq!(answer, Err(expected));
        ends(&mut first).await;
        one.closed(2, Side::Incoming).await;
        let (_first, answer) = by_hand(&one, hello(caller(2, 3), &one)).await;
        assert_eq!(answer, Err(expected));
        let (_later, answer) = by_hand(&one, hello(caller(2, 4), &one)).await;
        assert!(answer.is_ok());
    });
}

#[test]
fn a_twin_of_this_very_node_is_reported() {
    run(async {
        let mut one = Peer::start(1, 5);
        let twin = Caller { process: 999, ..caller(1, 6) };
        let (_stream, answer) = by_hand(&one, hello(twin, &one)).await;
        assert!(matches!(answer, Err(HandshakeRefusal::SameNode { .. })));
        let boot = one
            .next(|event| match event {
                Event::Twin { boot } => Some(*boot),
                _ => None,
            })
            .await;
        assert_eq!(boot, BootCounter(6));
    });
}

#[test]
fn versions_that_do_not_meet_are_refused_with_the_range() {
    run(async {
        let one = Peer::start(1, 1);
        let hello = Hello { versions: (2, 3), ..hello(caller(2, 1), &one) };
        let (mut stream, answer) = by_hand(&one, hello).await;
        assert_eq!(answer, Err(HandshakeRefusal::Version { min: 1, max: 1 }));
        ends(&mut stream).await;
    });
}

#[test]
fn a_removed_node_is_told_so() {
    run(async {
        let one = Peer::start(1, 1);
        one.transport.set_removed([id(2)]);
        let mut two = Peer::start(2, 1);
        two.knows(&[&one]);
        let expected = HandshakeRefusal::Removed { node: id(2), cluster: CLUSTER };
        assert_eq!(refused(&mut two).await, expected);
    });
}

#[test]
fn who_answers_as_another_node_or_boot_gets_nothing() {
    run(async {
        for (there, cluster, expected) in [
            (caller(3, 1), CLUSTER, "node n3 answers at the address, and node n2 was wanted"),
            (caller(2, 1), ClusterId(7), "belongs to cluster c7, and this one to cluster c193"),
            (caller(2, 4), CLUSTER, "answers in boot b4, and its boot b5 was met"),
        ] {
            let mut one = Peer::start(1, 1);
            let (_later, _) = by_hand(&one, hello(caller(2, 5), &one)).await;
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let liar = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut bytes = [0; handshake::HELLO_BYTES];
                stream.read_exact(&mut bytes).await.unwrap();
                let welcome = Welcome { version: 1, features: 0, cluster, from: there };
                let reply = handshake::encode_reply(there, cluster, Ok(welcome));
                stream.write_all(&reply).await.unwrap();
                ends(&mut stream).await;
            });
            one.transport.set_peers([(id(2), address)]);
            let text = trouble(&one).await;
            assert!(text.contains(expected), "{text}");
            timeout(AT_MOST, liar).await.expect("it is left alone").unwrap();
            one.take();
            let outgoing =
                |event: &Event| matches!(event, Event::Connected { side: Side::Outgoing, .. });
            assert!(!one.events.iter().any(outgoing), "{:?}", one.events);
        }
    });
}

#[test]
fn what_is_no_node_is_said_to_be_none() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let other = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(&[b'x'; 200]).await.unwrap();
            std::future::pending::<()>().await;
        });
        let one = Peer::start(1, 1);
        one.transport.set_peers([(id(2), address)]);
        let text = trouble(&one).await;
        assert!(text.contains("no quorate node"), "{text}");
        other.abort();
    });
}

#[test]
fn a_port_in_use_is_named_with_the_remedy() {
    let first = Listening::bind("127.0.0.1:0").unwrap();
    let address = first.address().to_string();
    let error = Listening::bind(&address).unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }));
    let text = error.to_string();
    assert!(text.contains(&address) && text.contains("choose another address"), "{text}");
    let error = Listening::bind("192.0.2.1:7001").unwrap_err();
    assert!(error.to_string().contains("must belong to this machine"), "{error}");
}
