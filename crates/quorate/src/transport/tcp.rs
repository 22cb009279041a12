//! The handle to a node's sockets, and what its tasks share.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_core::{ClusterId, Instant, NodeId};
use tokio::io::AsyncWriteExt;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::bulk;
use super::codec;
use super::config::{Listening, TransportConfig};
use super::counters::{Counters, TransportCounts, add, count};
use super::dial::{DialError, Dialer, dial};
use super::events::{Event, EventQueue, PerChannel, Side};
use super::founding::{FOUNDING_FRAME_BYTES, FoundingMessage};
use super::handshake::{Acquaintances, Caller, Channel, WelcomeError};
use super::link::{self, Link, LinkStatus, SendError};
use super::listen::{self, Incoming};
use super::reader::FrameReader;
use super::stream::MemoryNetwork;
use crate::founding::{Answer, Input};
use crate::replica::Frame;
use crate::roster::FoundingRecord;

/// What all tasks of one transport share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: TransportConfig,
    /// Where it dials, when that is no TCP.
    pub(crate) network: Option<MemoryNetwork>,
    pub(crate) events: EventQueue,
    pub(crate) counters: Counters,
    acquaintances: Mutex<Acquaintances>,
    answer: Mutex<Option<Arc<Answer>>>,
    incoming: Mutex<BTreeMap<NodeId, Incoming>>,
    incoming_bulk: Mutex<BTreeMap<NodeId, Incoming>>,
    links: Mutex<BTreeMap<NodeId, (Arc<Link>, Tasks)>>,
    numbers: AtomicU64,
}

/// What serves one peer: its control connection and its bulk connection.
type Tasks = [AbortHandle; 2];

/// Locks what no holder panics with.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn acquaintances(&self) -> MutexGuard<'_, Acquaintances> {
        lock(&self.acquaintances)
    }

    /// The connections that peers send over at present.
    pub(crate) fn incoming(&self, channel: Channel) -> MutexGuard<'_, BTreeMap<NodeId, Incoming>> {
        match channel {
            Channel::Control => lock(&self.incoming),
            Channel::Bulk => lock(&self.incoming_bulk),
        }
    }

    pub(crate) fn answer(&self) -> Option<Arc<Answer>> {
        lock(&self.answer).clone()
    }

    pub(crate) fn link(&self, peer: NodeId) -> Option<Arc<Link>> {
        lock(&self.links).get(&peer).map(|(link, _)| Arc::clone(link))
    }

    /// Reports what is lost with a link that nobody serves any more.
    fn abandon(&self, link: &Link) {
        let connected = link.is_connected();
        let (lost, _) = link.down("it is no peer any more".to_owned());
        add(&self.counters.dropped_connection_lost, lost);
        if connected {
            self.events.push(Event::Closed { peer: link.peer, side: Side::Outgoing });
        }
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

/// The sockets of one node. Dropping it closes all of them.
#[derive(Debug)]
pub struct Transport {
    shared: Arc<Shared>,
    address: SocketAddr,
    listener: AbortHandle,
    /// Founding exchanges under way.
    exchanges: Mutex<JoinSet<()>>,
}

impl Transport {
    /// Begins to accept connections, on the runtime that this is called in. `cluster` is zero until
    /// the node is founded.
    ///
    /// # Errors
    ///
    /// When the runtime cannot take the socket over.
    ///
    /// # Panics
    ///
    /// When it is called outside a tokio runtime with its I/O and time drivers.
    pub fn start(
        listening: Listening,
        config: TransportConfig,
        me: Caller,
        cluster: ClusterId,
    ) -> io::Result<Self> {
        let address = listening.address();
        let (listener, network) = listening.adopt()?;
        let shared = Arc::new(Shared {
            events: EventQueue::new(PerChannel {
                control: config.event_queue_bytes,
                bulk: config.bulk_event_bytes,
            }),
            config,
            network,
            counters: Counters::default(),
            acquaintances: Mutex::new(Acquaintances::new(me, cluster)),
            answer: Mutex::new(None),
            incoming: Mutex::new(BTreeMap::new()),
            incoming_bulk: Mutex::new(BTreeMap::new()),
            links: Mutex::new(BTreeMap::new()),
            numbers: AtomicU64::new(0),
        });
        let listener = tokio::spawn(listen::run(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, address, listener, exchanges: Mutex::new(JoinSet::new()) })
    }

    /// The address that is listened on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happened, to be taken whole.
    #[must_use]
    pub fn events(&self) -> &EventQueue {
        &self.shared.events
    }

    /// Everything counted since the start.
    #[must_use]
    pub fn counts(&self) -> TransportCounts {
        self.shared.counters.read()
    }

    /// The way to every peer, in ascending order of id.
    #[must_use]
    pub fn links(&self) -> Vec<LinkStatus> {
        lock(&self.shared.links).values().map(|(link, _)| link.status()).collect()
    }

    /// Sets what this node says of itself when it is asked; until then it answers nobody.
    pub fn set_answer(&self, answer: Answer) {
        *lock(&self.shared.answer) = Some(Arc::new(answer));
    }

    /// Notes the cluster that this node has become part of.
    ///
    /// # Panics
    ///
    /// When it belongs to another cluster already.
    pub fn join_cluster(&self, cluster: ClusterId) {
        self.shared.acquaintances().join(cluster);
    }

    /// Notes which nodes were removed from the cluster; they are told so when they call.
    pub fn set_removed(&self, removed: impl IntoIterator<Item = NodeId>) {
        self.shared.acquaintances().set_removed(removed);
    }

    /// Sets the peers to keep connected, with their addresses. Connections to others, or to other
    /// addresses, are closed; the rest stays as it is. This node itself is left out.
    pub fn set_peers(&self, peers: impl IntoIterator<Item = (NodeId, String)>) {
        let me = self.shared.acquaintances().me().node;
        let wanted: BTreeMap<NodeId, String> =
            peers.into_iter().filter(|(peer, _)| *peer != me).collect();
        let mut links = lock(&self.shared.links);
        links.retain(|peer, (link, tasks)| {
            let stays = wanted.get(peer) == Some(&link.address);
            if !stays {
                tasks.iter().for_each(AbortHandle::abort);
                self.shared.abandon(link);
            }
            stays
        });
        for (peer, address) in wanted {
            links.entry(peer).or_insert_with(|| {
                let link = Arc::new(Link::new(peer, address));
                let control = link::run(Arc::clone(&link), Arc::clone(&self.shared));
                let bulk = bulk::run(Arc::clone(&link), Arc::clone(&self.shared));
                let tasks =
                    [tokio::spawn(control).abort_handle(), tokio::spawn(bulk).abort_handle()];
                (link, tasks)
            });
        }
    }

    /// Queues a frame for a peer. All that is queued in one wake-up leaves in one write; chunks of
    /// snapshots leave over a connection of their own.
    ///
    /// # Errors
    ///
    /// When the frame certainly does not leave: the peer is unknown or not connected, its queue is
    /// full, or the frame is too large.
    pub fn send(&self, to: NodeId, frame: Frame) -> Result<(), SendError> {
        let counters = &self.shared.counters;
        let sent = self.try_send(to, frame);
        match &sent {
            Ok(()) => {}
            Err(SendError::UnknownPeer(_) | SendError::NotConnected(_)) => {
                count(&counters.dropped_not_connected);
            }
            Err(SendError::Full(_)) => count(&counters.dropped_queue_full),
            Err(SendError::TooLarge(_)) => count(&counters.dropped_too_large),
        }
        sent
    }

    fn try_send(&self, to: NodeId, frame: Frame) -> Result<(), SendError> {
        let shared = &self.shared;
        let links = lock(&shared.links);
        let (link, _) = links.get(&to).ok_or(SendError::UnknownPeer(to))?;
        if !link.is_connected() {
            return Err(SendError::NotConnected(to));
        }
        let chunk = match &frame {
            Frame::Chunk(chunk) => Some(chunk.envelope.request),
            Frame::Raft(_) | Frame::Forward(_) | Frame::ForwardReply(_) => None,
        };
        let packed = codec::encode(frame, shared.config.frame_limits())?;
        if let Some(request) = chunk {
            return link.send_chunk(request, packed.encoded, shared.config.bulk_queue_bytes);
        }
        if packed.trimmed {
            count(&shared.counters.trimmed);
        }
        link.send(packed.encoded, shared.config.send_queue_bytes)
    }

    /// Asks the node at `address` who it is; the outcome comes as [`Event::Founding`].
    pub fn ask(&self, address: String, asked: Instant) {
        let shared = Arc::clone(&self.shared);
        self.exchange(async move {
            let outcome = exchange(&shared, &address, None, &FoundingMessage::Ask).await;
            let input = match outcome {
                Ok(answer) => Input::Answered { address, asked, answer },
                Err(error) => Input::Unreachable { address, reason: error.to_string() },
            };
            shared.events.push(Event::Founding(input));
        });
    }

    /// Hands a founding record to the node `to`, and to nobody else, at `address`. Whether it was
    /// accepted shows when the node is asked again.
    pub fn offer(&self, address: String, to: NodeId, record: FoundingRecord) {
        let shared = Arc::clone(&self.shared);
        self.exchange(async move {
            let message = FoundingMessage::Offer(record);
            if let Err(error) = exchange(&shared, &address, Some(to), &message).await {
                tracing::debug!(%to, address, "the founding record was not handed over: {error}");
            }
        });
    }

    fn exchange(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut exchanges = lock(&self.exchanges);
        while exchanges.try_join_next().is_some() {}
        exchanges.spawn(task);
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.listener.abort();
        for (_, tasks) in lock(&self.shared.links).values() {
            tasks.iter().for_each(AbortHandle::abort);
        }
    }
}

fn dialer(shared: &Shared, to: Option<NodeId>, channel: Channel) -> Dialer {
    let known = shared.acquaintances();
    Dialer { me: known.me(), cluster: known.cluster(), to, channel }
}

/// One founding message and its answer, on a connection of its own. `only` is the node that the
/// message is for; to anybody else nothing is said.
async fn exchange(
    shared: &Shared,
    address: &str,
    only: Option<NodeId>,
    message: &FoundingMessage,
) -> Result<Answer, DialError> {
    let config = &shared.config;
    let dialer = dialer(shared, None, Channel::Control);
    let (mut stream, welcome) = dial(address, dialer, config, shared.network.as_ref()).await?;
    let there = welcome.from.node;
    if let Some(wanted) = only.filter(|wanted| *wanted != there) {
        return Err(DialError::Unwelcome(WelcomeError::WrongNode { there, wanted }));
    }
    let protocol = |error: &dyn std::error::Error| DialError::Protocol(error.to_string());
    let exchange = async {
        let message = super::founding::encode(message).map_err(|error| protocol(&error))?;
        stream.write_all(&message.to_vec()).await?;
        let mut reader = FrameReader::new(&mut stream, FOUNDING_FRAME_BYTES, config.read_timeout);
        loop {
            match reader.next().map_err(|error| protocol(&error))? {
                None => reader.fill().await.map_err(|error| protocol(&error))?,
                Some(frame) => {
                    return match super::founding::decode(frame) {
                        Ok(FoundingMessage::Answer(answer)) => Ok(Arc::unwrap_or_clone(answer)),
                        Ok(_) => Err(DialError::Protocol("it did not answer".to_owned())),
                        Err(error) => Err(protocol(&error)),
                    };
                }
            }
        }
    };
    let exchanged = timeout(config.read_timeout, exchange).await;
    let answer = exchanged.map_err(|_| DialError::AnswerTimeout(config.read_timeout))??;
    // Who says it is another node than its handshake said is not to be believed.
    if answer.member.id != there {
        let wanted = answer.member.id;
        return Err(DialError::Unwelcome(WelcomeError::WrongNode { there, wanted }));
    }
    Ok(answer)
}
