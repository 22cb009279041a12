//! Crashes and restarts, losses, snapshots, and what is left of a peer that was killed.

use super::super::*;
use super::cluster::{Cluster, MS, SECOND, run};
use crate::context::{RealTime, VirtualTime};
use crate::network::{Lost, Model};
use crate::raft::{ApplyMsg, NoSuchPeer, Peers, Timing, apply_channel};

const MODELS: [(Model, Timing); 4] = [
    (Model::Plain, Timing::brisk()),
    (Model::LabRpc(Lost::Soon), Timing::course()),
    (Model::LabRpc(Lost::Late), Timing::course()),
    (Model::Proxy, Timing::brisk()),
];

#[test]
fn the_first_command_has_the_first_index_under_every_leader() {
    for (model, timing) in MODELS {
        run(1, move |context| async move {
            let mut cluster = Cluster::new(&context, model, 3, timing);
            for number in 1..=5_u8 {
                assert_eq!(cluster.one(&[number], 3).await, u64::from(number));
                // Each leader opens its term with an entry that nobody shall count.
                let leader = cluster.leader().await;
                cluster.restart(leader);
            }
            assert_eq!(cluster.one(&[6], 3).await, 6);
            for raft in cluster.rafts.iter().flatten() {
                assert_eq!(raft.committed(5), Ok(Some(vec![5])));
                assert_eq!(raft.committed(7), Ok(None));
            }
        });
    }
}

#[test]
fn a_follower_refuses_and_a_leader_that_was_cut_off_accepts_at_first() {
    run(1, |context| async move {
        let cluster = Cluster::new(&context, Model::LabRpc(Lost::Late), 5, Timing::course());
        assert_eq!(cluster.one(b"10", 5).await, 1);
        let leader = cluster.leader().await;
        for offset in 1..5 {
            let follower = (leader + offset) % 5;
            assert_eq!(cluster.submit(follower, b"no"), None);
            cluster.network.disconnect(follower).unwrap();
        }
        assert_eq!(cluster.submit(leader, b"20").map(|start| start.index), Some(2));
        context.sleep(2 * SECOND).await;
        assert_eq!(cluster.has(2, b"20"), 0, "no majority, no commitment");
        cluster.network.heal();
        cluster.one(b"30", 5).await;
    });
}

#[test]
fn clusters_agree_although_most_calls_fail() {
    for (model, timing) in MODELS {
        for seed in 0..5 {
            run(seed, move |context| async move {
                let mut cluster = Cluster::new(&context, model, 5, timing);
                cluster.network.set_reliable(false);
                for number in 0..30_u8 {
                    cluster.one(&[number], 3).await;
                    if number % 7 == 3 {
                        cluster.restart(usize::from(number) % 5);
                    }
                }
                cluster.network.set_reliable(true);
                cluster.one(b"end", 5).await;
            });
        }
    }
}

#[test]
fn answers_that_come_seconds_late_move_nothing_backwards() {
    run(2, |context| async move {
        let cluster = Cluster::new(&context, Model::LabRpc(Lost::Late), 5, Timing::course());
        cluster.network.set_reliable(false);
        cluster.network.set_long_reordering(true);
        for number in 0..60_u8 {
            cluster.one(&[number], 1).await;
            if let Some(leader) = cluster.present_leader().filter(|_| number % 3 == 0) {
                cluster.network.disconnect(leader).unwrap();
                context.sleep(300 * MS).await;
                cluster.network.connect((leader + 1 + usize::from(number) % 4) % 5).unwrap();
                cluster.network.connect(leader).unwrap();
            }
        }
        cluster.network.heal();
        cluster.one(b"end", 5).await;
    });
}

#[test]
fn a_snapshot_keeps_the_state_small_and_brings_back_who_was_away() {
    for seed in 0..10 {
        run(seed, |context| async move {
            let model = Model::LabRpc(Lost::Late);
            let mut cluster = Cluster::empty(&context, model, 3, Timing::course());
            cluster.snapshot_every = Some(10);
            (0..3).for_each(|peer| cluster.start(peer));
            cluster.network.set_reliable(false);
            cluster.network.set_long_delays(true);
            let mut number = 10_000_000_000_000_000_000_u64;
            for round in 0..12 {
                let victim = (cluster.leader().await + round) % 3;
                if round % 2 == 0 {
                    cluster.network.disconnect(victim).unwrap();
                } else {
                    cluster.crash(victim);
                }
                for _ in 0..25 {
                    number += 1;
                    cluster.one(number.to_string().as_bytes(), 2).await;
                }
                if round % 2 == 0 {
                    cluster.network.connect(victim).unwrap();
                } else {
                    cluster.start(victim);
                }
                number += 1;
                cluster.one(number.to_string().as_bytes(), 3).await;
            }
            for persister in &cluster.persisters {
                assert!(persister.most_state_len() < 2000, "{}", persister.most_state_len());
                assert!(persister.snapshot_len() == 20);
            }
        });
    }
}

#[test]
fn a_peer_starts_from_a_snapshot_and_goes_on_after_it() {
    run(1, |context| async move {
        let mut cluster = Cluster::empty(&context, Model::Plain, 3, Timing::brisk());
        cluster.snapshot_every = Some(10);
        (0..3).for_each(|peer| cluster.start(peer));
        for number in 1..=25_u8 {
            cluster.one(&[number], 3).await;
        }
        for _ in 0..2 {
            (0..3).for_each(|peer| cluster.crash(peer));
            for (persister, applied) in cluster.persisters.iter().zip(&cluster.applied) {
                assert_eq!(persister.snapshot(), [20]);
                applied.lock().unwrap().clear();
            }
            (0..3).for_each(|peer| cluster.start(peer));
            context.sleep(2 * SECOND).await;
            for applied in &cluster.applied {
                let applied = applied.lock().unwrap();
                assert!(applied.keys().all(|index| *index > 20), "what a snapshot covers is past");
            }
        }
        assert_eq!(cluster.one(b"x", 3).await, 26);
    });
}

#[test]
fn a_snapshot_that_is_late_or_of_the_future_is_ignored() {
    run(1, |context| async move {
        let cluster = Cluster::new(&context, Model::Plain, 1, Timing::brisk());
        for number in 1..=20_u8 {
            cluster.one(&[number], 1).await;
        }
        let (raft, persister) = (cluster.rafts[0].as_ref().unwrap(), &cluster.persisters[0]);
        for (index, expected) in [(0, 0), (21, 0), (u64::MAX, 0), (12, 12), (12, 12), (5, 12)] {
            raft.snapshot(index, &[u8::try_from(index & 0xff).unwrap()]);
            let kept = persister.snapshot().first().copied().unwrap_or_default();
            assert_eq!(kept, expected, "after one up to {index}");
        }
        assert_eq!(raft.committed(13), Ok(Some(vec![13])));
        assert_eq!(raft.committed(12), Ok(None), "the snapshot has it");
    });
}

#[test]
fn a_thousand_crashes_leave_nothing_behind() {
    let time = VirtualTime::new(5);
    let inner = time.context();
    let gone = time.block_on(async move {
        let mut cluster = Cluster::new(&inner, Model::LabRpc(Lost::Late), 3, Timing::course());
        cluster.network.set_reliable(false);
        cluster.network.set_long_delays(true);
        cluster.one(b"first", 1).await;
        let mut gone = Vec::new();
        for crash in 0..1_000 {
            let peer = crash % 3;
            cluster.submit(peer, b"x");
            let raft = cluster.rafts[peer].as_ref().unwrap();
            let scope = raft.scope.clone();
            gone.push((Arc::downgrade(&raft.shared), scope.clone()));
            cluster.restart(peer);
            inner.sleep(MS).await;
            assert_eq!(scope.alive(), 0, "its tasks end with it, not with what they wait for");
            inner.sleep(inner.random_time(20 * MS)).await;
        }
        cluster.one(b"last", 3).await;
        (0..3).for_each(|peer| cluster.crash(peer));
        inner.sleep(60 * SECOND).await;
        gone
    });
    for (shared, scope) in &gone {
        assert!(shared.upgrade().is_none(), "a killed peer is freed");
        assert_eq!(scope.alive(), 0, "its tasks have ended");
    }
    assert_eq!(time.tasks(), 0, "and so have those of the network");
}

#[test]
fn a_killed_peer_says_saves_and_applies_nothing() {
    run(1, |context| async move {
        let cluster = Cluster::new(&context, Model::Plain, 3, Timing::brisk());
        cluster.one(b"a", 3).await;
        let leader = cluster.leader().await;
        let raft = cluster.rafts[leader].as_ref().unwrap();
        raft.kill();
        let (saves, counts) = (cluster.persisters[leader].saves(), cluster.counts());
        assert_eq!((raft.start(b"x"), raft.state()), (None, (0, false)));
        let answer = Arc::clone(raft).handle("append_entries".to_owned(), vec![0, 1, 1]).await;
        assert!(answer.is_empty());
        raft.snapshot(1, b"x");
        raft.kill();
        assert_eq!((cluster.persisters[leader].saves(), cluster.counts()), (saves, counts));
        let applied = cluster.applied[leader].lock().unwrap().len();
        cluster.network.disconnect(leader).unwrap();
        cluster.one(b"b", 2).await;
        assert_eq!(cluster.applied[leader].lock().unwrap().len(), applied);
    });
}

fn alone(context: &Context, me: usize, persister: Arc<Persister>, timing: Timing) -> Setup {
    let peers = Peers::from(Vec::new());
    let (apply, _) = apply_channel();
    Setup { me, peers, persister, apply, context: context.clone(), timing }
}

#[test]
fn what_cannot_start_is_told_plainly() {
    run(1, |context| async move {
        let setup = alone(&context, 3, Persister::new(), Timing::brisk());
        let error = QuorateRaft::try_make(setup).expect_err("there is no such peer");
        assert_eq!(error, MakeError::NoSuchPeer(NoSuchPeer { peer: 3, peers: 0 }));

        let mut cluster = Cluster::new(&context, Model::Plain, 3, Timing::brisk());
        cluster.one(b"a", 3).await;
        cluster.crash(1);
        let mut state = cluster.persisters[1].state();
        let last = state.len() - 1;
        state[last] ^= 1;
        let setup = |persister: Arc<Persister>| {
            let peers = cluster.network.ends_of(1).unwrap();
            Setup { peers, ..alone(&context, 1, persister, Timing::brisk()) }
        };
        let damaged = QuorateRaft::try_make(setup(Persister::from_parts(state, Vec::new())));
        let words = damaged.expect_err("a byte is another").to_string();
        assert!(words.starts_with("peer 1 cannot start: the saved state of"), "{words}");
        let strange = setup(Persister::from_parts(b"{\"term\":1}".to_vec(), Vec::new()));
        let words = QuorateRaft::try_make(strange).expect_err("not ours").to_string();
        assert!(words.contains("none that this Raft wrote"), "{words}");
        let mut slow = setup(Persister::new());
        slow.timing.election_min = slow.timing.heartbeat;
        let words =
            QuorateRaft::try_make(slow).expect_err("no heartbeat comes in time").to_string();
        assert!(words.contains("at least twice the heartbeat"), "{words}");
    });
}

#[test]
fn a_service_may_call_back_while_it_is_being_served() {
    let real = RealTime::threads(2, 1);
    let context = real.context();
    real.block_on(async move {
        let (apply, mut applies) = apply_channel();
        let network = crate::network::Network::new(Model::Plain, 1, context.clone());
        let peers = network.ends_of(0).unwrap();
        let setup = alone(&context, 0, Persister::new(), Timing::brisk());
        let raft = QuorateRaft::make(Setup { peers, apply, ..setup });
        context.sleep(100 * MS).await;
        for number in 0..100_u8 {
            while raft.start(&[number]).is_none() {
                context.sleep(MS).await;
            }
            let Some(ApplyMsg::Command { index, .. }) = applies.recv().await else { panic!() };
            raft.snapshot(index, &[number]);
        }
        assert!(raft.shared.persister.most_state_len() < 100);
    });
}

#[test]
fn real_time_elects_and_agrees() {
    for real in [RealTime::new(1), RealTime::threads(2, 1)] {
        let context = real.context();
        real.block_on(async move {
            let cluster = Cluster::new(&context, Model::Plain, 3, Timing::brisk());
            for number in 1..=20_u8 {
                assert_eq!(cluster.one(&[number], 3).await, u64::from(number));
            }
        });
    }
}
