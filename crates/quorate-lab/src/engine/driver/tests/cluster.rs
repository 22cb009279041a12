//! A cluster of engines, as small as these tests need it.

use std::collections::BTreeMap;

use super::super::*;
use crate::context::VirtualTime;
use crate::network::{Counts, Model, Network, RaftHandler};
use crate::raft::{ApplyMsg, Peer, Timing, apply_channel};

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// What one peer's service was given, by index, over all of its lives.
pub(super) type Applied = Arc<Mutex<BTreeMap<u64, Vec<u8>>>>;

/// Looks at each peer's end of a link, and may put another in its place.
pub(super) type Wrap = fn(usize, Peer, &Arc<Persister>) -> Peer;

pub(super) struct Cluster {
    pub(super) context: Context,
    pub(super) network: Network,
    pub(super) timing: Timing,
    pub(super) rafts: Vec<Option<Arc<QuorateRaft>>>,
    pub(super) persisters: Vec<Arc<Persister>>,
    pub(super) applied: Vec<Applied>,
    /// The service takes a snapshot after so many commands.
    pub(super) snapshot_every: Option<u64>,
    pub(super) wrap: Option<Wrap>,
}

/// Runs a test in virtual time.
pub(super) fn run<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    seed: u64,
    test: impl FnOnce(Context) -> F,
) -> T {
    let time = VirtualTime::new(seed);
    time.block_on(test(time.context()))
}

impl Cluster {
    pub(super) fn new(context: &Context, model: Model, peers: usize, timing: Timing) -> Self {
        let mut cluster = Self::empty(context, model, peers, timing);
        (0..peers).for_each(|peer| cluster.start(peer));
        cluster
    }

    pub(super) fn empty(context: &Context, model: Model, peers: usize, timing: Timing) -> Self {
        Self {
            context: context.clone(),
            network: Network::new(model, peers, context.clone()),
            timing,
            rafts: vec![None; peers],
            persisters: (0..peers).map(|_| Persister::new()).collect(),
            applied: (0..peers).map(|_| Applied::default()).collect(),
            snapshot_every: None,
            wrap: None,
        }
    }

    pub(super) fn start(&mut self, me: usize) {
        let (apply, mut applies) = apply_channel();
        let ends = self.network.ends_of(me).unwrap();
        let persister = Arc::clone(&self.persisters[me]);
        let peers = match self.wrap {
            Some(wrap) => ends.iter().map(|end| wrap(me, end.clone(), &persister)).collect(),
            None => ends,
        };
        let (context, timing) = (self.context.clone(), self.timing);
        let raft = QuorateRaft::make(Setup { me, peers, persister, apply, context, timing });
        self.network.add(me, Arc::new(RaftHandler(Arc::clone(&raft)))).unwrap();
        let (applied, every) = (Arc::clone(&self.applied[me]), self.snapshot_every);
        let service = Arc::downgrade(&raft);
        self.context.spawn(async move {
            let mut next = None;
            while let Some(msg) = applies.recv().await {
                let (index, data) = match msg {
                    ApplyMsg::Command { data, index, .. } => {
                        assert!(next.is_none_or(|next| next == index), "{next:?} before {index}");
                        let before = applied.lock().unwrap().insert(index, data.clone());
                        assert!(before.is_none_or(|before| before == data), "another at {index}");
                        (index, data)
                    }
                    ApplyMsg::Snapshot { data, index, .. } => {
                        assert!(next.is_none_or(|next| next <= index), "the state goes back");
                        (index, data)
                    }
                };
                next = Some(index + 1);
                if every.is_some_and(|every| index.is_multiple_of(every))
                    && let Some(raft) = service.upgrade()
                {
                    raft.snapshot(index, &data);
                }
            }
        });
        self.rafts[me] = Some(raft);
    }

    pub(super) fn crash(&mut self, peer: usize) {
        self.network.remove(peer).unwrap();
        self.persisters[peer] = self.persisters[peer].copy();
        if let Some(raft) = self.rafts[peer].take() {
            raft.kill();
        }
    }

    pub(super) fn restart(&mut self, peer: usize) {
        self.crash(peer);
        self.start(peer);
    }

    /// The connected leader of the highest term, where there is one.
    pub(super) fn present_leader(&self) -> Option<usize> {
        let leads = |peer: &usize| {
            let raft = self.rafts[*peer].as_ref()?;
            let (term, leads) = raft.state();
            (leads && self.network.is_connected(*peer).unwrap()).then_some((term, *peer))
        };
        (0..self.rafts.len()).filter_map(|peer| leads(&peer)).max().map(|(_, peer)| peer)
    }

    /// The leader, who must appear within five seconds.
    pub(super) async fn leader(&self) -> usize {
        for _ in 0..10 {
            let wait = 450 + self.context.random_below(100);
            self.context.sleep(Duration::from_millis(wait)).await;
            if let Some(leader) = self.present_leader() {
                return leader;
            }
        }
        panic!("no leader within five seconds");
    }

    pub(super) fn submit(&self, peer: usize, command: &[u8]) -> Option<Start> {
        self.rafts[peer].as_ref()?.start(command)
    }

    pub(super) fn has(&self, index: u64, command: &[u8]) -> usize {
        let has = |applied: &&Applied| {
            applied.lock().unwrap().get(&index).is_some_and(|found| found == command)
        };
        self.applied.iter().filter(has).count()
    }

    /// Has one command applied by so many peers, and says at which index.
    pub(super) async fn one(&self, command: &[u8], peers: usize) -> u64 {
        let until = self.context.now() + 10 * SECOND;
        while self.context.now() < until {
            let connected = |peer: &usize| self.network.is_connected(*peer).unwrap();
            let started =
                (0..self.rafts.len()).filter(connected).find_map(|peer| self.submit(peer, command));
            let Some(Start { index, .. }) = started else {
                self.context.sleep(50 * MS).await;
                continue;
            };
            let patience = self.context.now() + 2 * SECOND;
            while self.context.now() < patience {
                if self.has(index, command) >= peers {
                    return index;
                }
                self.context.sleep(20 * MS).await;
            }
        }
        panic!("no agreement on {command:?} by {peers} within ten seconds");
    }

    pub(super) fn counts(&self) -> Counts {
        self.network.counts()
    }
}
