//! Bytes that no node sends: each ends its own connection and is counted; the rest goes on.

use super::*;

/// Whatever `speak` does to the peer port of a node, its connections with others go on.
fn harmless<F: Future<Output = ()>>(
    speak: impl FnOnce(TcpStream) -> F,
    pick: fn(&TransportCounts) -> u64,
) {
    run(async {
        let (one, mut two) = pair().await;
        let stream = TcpStream::connect(two.transport.address()).await.unwrap();
        speak(stream).await;
        two.counted(1, pick).await;
        one.transport.send(two.me.node, notice(one.me, two.me.node, 1)).unwrap();
        assert_eq!(two.frames(1).await.len(), 1);
    });
}

/// As [`harmless`], after a good handshake of a third node.
fn harmless_after_hello(bytes: &[u8], closes: bool, pick: fn(&TransportCounts) -> u64) {
    let speak = async |mut stream: TcpStream| {
        let hello = Hello::new(caller(3, 1), CLUSTER, Some(id(2)), Channel::Control);
        stream.write_all(&hello.encode()).await.unwrap();
        let mut reply = [0; REPLY_BYTES];
        stream.read_exact(&mut reply).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        if closes {
            stream.shutdown().await.unwrap();
        }
        ends(&mut stream).await;
    };
    harmless(speak, pick);
}

fn good_frame() -> Vec<u8> {
    let frame = notice(caller(3, 1), id(2), 1);
    codec::encode(frame, config().frame_limits()).unwrap().encoded.to_vec()
}

#[test]
fn garbage_instead_of_a_hello() {
    let speak = async |mut stream: TcpStream| {
        stream.write_all(&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(10)).await.unwrap();
        ends(&mut stream).await;
    };
    harmless(speak, |counts| counts.garbage);
}

#[test]
fn half_a_hello_and_an_end() {
    let speak = async |mut stream: TcpStream| {
        let hello = Hello::new(caller(3, 1), CLUSTER, Some(id(2)), Channel::Control);
        stream.write_all(&hello.encode()[..30]).await.unwrap();
        stream.shutdown().await.unwrap();
        ends(&mut stream).await;
    };
    harmless(speak, |counts| counts.garbage);
}

#[test]
fn half_a_hello_and_silence() {
    let speak = async |mut stream: TcpStream| {
        let hello = Hello::new(caller(3, 1), CLUSTER, Some(id(2)), Channel::Control);
        stream.write_all(&hello.encode()[..30]).await.unwrap();
        ends(&mut stream).await;
    };
    harmless(speak, |counts| counts.too_slow);
}

#[test]
fn silence_instead_of_a_hello() {
    let speak = async |mut stream: TcpStream| ends(&mut stream).await;
    harmless(speak, |counts| counts.too_slow);
}

#[test]
fn an_oversized_length() {
    harmless_after_hello(&[0xff, 0xff, 0xff, 0xff], false, |counts| counts.bad_frames);
}

#[test]
fn a_length_of_zero() {
    harmless_after_hello(&[0; 8], false, |counts| counts.bad_frames);
}

#[test]
fn half_a_frame_and_an_end() {
    harmless_after_hello(&good_frame()[..20], true, |counts| counts.bad_frames);
}

#[test]
fn half_a_frame_and_silence() {
    harmless_after_hello(&good_frame()[..20], false, |counts| counts.too_slow);
}

#[test]
fn a_damaged_frame() {
    let mut bytes = good_frame();
    bytes[12] ^= 1;
    harmless_after_hello(&bytes, false, |counts| counts.bad_frames);
}

#[test]
fn garbage_between_frames() {
    let bytes = [good_frame(), vec![0x21; 300]].concat();
    harmless_after_hello(&bytes, false, |counts| counts.bad_frames);
}

#[test]
fn an_undamaged_frame_of_an_unknown_kind() {
    let bytes = frame::Encoded::new(200, Vec::new(), |out| out.push(1)).to_vec();
    harmless_after_hello(&bytes, false, |counts| counts.bad_messages);
}

#[test]
fn a_founding_message_among_members() {
    let bytes = super::super::founding::encode(&super::super::founding::FoundingMessage::Ask);
    harmless_after_hello(&bytes.unwrap().to_vec(), false, |counts| counts.bad_messages);
}

#[test]
fn what_came_before_a_bad_frame_is_handed_over() {
    run(async {
        let mut two = Peer::start(2, 1);
        let (mut stream, _) = by_hand(&two, hello(caller(3, 1), &two)).await;
        let bytes = [good_frame(), good_frame(), vec![0xff; 9]].concat();
        stream.write_all(&bytes).await.unwrap();
        assert_eq!(two.frames(2).await.len(), 2);
        two.closed(3, Side::Incoming).await;
        two.counted(1, |counts| counts.bad_frames).await;
    });
}

#[test]
fn a_frame_cannot_name_another_sender_or_boot() {
    run(async {
        let mut two = Peer::start(2, 1);
        let (mut stream, _) = by_hand(&two, hello(caller(3, 1), &two)).await;
        let forged = notice(caller(1, 9), id(2), 1);
        let bytes = codec::encode(forged, config().frame_limits()).unwrap().encoded.to_vec();
        stream.write_all(&bytes).await.unwrap();
        let frames = two.frames(1).await;
        let Frame::Raft(letter) = &frames[0] else { panic!("a message") };
        let envelope = &letter.envelope;
        assert_eq!((envelope.from, envelope.boot), (id(3), BootCounter(1)));
    });
}

#[test]
fn more_connections_than_allowed_are_closed_at_once() {
    run(async {
        let config = TransportConfig { max_connections: 2, ..config() };
        let two = Peer::start_at("127.0.0.1:0", caller(2, 1), CLUSTER, config);
        let (_first, answer) = by_hand(&two, hello(caller(3, 1), &two)).await;
        assert!(answer.is_ok());
        let (second, answer) = by_hand(&two, hello(caller(4, 1), &two)).await;
        assert!(answer.is_ok());
        let mut third = TcpStream::connect(two.transport.address()).await.unwrap();
        ends(&mut third).await;
        two.counted(1, |counts| counts.too_many).await;
        drop(second);
        let again = async {
            loop {
                let mut stream = TcpStream::connect(two.transport.address()).await.unwrap();
                let mut reply = [0; REPLY_BYTES];
                let said = stream.write_all(&hello(caller(5, 1), &two).encode()).await;
                if said.is_ok() && stream.read_exact(&mut reply).await.is_ok() {
                    return;
                }
            }
        };
        timeout(AT_MOST, again).await.expect("there is room again");
    });
}
