//! The rules of the blob, watched at every request, every answer and every save.

use std::sync::atomic::{AtomicU64, Ordering};

use quorate_core::{AppendReply, Index, Message, NodeId, Term};

use super::super::super::messages::{self, Asked, Content, REQUEST_VOTE};
use super::super::super::state::State;
use super::super::*;
use super::cluster::{Cluster, MS, run};
use crate::context::BoxFuture;
use crate::network::{Handler, Lost, Model};
use crate::persister::Store;
use crate::raft::{Link, Peer, Timing};

fn saved(persister: &Persister) -> State {
    let (state, snapshot) = persister.both();
    State::decode(&state, &snapshot).expect("what is saved belongs together")
}

/// Asserts of each request that what it rests on is saved.
struct Watched {
    peer: Peer,
    persister: Arc<Persister>,
}

impl Link for Watched {
    fn call(&self, method: &str, args: Vec<u8>) -> BoxFuture<Option<Vec<u8>>> {
        let request = messages::decode(method, &args).expect("it was just encoded");
        let state = saved(&self.persister);
        let is_dry_run = matches!(request.asked, Asked::Vote { pre_vote: true, .. });
        if !is_dry_run {
            assert!(state.hard_state.term >= request.term, "its term is saved before it leaves");
        }
        if matches!(request.asked, Asked::Vote { pre_vote: false, .. })
            && state.hard_state.term == request.term
        {
            let own = NodeId::new(request.from as u64 + 1);
            assert_eq!(state.hard_state.vote, own, "its own vote is saved before it asks");
        }
        if let (Asked::Append { end, .. }, true) =
            (request.asked, state.hard_state.term == request.term)
        {
            assert!(state.last().index >= end, "its own entries are saved before they leave");
        }
        self.peer.call(method, args)
    }
}

/// Asserts of each answer that what it promises is saved.
struct Watching {
    raft: Arc<QuorateRaft>,
    persister: Arc<Persister>,
    promises: Arc<AtomicU64>,
}

impl Handler for Watching {
    fn handle(self: Arc<Self>, method: String, args: Vec<u8>) -> BoxFuture<Vec<u8>> {
        Box::pin(async move {
            let request = messages::decode(&method, &args).expect("peers make sense");
            let answer = Arc::clone(&self.raft).handle(method.clone(), args).await;
            let state = saved(&self.persister);
            let reply = messages::decode_reply(request.asked, request.term, &answer);
            let Some((term, message)) = reply else { return answer };
            assert!(term <= state.hard_state.term, "a term is saved before it is told");
            if let Message::AppendReply(AppendReply::Accepted { matched }) = &message {
                self.promises.fetch_add(1, Ordering::Relaxed);
                self.check_matched(*matched, &request.content, &state);
            }
            if let (Message::VoteReply(vote), REQUEST_VOTE) = (&message, method.as_str())
                && vote.granted
                && !vote.pre_vote
            {
                self.promises.fetch_add(1, Ordering::Relaxed);
                let candidate = NodeId::new(request.from as u64 + 1);
                let kept = (state.hard_state.term, state.hard_state.vote);
                assert_eq!(kept, (vote.campaign, candidate), "a vote is saved before it is told");
            }
            answer
        })
    }
}

impl Watching {
    fn check_matched(&self, matched: Index, content: &Content, state: &State) {
        assert!(state.last().index >= matched, "entries are saved before they are acknowledged");
        if let Content::Message(Message::Append(_), entries) = content {
            let held = |id: quorate_core::EntryId| {
                let term: Option<Term> = state.term_at(id.index);
                id.index > matched || id.index < state.base.index || term == Some(id.term)
            };
            let all = entries.iter().flat_map(|slice| slice.iter());
            assert!(all.map(|entry| entry.id).all(held), "and they are the very ones");
        }
    }
}

/// Asserts of each save that it makes sense by itself.
struct Checked {
    snapshot: Vec<u8>,
    /// Highest term, and in it the vote, that was ever saved.
    best: (Term, Option<NodeId>),
}

impl Store for Checked {
    fn keep(&mut self, state: &[u8], snapshot: Option<&[u8]>) {
        if let Some(snapshot) = snapshot {
            snapshot.clone_into(&mut self.snapshot);
        }
        let state = State::decode(state, &self.snapshot)
            .expect("a crash right after any save finds a state and the snapshot it goes with");
        let (term, vote) = (state.hard_state.term, state.hard_state.vote);
        assert!(term >= self.best.0, "a term never falls");
        if term == self.best.0 && self.best.1.is_some() {
            assert_eq!(vote, self.best.1, "a vote is given once");
        }
        self.best = (term, vote);
    }
}

fn watch(_: usize, peer: Peer, persister: &Arc<Persister>) -> Peer {
    Peer::new(Watched { peer, persister: Arc::clone(persister) })
}

#[test]
fn nothing_leaves_before_what_it_rests_on_is_saved() {
    let mut watched = 0;
    for seed in 0..8 {
        watched += run(seed, move |context| async move {
            let model = Model::LabRpc(Lost::Soon);
            let mut cluster = Cluster::empty(&context, model, 3, Timing::course());
            cluster.wrap = Some(watch);
            cluster.snapshot_every = Some(10);
            let promises = Arc::new(AtomicU64::new(0));
            let begin = |cluster: &mut Cluster, peer: usize| {
                cluster.start(peer);
                let raft = Arc::clone(cluster.rafts[peer].as_ref().unwrap());
                let persister = Arc::clone(&cluster.persisters[peer]);
                let promises = Arc::clone(&promises);
                let watching = Watching { raft, persister, promises };
                cluster.network.add(peer, Arc::new(watching)).unwrap();
            };
            for peer in 0..3 {
                let store = Checked { snapshot: Vec::new(), best: Default::default() };
                cluster.persisters[peer] = Persister::with_store(Vec::new(), Vec::new(), store);
                begin(&mut cluster, peer);
            }
            cluster.network.set_reliable(false);
            for step in 0..300_u64 {
                for peer in 0..3 {
                    cluster.submit(peer, &step.to_le_bytes());
                }
                context.sleep(context.random_time(60 * MS)).await;
                let peer = usize::try_from(context.random_below(3)).unwrap();
                match context.random_below(12) {
                    0 => cluster.network.disconnect(peer).unwrap(),
                    1..=3 => cluster.network.connect(peer).unwrap(),
                    4 => {
                        cluster.crash(peer);
                        begin(&mut cluster, peer);
                    }
                    _ => {}
                }
            }
            cluster.network.heal();
            cluster.network.set_reliable(true);
            cluster.one(b"end", 3).await;
            promises.load(Ordering::Relaxed)
        });
    }
    assert!(watched > 800, "only {watched} promises were watched");
}
