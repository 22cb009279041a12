//! The bulk channel: opened on demand, bounded, refused what is not its own, and never in the way of
//! the control channel.

use std::sync::Arc;

use quorate_core::{SnapshotChunk, SnapshotId};

use super::*;

const PIECE: usize = 200_000;

fn snapshot() -> SnapshotId {
    SnapshotId { last: EntryId::new(Index(9), Term(2)), bytes: 1 << 40, hash: 7 << 100 }
}

/// The `number`th piece of a snapshot.
fn chunk(from: Caller, to: NodeId, number: u64, bytes: usize) -> Frame {
    let size = u32::try_from(bytes).unwrap();
    let chunk = SnapshotChunk { id: snapshot(), offset: number * bytes as u64, bytes: size };
    let envelope = envelope(from, to, number, Message::SnapshotChunk(chunk));
    let fill = u8::try_from(number % 251).unwrap();
    Frame::chunk(envelope, Arc::new(vec![fill; bytes]))
}

fn encoded(frame: Frame) -> Vec<u8> {
    codec::encode(frame, config().frame_limits()).unwrap().encoded.to_vec()
}

fn bulk_hello(from: Caller, to: &Peer) -> Hello {
    Hello::new(from, CLUSTER, Some(to.me.node), Channel::Bulk)
}

/// A peer made by hand: it welcomes whoever comes, and gives the connections away with what they
/// are for.
struct ByHand {
    address: String,
    accepted: tokio::sync::mpsc::UnboundedReceiver<(u8, TcpStream)>,
    task: tokio::task::JoinHandle<()>,
}

impl ByHand {
    /// Node 2, in boots of its own for control and bulk; it refuses the first few bulk connections.
    async fn start(boots: (u64, u64), mut refused: usize) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, accepted) = tokio::sync::mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = [0; handshake::HELLO_BYTES];
                stream.read_exact(&mut bytes).await.unwrap();
                let hello = Hello::decode(&bytes).unwrap();
                let is_bulk = hello.channel == Channel::Bulk as u8;
                let from = caller(2, if is_bulk { boots.1 } else { boots.0 });
                let welcome = Welcome { version: 1, features: 0, cluster: CLUSTER, from };
                let is_refused = is_bulk && refused > 0;
                refused -= usize::from(is_refused);
                let answer = if is_refused { Err(HandshakeRefusal::Busy) } else { Ok(welcome) };
                let reply = handshake::encode_reply(from, CLUSTER, answer);
                stream.write_all(&reply).await.unwrap();
                if !is_refused && sender.send((hello.channel, stream)).is_err() {
                    return;
                }
            }
        });
        Self { address, accepted, task }
    }

    async fn next(&mut self, channel: Channel) -> TcpStream {
        let (found, stream) = timeout(AT_MOST, self.accepted.recv()).await.unwrap().unwrap();
        assert_eq!(found, channel as u8);
        stream
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn chunks_lost(peer: &mut Peer) -> Vec<u64> {
    peer.next(|event| match event {
        Event::ChunksLost { peer, requests } if *peer == id(2) => {
            Some(requests.iter().map(|request| request.0).collect())
        }
        _ => None,
    })
    .await
}

/// Sends until something but a connection that is not there yet comes of it.
async fn send_when_rested(peer: &Peer, frame: &Frame) {
    let sending = async {
        while peer.transport.send(id(2), frame.clone()).is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(AT_MOST, sending).await.expect("it is taken again");
}

#[test]
fn chunks_open_a_connection_of_their_own_and_arrive_in_order() {
    run(async {
        let (one, mut two) = pair().await;
        assert_eq!(one.transport.counts().bulk_opened, 0, "not before it is needed");
        let sent: Vec<Frame> =
            (1..=15).map(|number| chunk(one.me, two.me.node, number, PIECE)).collect();
        for frame in &sent {
            one.transport.send(two.me.node, frame.clone()).unwrap();
        }
        assert_eq!(two.frames(15).await, sent);
        let (counts, there) = (one.transport.counts(), two.transport.counts());
        assert_eq!((counts.bulk_opened, counts.chunks_sent), (1, 15));
        assert_eq!((there.chunks_received, there.bytes_received), (15, counts.bytes_sent));
    });
}

#[test]
fn chunks_travel_through_memory_as_well() {
    run(async {
        let network = MemoryNetwork::new();
        let start = |node| {
            let me = caller(node, 1);
            let transport = Transport::start(network.listen(), config(), me, CLUSTER).unwrap();
            Peer { transport, events: VecDeque::new(), me }
        };
        let (mut one, mut two) = (start(1), start(2));
        one.knows(&[&two]);
        one.connected(2, Side::Outgoing).await;
        let sent: Vec<Frame> = (1..=12).map(|number| chunk(one.me, id(2), number, PIECE)).collect();
        for frame in &sent {
            one.transport.send(id(2), frame.clone()).unwrap();
        }
        assert_eq!(two.frames(12).await, sent);
    });
}

#[test]
fn an_idle_connection_is_closed_and_made_again_when_it_is_needed() {
    run(async {
        let config = TransportConfig { bulk_idle: Duration::from_millis(30), ..config() };
        let mut one = Peer::start_at("127.0.0.1:0", caller(1, 1), CLUSTER, config);
        let mut two = Peer::start(2, 1);
        one.knows(&[&two]);
        one.connected(2, Side::Outgoing).await;
        for round in 1..=2 {
            one.transport.send(id(2), chunk(one.me, id(2), round, PIECE)).unwrap();
            assert_eq!(two.frames(1).await.len(), 1);
            one.counted(round, |counts| counts.bulk_idle).await;
            assert_eq!(one.transport.counts().bulk_opened, round);
        }
        one.take();
        let lost = one.events.iter().any(|event| matches!(event, Event::ChunksLost { .. }));
        assert!(!lost, "an end in peace loses nothing");
        assert_eq!(two.transport.counts().bad_frames, 0);
    });
}

/// R-RP10.
#[test]
fn a_peer_that_takes_no_chunks_still_gets_heartbeats_and_what_was_queued_is_reported() {
    run(async {
        let config = TransportConfig {
            bulk_queue_bytes: 1_000_000,
            write_timeout: Duration::from_millis(400),
            ..config()
        };
        let mut one = Peer::start_at("127.0.0.1:0", caller(1, 1), CLUSTER, config);
        let mut two = ByHand::start((1, 1), 0).await;
        one.transport.set_peers([(id(2), two.address.clone())]);
        let mut control = two.next(Channel::Control).await;
        one.connected(2, Side::Outgoing).await;
        // Chunks until queue and sockets are full.
        let (mut number, mut refused) = (0, 0);
        while refused < 20 {
            match one.transport.send(id(2), chunk(one.me, id(2), number + 1, PIECE)) {
                Ok(()) => number += 1,
                Err(error) => {
                    assert_eq!(error, SendError::Full(id(2)));
                    refused += 1;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            assert!(number < 1000, "nothing bounds the queue");
            tokio::task::yield_now().await;
        }
        assert_eq!(one.transport.counts().dropped_queue_full, refused);
        let _bulk = two.next(Channel::Bulk).await;
        // The control connection carries on as if nothing were.
        for beat in 1..=50 {
            let frame = notice(one.me, id(2), beat);
            let expected = encoded(frame.clone());
            one.transport.send(id(2), frame).unwrap();
            let mut bytes = vec![0; expected.len()];
            timeout(AT_MOST, control.read_exact(&mut bytes)).await.unwrap().unwrap();
            assert_eq!(bytes, expected);
        }
        // In the end the chunks are given up, and all that may be lost is named.
        let lost = chunks_lost(&mut one).await;
        assert_eq!(lost.last(), Some(&number));
        assert!(lost.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{lost:?}");
        assert!(lost.len() >= 4, "{lost:?}");
        let send = one.transport.send(id(2), chunk(one.me, id(2), 1, PIECE));
        assert_eq!(send, Err(SendError::NotConnected(id(2))), "it rests");
        assert!(one.transport.links()[0].connected.is_some());
        one.take();
        let closed = one.events.iter().any(|event| matches!(event, Event::Closed { .. }));
        assert!(!closed, "the control connection stands");
    });
}

#[test]
fn a_bulk_connection_that_is_refused_or_cut_is_reported_and_tried_again() {
    run(async {
        let mut one = Peer::start(1, 1);
        let mut two = ByHand::start((1, 1), 2).await;
        one.transport.set_peers([(id(2), two.address.clone())]);
        let _control = two.next(Channel::Control).await;
        one.connected(2, Side::Outgoing).await;
        for number in [1, 2] {
            send_when_rested(&one, &chunk(one.me, id(2), number, PIECE)).await;
            assert_eq!(chunks_lost(&mut one).await, [number]);
        }
        send_when_rested(&one, &chunk(one.me, id(2), 3, PIECE)).await;
        let mut bulk = two.next(Channel::Bulk).await;
        let mut bytes = vec![0; encoded(chunk(one.me, id(2), 3, PIECE)).len()];
        timeout(AT_MOST, bulk.read_exact(&mut bytes)).await.unwrap().unwrap();
        // All of it was written: whether it was taken cannot be known, and is not to be hoped.
        drop(bulk);
        assert_eq!(chunks_lost(&mut one).await, [3]);
        assert_eq!(one.transport.counts().bulk_opened, 1);
    });
}

#[test]
fn no_chunk_goes_to_another_boot_than_the_control_connection_leads_to() {
    run(async {
        let mut one = Peer::start(1, 1);
        let mut two = ByHand::start((1, 2), 0).await;
        one.transport.set_peers([(id(2), two.address.clone())]);
        let _control = two.next(Channel::Control).await;
        one.connected(2, Side::Outgoing).await;
        one.transport.send(id(2), chunk(one.me, id(2), 1, PIECE)).unwrap();
        assert_eq!(chunks_lost(&mut one).await, [1]);
        let mut bytes = Vec::new();
        let mut bulk = two.next(Channel::Bulk).await;
        let _read = timeout(AT_MOST, bulk.read_to_end(&mut bytes)).await.expect("it is closed");
        assert!(bytes.is_empty(), "{} bytes came", bytes.len());
    });
}

#[test]
fn the_bulk_connection_goes_with_the_control_connection() {
    run(async {
        let mut one = Peer::start(1, 1);
        let mut two = ByHand::start((1, 1), 0).await;
        one.transport.set_peers([(id(2), two.address.clone())]);
        let send = one.transport.send(id(2), chunk(one.me, id(2), 1, PIECE));
        assert_eq!(send, Err(SendError::NotConnected(id(2))), "there is none yet");
        let control = two.next(Channel::Control).await;
        one.connected(2, Side::Outgoing).await;
        one.transport.send(id(2), chunk(one.me, id(2), 2, PIECE)).unwrap();
        let mut bulk = two.next(Channel::Bulk).await;
        drop(control);
        let mut rest = Vec::new();
        let _read = timeout(AT_MOST, bulk.read_to_end(&mut rest)).await.expect("it is closed");
    });
}

#[test]
fn a_shell_that_takes_no_chunks_still_hears_heartbeats() {
    run(async {
        let small = TransportConfig { bulk_event_bytes: 3 * PIECE, ..config() };
        let (mut one, two) =
            (Peer::start(1, 1), Peer::start_at("127.0.0.1:0", caller(2, 1), CLUSTER, small));
        one.knows(&[&two]);
        one.connected(2, Side::Outgoing).await;
        let mut sent = 0;
        // Until the chunks fill everything between here and the events that nobody takes there.
        let mut still = 0;
        while still < 20 {
            let taken = one.transport.send(id(2), chunk(one.me, id(2), sent + 1, PIECE)).is_ok();
            sent += u64::from(taken);
            still = if taken { 0 } else { still + 1 };
            assert!(sent < 1000, "nothing bounds what is on its way");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let received = two.transport.counts().chunks_received;
        assert!((3..=6).contains(&received), "{received} chunks were read ahead");
        let heard = two.transport.counts().frames_received;
        for beat in 1..=50 {
            one.transport.send(id(2), notice(one.me, id(2), beat)).unwrap();
        }
        two.counted(heard + 50, |counts| counts.frames_received).await;
        assert_eq!(two.transport.counts().chunks_received, received);
    });
}

#[test]
fn a_chunk_on_the_control_channel_ends_it() {
    run(async {
        let mut two = Peer::start(2, 1);
        let (mut stream, _) = by_hand(&two, hello(caller(3, 1), &two)).await;
        stream.write_all(&encoded(chunk(caller(3, 1), id(2), 1, 10))).await.unwrap();
        ends(&mut stream).await;
        two.counted(1, |counts| counts.wrong_channel).await;
        two.closed(3, Side::Incoming).await;
        assert_eq!(two.transport.counts().frames_received, 0);
    });
}

/// What a bulk connection with these bytes does to it, and that the rest goes on.
fn bulk_ends_with(bytes: &[u8], closes: bool, pick: fn(&TransportCounts) -> u64, good: usize) {
    run(async {
        let (one, mut two) = pair().await;
        let (mut stream, answer) = by_hand(&two, bulk_hello(caller(3, 1), &two)).await;
        assert!(answer.is_ok());
        stream.write_all(bytes).await.unwrap();
        if closes {
            stream.shutdown().await.unwrap();
        }
        ends(&mut stream).await;
        two.counted(1, pick).await;
        assert_eq!(two.frames(good).await.len(), good, "what came before it is handed over");
        assert_eq!(two.transport.counts().chunks_received, good as u64);
        one.transport.send(two.me.node, notice(one.me, two.me.node, 1)).unwrap();
        assert_eq!(two.frames(1).await.len(), 1);
    });
}

fn good_chunk() -> Vec<u8> {
    encoded(chunk(caller(3, 1), id(2), 1, 1000))
}

#[test]
fn a_message_on_the_bulk_channel_ends_it() {
    let bytes = [good_chunk(), encoded(notice(caller(3, 1), id(2), 1))].concat();
    bulk_ends_with(&bytes, false, |counts| counts.wrong_channel, 1);
}

#[test]
fn a_founding_message_on_the_bulk_channel_ends_it() {
    let ask = super::super::founding::encode(&super::super::founding::FoundingMessage::Ask);
    bulk_ends_with(&ask.unwrap().to_vec(), false, |counts| counts.bad_messages, 0);
}

/// R-RP9.
#[test]
fn a_connection_cut_inside_a_chunk_hands_over_the_whole_ones() {
    let bytes = [good_chunk(), good_chunk()[..600].to_vec()].concat();
    bulk_ends_with(&bytes, true, |counts| counts.bad_frames, 1);
}

#[test]
fn half_a_chunk_and_silence_ends_it() {
    bulk_ends_with(&good_chunk()[..600], false, |counts| counts.too_slow, 0);
}

#[test]
fn a_damaged_chunk_ends_it() {
    let mut bytes = good_chunk();
    *bytes.last_mut().unwrap() ^= 1;
    bulk_ends_with(&bytes, false, |counts| counts.bad_frames, 0);
}

#[test]
fn a_chunk_with_a_length_above_the_limit_ends_it() {
    let length = u32::try_from(codec::BULK_FRAME_BYTES).unwrap() + 1;
    let bytes = [length.to_le_bytes().to_vec(), vec![0; 20]].concat();
    bulk_ends_with(&bytes, false, |counts| counts.bad_frames, 0);
}

#[test]
fn a_chunk_beyond_the_end_of_its_snapshot_ends_it() {
    let id_of = SnapshotId { bytes: 1999, ..snapshot() };
    let piece = SnapshotChunk { id: id_of, offset: 1000, bytes: 1000 };
    let message = envelope(caller(3, 1), id(2), 1, Message::SnapshotChunk(piece));
    let frame = Frame::chunk(message, Arc::new(vec![1; 1000]));
    bulk_ends_with(&encoded(frame), false, |counts| counts.bad_messages, 0);
}

#[test]
fn silence_on_a_bulk_connection_is_no_fault() {
    run(async {
        let two = Peer::start(2, 1);
        let (mut stream, answer) = by_hand(&two, bulk_hello(caller(3, 1), &two)).await;
        assert!(answer.is_ok());
        let waiting = timeout(Duration::from_millis(400), stream.read_u8()).await;
        assert!(waiting.is_err(), "it stays open beyond every deadline of a frame");
    });
}

#[test]
fn a_later_boot_and_a_second_connection_end_the_bulk_connection_before() {
    run(async {
        let mut two = Peer::start(2, 1);
        let (mut first, _) = by_hand(&two, bulk_hello(caller(3, 1), &two)).await;
        let (mut second, answer) = by_hand(&two, bulk_hello(caller(3, 1), &two)).await;
        assert!(answer.is_ok());
        ends(&mut first).await;
        let (_control, answer) = by_hand(&two, hello(caller(3, 2), &two)).await;
        assert!(answer.is_ok());
        ends(&mut second).await;
        two.connected(3, Side::Incoming).await;
        two.take();
        assert!(two.events.is_empty(), "nobody hears of it: {:?}", two.events);
    });
}

#[test]
fn of_two_processes_of_one_node_and_boot_neither_sends_chunks() {
    run(async {
        let two = Peer::start(2, 1);
        let (mut first, answer) = by_hand(&two, bulk_hello(caller(3, 1), &two)).await;
        assert!(answer.is_ok());
        let other = Caller { process: 1, ..caller(3, 1) };
        let (_second, answer) = by_hand(&two, bulk_hello(other, &two)).await;
        assert!(matches!(answer, Err(HandshakeRefusal::SameNode { .. })));
        ends(&mut first).await;
    });
}
