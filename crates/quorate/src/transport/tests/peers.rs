//! Peers that behave: connecting, sending in batches, dying and coming back, full queues.

use std::time::Instant;

use super::*;

#[test]
fn frames_arrive_in_order_and_a_wake_up_is_one_write() {
    run(async {
        let (one, mut two) = pair().await;
        let sent: Vec<Frame> = (0..100).map(|number| notice(one.me, two.me.node, number)).collect();
        for frame in &sent {
            one.transport.send(two.me.node, frame.clone()).unwrap();
        }
        assert_eq!(two.frames(100).await, sent);
        let counts = one.transport.counts();
        assert_eq!((counts.frames_sent, counts.writes), (100, 1));
        assert_eq!(two.transport.counts().frames_received, 100);
        assert_eq!(two.transport.counts().bytes_received, counts.bytes_sent);
    });
}

#[test]
fn entries_arrive_as_the_log_holds_them() {
    run(async {
        let (one, mut two) = pair().await;
        let sent = append(one.me, two.me.node, &[100_000, 1, 0, 500_000]);
        one.transport.send(two.me.node, sent.clone()).unwrap();
        assert_eq!(two.frames(1).await, [sent]);
        let large = append(one.me, two.me.node, &[3_000_000]);
        one.transport.send(two.me.node, large.clone()).unwrap();
        assert_eq!(two.frames(1).await, [large]);
    });
}

#[test]
fn a_peer_that_dies_is_reported_on_both_connections_and_found_again() {
    run(async {
        let (mut one, two) = pair().await;
        let (address, begin) = (two.transport.address(), Instant::now());
        drop(two);
        one.closed(2, Side::Outgoing).await;
        one.closed(2, Side::Incoming).await;
        assert!(begin.elapsed() < Duration::from_secs(2), "an end is seen at once");
        let send = one.transport.send(id(2), notice(one.me, id(2), 1));
        assert_eq!(send, Err(SendError::NotConnected(id(2))));
        assert_eq!(one.transport.counts().dropped_not_connected, 1);
        let mut again = Peer::restart_at(address, caller(2, 2), config()).await;
        again.knows(&[&one]);
        let outgoing = one.connected(2, Side::Outgoing).await;
        assert_eq!(outgoing, BootCounter(2));
        one.transport.send(id(2), notice(one.me, id(2), 7)).unwrap();
        assert_eq!(again.frames(1).await.len(), 1);
    });
}

#[test]
fn a_peer_that_calls_is_dialled_at_once() {
    run(async {
        // The peer's address is closed at first: the wait between attempts grows to a second.
        let mut one = Peer::start(1, 1);
        let free = Listening::bind("127.0.0.1:0").unwrap().address();
        one.transport.set_peers([(id(2), free.to_string())]);
        one.counted_at_least(7, |counts| counts.dial_failures).await;
        let two = Peer::restart_at(free, caller(2, 1), config()).await;
        let begin = Instant::now();
        two.knows(&[&one]);
        one.connected(2, Side::Outgoing).await;
        // Left alone it would wait for half a second at least.
        assert!(begin.elapsed() < Duration::from_millis(450), "{:?}", begin.elapsed());
        let trouble = one.transport.links()[0].trouble.clone();
        assert_eq!(trouble, None, "a connection that stands has no trouble");
    });
}

#[test]
fn what_does_not_fit_the_queue_is_refused_and_counted() {
    run(async {
        // A peer that shakes hands and never reads again.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let silent = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; handshake::HELLO_BYTES];
            stream.read_exact(&mut bytes).await.unwrap();
            let from = caller(2, 1);
            let welcome = Welcome { version: 1, features: 0, cluster: CLUSTER, from };
            let reply = handshake::encode_reply(from, CLUSTER, Ok(welcome));
            stream.write_all(&reply).await.unwrap();
            std::future::pending::<()>().await;
        });
        let config = TransportConfig {
            send_queue_bytes: 3_000_000,
            write_timeout: Duration::from_millis(300),
            ..config()
        };
        let mut one = Peer::start_at("127.0.0.1:0", caller(1, 1), CLUSTER, config);
        one.transport.set_peers([(id(2), address)]);
        one.connected(2, Side::Outgoing).await;
        let frame = append(one.me, id(2), &[900_000]);
        let mut taken = 0;
        let full = loop {
            match one.transport.send(id(2), frame.clone()) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
            assert!(taken < 1000, "nothing bounds the queue");
            tokio::task::yield_now().await;
        };
        assert_eq!(full, SendError::Full(id(2)));
        assert_eq!(one.transport.counts().dropped_queue_full, 1);
        // The writer gives up a peer that takes nothing, and says how many frames that cost.
        one.closed(2, Side::Outgoing).await;
        let text = one.transport.links()[0].trouble.clone().unwrap();
        assert!(text.contains("took nothing for 300ms"), "{text}");
        assert!(one.transport.counts().dropped_connection_lost >= 3);
        silent.abort();
    });
}

#[test]
fn a_shell_that_takes_nothing_stops_the_reading_and_loses_nothing() {
    run(async {
        let small = TransportConfig { event_queue_bytes: 200_000, ..config() };
        let tight = TransportConfig { send_queue_bytes: 2_000_000, ..config() };
        let mut one = Peer::start_at("127.0.0.1:0", caller(1, 1), CLUSTER, tight);
        let mut two = Peer::start_at("127.0.0.1:0", caller(2, 1), CLUSTER, small);
        one.knows(&[&two]);
        one.connected(2, Side::Outgoing).await;
        two.connected(1, Side::Incoming).await;
        let frame = append(one.me, id(2), &[90_000]);
        let mut sent = 0;
        let error = loop {
            match one.transport.send(id(2), frame.clone()) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
            assert!(sent < 2_000, "nothing bounds what is on its way");
            // An idle moment, in which writer and reader do all that they can.
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        assert_eq!(error, SendError::Full(id(2)));
        let read = two.transport.counts().bytes_received;
        assert!(read < 1_500_000, "{read} bytes were read ahead");
        assert_eq!(two.frames(sent).await.len(), sent, "what was taken arrives");
    });
}

#[test]
fn a_peer_at_another_address_is_dialled_there() {
    run(async {
        let (mut one, two) = pair().await;
        let elsewhere = Peer::start(3, 1);
        one.transport.set_peers([(id(3), elsewhere.address())]);
        one.closed(2, Side::Outgoing).await;
        one.connected(3, Side::Outgoing).await;
        let send = one.transport.send(id(2), notice(one.me, id(2), 1));
        assert_eq!(send, Err(SendError::UnknownPeer(id(2))));
        drop(two);
    });
}

#[test]
fn a_second_connection_of_the_same_process_takes_the_place_of_the_first() {
    run(async {
        let mut one = Peer::start(1, 1);
        let (mut first, _) = by_hand(&one, hello(caller(2, 1), &one)).await;
        one.connected(2, Side::Incoming).await;
        let (second, answer) = by_hand(&one, hello(caller(2, 1), &one)).await;
        assert!(answer.is_ok());
        ends(&mut first).await;
        one.connected(2, Side::Incoming).await;
        one.take();
        assert!(one.events.is_empty(), "the first one ended without a word: {:?}", one.events);
        drop(second);
        one.closed(2, Side::Incoming).await;
    });
}
