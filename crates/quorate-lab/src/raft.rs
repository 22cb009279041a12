//! What a Raft offers to the lab, and what the lab gives it.
//!
//! Whoever implements [`LabRaft`] can be put through every scenario: with clock, tasks and randomness
//! from the [`Context`], and the other peers through [`Peers`], and through nothing else.

use std::fmt;
use std::future::Future;
use std::ops::Index;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::context::{BoxFuture, Context};
use crate::persister::Persister;
use crate::recording::{Inside, Wire, Words};

/// A Raft under test: one instance of one peer, from its start to its crash.
pub trait LabRaft: Send + Sync + Sized + 'static {
    /// Whether [`LabRaft::snapshot`] does anything. Scenarios of snapshots are skipped, with words,
    /// where it does not.
    const SNAPSHOTS: bool = false;

    /// Starts a peer, with what it saved before its crash in the persister. Returns at once.
    fn make(setup: Setup) -> Arc<Self>;

    /// Appends a command, if this peer believes to lead; nothing if it does not. Returns at once:
    /// whether the command is ever applied, shows on the apply channel.
    fn start(&self, command: &[u8]) -> Option<Start>;

    /// The present term, and whether this peer believes to lead. Returns at once.
    fn state(&self) -> (u64, bool);

    /// Answers a request of another peer.
    fn handle(
        self: Arc<Self>,
        method: String,
        args: Vec<u8>,
    ) -> impl Future<Output = Vec<u8>> + Send + 'static;

    /// Crashes this instance: from then on it saves, sends and applies nothing, and the apply channel
    /// ends. Returns at once.
    fn kill(&self);

    /// The service's state as it is after the entry with this index; what comes before is needed no
    /// more. Returns at once.
    fn snapshot(&self, _index: u64, _data: &[u8]) {}

    /// Whether the service shall take this snapshot, which came through the apply channel. A Raft that
    /// only delivers what is ahead of everything delivered before may always say yes.
    fn cond_install_snapshot(&self, _term: u64, _index: u64, _data: &[u8]) -> bool {
        true
    }

    /// The command at this index, where it is known to be committed; `None` where it is not, and
    /// `Err` where this Raft does not answer such questions.
    fn committed(&self, _index: u64) -> Result<Option<Vec<u8>>, DoesNotTell> {
        Err(DoesNotTell)
    }

    /// How this server is at this moment, for the page that plays a run: with it the page shows the log,
    /// the vote and what is known to be committed. Returns at once.
    fn inside(&self) -> Option<Inside> {
        None
    }

    /// What a message says, for the page that plays a run. Without it a message has the name of its
    /// method.
    fn words(_wire: Wire<'_>) -> Option<Words> {
        None
    }
}

/// This Raft does not say what is committed but through the apply channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoesNotTell;

/// What a peer starts with.
#[derive(Debug)]
pub struct Setup {
    /// Its own number.
    pub me: usize,
    /// All peers, itself included.
    pub peers: Peers,
    /// What it saved before, and where it saves.
    pub persister: Arc<Persister>,
    /// Where committed commands go.
    pub apply: ApplySender,
    /// Clock, tasks and randomness.
    pub context: Context,
    /// How fast it shall be.
    pub timing: Timing,
}

/// Where a command was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Its index, if it is ever committed. The first command has 1.
    pub index: u64,
    /// The leader's term.
    pub term: u64,
}

/// What happens to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyMsg {
    /// A command is committed.
    Command {
        /// The command.
        data: Vec<u8>,
        /// Its index.
        index: u64,
        /// The term it was appended in.
        term: u64,
    },
    /// A snapshot shall take the place of the service's state.
    Snapshot {
        /// The snapshot, as some service made it.
        data: Vec<u8>,
        /// Term of the last entry that it covers.
        term: u64,
        /// Index of that entry.
        index: u64,
    },
}

/// Times of a Raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Time between heartbeats.
    pub heartbeat: Duration,
    /// Shortest election timeout.
    pub election_min: Duration,
    /// Longest election timeout.
    pub election_max: Duration,
}

impl Timing {
    /// Of the async Rust lab: a heartbeat every 50 ms, election timeouts of 200 to 400 ms.
    #[must_use]
    pub const fn brisk() -> Self {
        Self::ms(50, 200, 400)
    }

    /// Of the Go course lab and the dss labs: fewer than ten heartbeats in a second, and election
    /// timeouts above the 150 to 300 ms of the Raft paper.
    #[must_use]
    pub const fn course() -> Self {
        Self::ms(150, 350, 650)
    }

    const fn ms(heartbeat: u64, election_min: u64, election_max: u64) -> Self {
        Self {
            heartbeat: Duration::from_millis(heartbeat),
            election_min: Duration::from_millis(election_min),
            election_max: Duration::from_millis(election_max),
        }
    }
}

/// No peer has this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no peer {peer}: this cluster has {peers} peers, and they are numbered from 0")]
pub struct NoSuchPeer {
    /// The number.
    pub peer: usize,
    /// How many there are.
    pub peers: usize,
}

/// All peers of a cluster, by their numbers.
#[derive(Clone, Debug, Default)]
pub struct Peers(Arc<[Peer]>);

impl Peers {
    /// How many there are, the own one included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The peer with this number.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn get(&self, peer: usize) -> Result<&Peer, NoSuchPeer> {
        self.0.get(peer).ok_or(NoSuchPeer { peer, peers: self.len() })
    }

    /// All but this one, with their numbers.
    pub fn others(&self, me: usize) -> impl Iterator<Item = (usize, &Peer)> {
        self.0.iter().enumerate().filter(move |(peer, _)| *peer != me)
    }

    /// All of them, in the order of their numbers.
    pub fn iter(&self) -> std::slice::Iter<'_, Peer> {
        self.0.iter()
    }
}

impl FromIterator<Peer> for Peers {
    fn from_iter<I: IntoIterator<Item = Peer>>(peers: I) -> Self {
        Self(peers.into_iter().collect())
    }
}

impl From<Vec<Peer>> for Peers {
    fn from(peers: Vec<Peer>) -> Self {
        Self(peers.into())
    }
}

impl<'a> IntoIterator for &'a Peers {
    type Item = &'a Peer;
    type IntoIter = std::slice::Iter<'a, Peer>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Index<usize> for Peers {
    type Output = Peer;

    /// # Panics
    ///
    /// Panics with [`NoSuchPeer`] in words where there is none.
    fn index(&self, peer: usize) -> &Peer {
        self.get(peer).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// What carries requests to one peer.
pub trait Link: Send + Sync + 'static {
    /// Takes a request at once, and gives its answer when there is one; nothing where request or
    /// answer was lost, or none came in time. Dropping the future takes nothing back.
    fn call(&self, method: &str, args: Vec<u8>) -> BoxFuture<Option<Vec<u8>>>;
}

/// One end of what lies between two peers.
#[derive(Clone)]
pub struct Peer(Arc<dyn Link>);

impl Peer {
    /// Makes one of whatever carries requests.
    pub fn new(link: impl Link) -> Self {
        Self(Arc::new(link))
    }

    /// Sends a request, and waits for its answer. It leaves when this is called, not when the future
    /// is first polled. `None`: request or answer was lost, or nobody was there. The request may have
    /// been executed all the same. It can take half a minute until that is known, so nothing should
    /// wait for it.
    pub fn call(&self, method: &str, args: Vec<u8>) -> BoxFuture<Option<Vec<u8>>> {
        self.0.call(method, args)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peer")
    }
}

/// Where a Raft puts what is committed. Never full, so that nobody waits in it.
#[derive(Clone, Debug)]
pub struct ApplySender(Arc<Mutex<Option<mpsc::UnboundedSender<ApplyMsg>>>>);

/// Where the service takes it.
#[derive(Debug)]
pub struct ApplyReceiver(mpsc::UnboundedReceiver<ApplyMsg>);

/// A channel from a Raft to its service.
#[must_use]
pub fn apply_channel() -> (ApplySender, ApplyReceiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (ApplySender(Arc::new(Mutex::new(Some(sender)))), ApplyReceiver(receiver))
}

impl ApplySender {
    /// Puts one in. False where the channel was closed at either end.
    pub fn send(&self, msg: ApplyMsg) -> bool {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sender.as_ref().is_some_and(|sender| sender.send(msg).is_ok())
    }

    /// Closes the channel: the receiver gets what is in it, and then the end.
    pub fn close(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl ApplyReceiver {
    /// The next message, when there is one; nothing after the end.
    pub async fn recv(&mut self) -> Option<ApplyMsg> {
        self.0.recv().await
    }

    /// The next message, if there is one already.
    pub fn try_recv(&mut self) -> Option<ApplyMsg> {
        self.0.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use super::*;

    struct Echo;

    impl Link for Echo {
        fn call(&self, method: &str, args: Vec<u8>) -> BoxFuture<Option<Vec<u8>>> {
            let mut answer = method.as_bytes().to_vec();
            answer.extend(args);
            Box::pin(std::future::ready(Some(answer)))
        }
    }

    #[test]
    fn a_peer_that_does_not_exist_is_told_plainly() {
        let peers: Peers = (0..3).map(|_| Peer::new(Echo)).collect();
        let words = "there is no peer 3: this cluster has 3 peers, and they are numbered from 0";
        assert_eq!(peers.get(3).err().map(|error| error.to_string()).as_deref(), Some(words));
        assert!(peers.get(2).is_ok());
        let panic = std::panic::catch_unwind(AssertUnwindSafe(|| peers[3].clone()))
            .expect_err("there is none");
        assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some(words));
        assert_eq!(peers.others(1).map(|(peer, _)| peer).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn a_closed_channel_gives_what_is_in_it_and_then_the_end() {
        let (sender, mut receiver) = apply_channel();
        let command = ApplyMsg::Command { data: vec![1], index: 1, term: 1 };
        assert!(sender.send(command.clone()));
        let other = sender.clone();
        other.close();
        assert!(!sender.send(command.clone()), "every clone is the same end");
        let received = futures_util::future::FutureExt::now_or_never(async {
            (receiver.recv().await, receiver.recv().await)
        });
        assert_eq!(received, Some((Some(command), None)));
    }
}
