//! What the labs count: requests that arrive, and bytes. Each bound is ours, below the labs' own.

use super::cluster::{Cluster, MS, SECOND, run};
use crate::context::Context;
use crate::network::{Counts, Lost, Model};
use crate::raft::{LabRaft, Timing};

const GO: Model = Model::LabRpc(Lost::Soon);
const SEEDS: u64 = 20;

/// The most of something over all seeds.
fn most<T: Ord>(measure: impl Fn(u64) -> T) -> T {
    (0..SEEDS).map(measure).max().expect("there are seeds")
}

fn since(now: &Counts, before: &Counts) -> (u64, u64) {
    (now.total_received() - before.total_received(), now.bytes - before.bytes)
}

fn three(context: &Context) -> Cluster {
    Cluster::new(context, GO, 3, Timing::course())
}

#[test]
fn an_election_and_two_idle_seconds() {
    let measure = |seed| {
        run(seed, |context| async move {
            let cluster = three(&context);
            cluster.leader().await;
            let elected = cluster.counts().total_received();
            context.sleep(50 * MS + 2 * SECOND).await;
            let counts = cluster.counts();
            let (idle, term) =
                (counts.total_received(), cluster.rafts[0].as_ref().unwrap().state());
            assert_eq!(term.0, 1, "nobody disturbs a leader that lives");
            (elected, idle, counts.bytes)
        })
    };
    let elected = most(|seed| measure(seed).0);
    let (all, bytes) = (most(|seed| measure(seed).1), most(|seed| measure(seed).2));
    assert!((1..=15).contains(&elected), "{elected} requests to elect");
    assert!(all <= 44 && bytes <= 220, "{all} requests, {bytes} bytes");
}

#[test]
fn twelve_commands_and_an_idle_second() {
    let measure = |seed| {
        run(seed, |context| async move {
            let cluster = three(&context);
            let leader = cluster.leader().await;
            let before = cluster.counts();
            for number in 0..12_u64 {
                let command = (number * 1_000_003).to_string();
                let start = cluster.submit(leader, command.as_bytes()).unwrap();
                assert_eq!(start.index, number + 1);
            }
            for number in 0..12_u64 {
                let command = (number * 1_000_003).to_string();
                while cluster.has(number + 1, command.as_bytes()) < 3 {
                    context.sleep(20 * MS).await;
                }
            }
            let counts = cluster.counts();
            let (window, _) = since(&counts, &before);
            context.sleep(SECOND).await;
            let (idle, _) = since(&cluster.counts(), &counts);
            let all = cluster.counts();
            (window, idle, all.total_received(), all.bytes)
        })
    };
    let (window, idle) = (most(|seed| measure(seed).0), most(|seed| measure(seed).1));
    let (all, bytes) = (most(|seed| measure(seed).2), most(|seed| measure(seed).3));
    assert!(window <= 8, "{window} requests for twelve commands");
    assert!(idle <= 16, "{idle} requests in an idle second");
    assert!(all <= 38 && bytes <= 400, "{all} requests, {bytes} bytes");
}

#[test]
fn fifty_thousand_bytes_of_commands() {
    let measure = |seed| {
        run(seed, |context| async move {
            let cluster = three(&context);
            cluster.one(b"99", 3).await;
            let before = cluster.counts();
            for index in 2..12 {
                let command = vec![b'a' + u8::try_from(index).unwrap(); 5000];
                assert_eq!(cluster.one(&command, 3).await, index);
            }
            since(&cluster.counts(), &before).1
        })
    };
    let bytes = most(measure);
    assert!(bytes <= 101_000, "{bytes} bytes for 50,000 to two followers");
}

/// Two leaders with fifty commands each that nobody commits, and a third that must overrule them.
#[test]
fn a_leader_backs_up_over_wrong_logs() {
    let measure = |seed| {
        run(seed, |context| async move {
            let cluster = Cluster::new(&context, GO, 5, Timing::course());
            cluster.network.set_long_delays(true);
            let network = &cluster.network;
            let mut number = 0_u64;
            let mut payload = 0;
            let mut command = || {
                number += 1;
                let command = (number * 7_919_000_003).to_string();
                payload += command.len() as u64;
                command.into_bytes()
            };
            cluster.one(&command(), 5).await;
            let first = cluster.leader().await;
            let peer = |offset| (first + offset) % 5;
            for offset in 2..5 {
                network.disconnect(peer(offset)).unwrap();
            }
            for _ in 0..50 {
                cluster.submit(first, &command()).unwrap();
            }
            context.sleep(SECOND / 2).await;
            for offset in 0..2 {
                network.disconnect(peer(offset)).unwrap();
            }
            for offset in 2..5 {
                network.connect(peer(offset)).unwrap();
            }
            for _ in 0..50 {
                cluster.one(&command(), 3).await;
            }
            let second = cluster.leader().await;
            let other = if peer(2) == second { (second + 1) % 5 } else { peer(2) };
            network.disconnect(other).unwrap();
            for _ in 0..50 {
                cluster.submit(second, &command()).unwrap();
            }
            context.sleep(SECOND / 2).await;
            (0..5).for_each(|peer| network.disconnect(peer).unwrap());
            for back in [peer(0), peer(1), other] {
                network.connect(back).unwrap();
            }
            for _ in 0..50 {
                cluster.one(&command(), 3).await;
            }
            (0..5).for_each(|peer| network.connect(peer).unwrap());
            cluster.one(&command(), 5).await;
            let counts = cluster.counts();
            (counts.total_received(), counts.bytes, payload)
        })
    };
    let all: Vec<_> = (0..SEEDS).map(measure).collect();
    let received = all.iter().map(|counts| counts.0).max().unwrap();
    let bytes = all.iter().map(|counts| counts.1 - 4 * counts.2).max().unwrap();
    assert!(received <= 700, "{received} requests arrived");
    assert!(bytes <= 6_000, "{bytes} bytes beyond the commands to four peers");
}
