//! Real sockets on loopback: connections, bad input, refusals, and a founding over the wire.

mod bad_input;
mod bulk;
mod founding;
mod peers;
mod refusals;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use quorate_core::{
    Append, AppendReply, BootCounter, ClusterId, EntryId, EntryKind, Envelope, Few, Index, Message,
    NodeId, RequestId, Term,
};
use quorate_log::{BlockBuilder, Entries, Envelope as EntryEnvelope};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::handshake::{
    Caller, Channel, HandshakeRefusal, Hello, REPLY_BYTES, Welcome, decode_reply,
};
use super::*;
use crate::replica::{Frame, heads};

const CLUSTER: ClusterId = ClusterId(0xc1);
/// How long a test waits for what must happen; only a failing test waits so long.
const AT_MOST: Duration = Duration::from_secs(10);

fn id(number: u64) -> NodeId {
    NodeId::new(number).expect("tests use numbers above zero")
}

fn caller(node: u64, boot: u64) -> Caller {
    Caller { node: id(node), boot: BootCounter(boot), process: node * 100 + boot }
}

/// Short deadlines, so that tests of them end soon.
fn config() -> TransportConfig {
    let read_timeout = Duration::from_millis(300);
    TransportConfig { read_timeout, seed: 7, ..TransportConfig::default() }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(test);
}

/// A transport and the events taken from it.
struct Peer {
    transport: Transport,
    events: VecDeque<Event>,
    me: Caller,
}

impl Peer {
    fn start(node: u64, boot: u64) -> Self {
        Self::start_at("127.0.0.1:0", caller(node, boot), CLUSTER, config())
    }

    fn start_at(address: &str, me: Caller, cluster: ClusterId, config: TransportConfig) -> Self {
        let listening = Listening::bind(address).unwrap();
        let transport = Transport::start(listening, config, me, cluster).unwrap();
        Self { transport, events: VecDeque::new(), me }
    }

    /// Starts on an address that another transport has just left.
    async fn restart_at(address: SocketAddr, me: Caller, config: TransportConfig) -> Self {
        let attempt = async {
            loop {
                match Listening::bind(&address.to_string()) {
                    Ok(listening) => return listening,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let listening = timeout(AT_MOST, attempt).await.expect("the address becomes free");
        let transport = Transport::start(listening, config, me, CLUSTER).unwrap();
        Self { transport, events: VecDeque::new(), me }
    }

    fn address(&self) -> String {
        self.transport.address().to_string()
    }

    fn knows(&self, peers: &[&Self]) {
        let peers = peers.iter().map(|peer| (peer.me.node, peer.address()));
        self.transport.set_peers(peers);
    }

    /// The next event that `wanted` picks; the others stay.
    async fn next<T>(&mut self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let waiting = async {
            loop {
                for at in 0..self.events.len() {
                    if let Some(found) = wanted(&self.events[at]) {
                        self.events.remove(at);
                        return found;
                    }
                }
                self.transport.events().ready().await;
                self.take();
            }
        };
        timeout(AT_MOST, waiting).await.expect("the event comes")
    }

    fn take(&mut self) {
        let mut taken = Vec::new();
        self.transport.events().take(&mut taken);
        self.events.extend(taken);
    }

    async fn connected(&mut self, node: u64, wanted: Side) -> BootCounter {
        self.next(|event| match event {
            Event::Connected { peer, boot, side } if (*peer, *side) == (id(node), wanted) => {
                Some(*boot)
            }
            _ => None,
        })
        .await
    }

    async fn closed(&mut self, node: u64, wanted: Side) {
        self.next(|event| match event {
            Event::Closed { peer, side } if (*peer, *side) == (id(node), wanted) => Some(()),
            _ => None,
        })
        .await;
    }

    /// Frames until there are `count`.
    async fn frames(&mut self, count: usize) -> Vec<Frame> {
        let mut all = Vec::new();
        while all.len() < count {
            let batch = self.next(|event| match event {
                Event::Frames { frames, .. } => Some(frames.clone()),
                _ => None,
            });
            all.extend(batch.await);
        }
        assert_eq!(all.len(), count);
        all
    }

    /// Waits until a counter has this value.
    async fn counted(&self, value: u64, pick: impl Fn(&TransportCounts) -> u64) {
        self.counted_at_least(value, &pick).await;
        assert_eq!(pick(&self.transport.counts()), value);
    }

    async fn counted_at_least(&self, value: u64, pick: impl Fn(&TransportCounts) -> u64) {
        let waiting = async {
            while pick(&self.transport.counts()) < value {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(AT_MOST, waiting).await.expect("the counter rises");
    }
}

/// Two nodes that are connected both ways.
async fn pair() -> (Peer, Peer) {
    let (mut one, mut two) = (Peer::start(1, 1), Peer::start(2, 1));
    one.knows(&[&two]);
    two.knows(&[&one]);
    one.connected(2, Side::Outgoing).await;
    two.connected(1, Side::Outgoing).await;
    one.connected(2, Side::Incoming).await;
    two.connected(1, Side::Incoming).await;
    (one, two)
}

fn envelope(from: Caller, to: NodeId, request: u64, message: Message) -> Envelope {
    let (term, request) = (Term(9), RequestId(request));
    Envelope { from: from.node, boot: from.boot, to, term, request, message }
}

/// A small frame that is told from others by its number.
fn notice(from: Caller, to: NodeId, number: u64) -> Frame {
    let message = Message::AppendReply(AppendReply::Accepted { matched: Index(number) });
    Frame::raft(envelope(from, to, number, message), Few::new())
}

fn append(from: Caller, to: NodeId, sizes: &[usize]) -> Frame {
    let mut builder = BlockBuilder::new();
    for (index, size) in (5..).zip(sizes) {
        let envelope = EntryEnvelope::of(EntryKind::Command, 1);
        builder.push(Index(index), Term(3), &envelope, &vec![0x5a; *size]);
    }
    let entries = Few::one(Entries::all(builder.finish()));
    let append = Append {
        prev: EntryId::new(Index(4), Term(2)),
        commit: Index(4),
        recorded: Index(3),
        recorded_boot: BootCounter(2),
        wants_reply: true,
        runs: heads(&entries).unwrap(),
    };
    Frame::raft(envelope(from, to, 1, Message::Append(append)), entries)
}

/// Opens a connection to `peer` by hand and says hello.
async fn by_hand(peer: &Peer, hello: Hello) -> (TcpStream, Result<Welcome, HandshakeRefusal>) {
    let mut stream = TcpStream::connect(peer.transport.address()).await.unwrap();
    stream.write_all(&hello.encode()).await.unwrap();
    let mut reply = [0; REPLY_BYTES];
    stream.read_exact(&mut reply).await.unwrap();
    (stream, decode_reply(&reply).unwrap())
}

fn hello(from: Caller, to: &Peer) -> Hello {
    Hello::new(from, CLUSTER, Some(to.me.node), Channel::Control)
}

/// Waits until the other side closes; whether it did so within the time.
async fn ends(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end, too.
    let _read = timeout(AT_MOST, stream.read_to_end(&mut rest)).await.expect("closed in time");
}
