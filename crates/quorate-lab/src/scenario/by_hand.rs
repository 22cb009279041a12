//! What bad luck needs many seeds for, brought about step by step: P8 and P9.
//!
//! Nobody sees into the Raft. Who may be elected is decided by who reaches whom, and by who starts
//! when: a server that has just started waits for an election timeout at least, so whoever campaigned
//! long enough before it comes first. For a Raft that asks before it campaigns (a pre-vote) some steps
//! come to nothing, and are left out after a while.

use std::time::Duration;

use crate::harness::{Cluster, Failure, World, number};
use crate::network::Caller;
use crate::raft::LabRaft;

/// Time between two looks at a server.
const LOOK: Duration = Duration::from_millis(5);
/// How long a step may take to come about.
const PATIENCE: Duration = Duration::from_secs(10);
/// Clocks of servers that look at them now and then.
const SLACK: Duration = Duration::from_millis(20);

/// P8. A server votes, crashes, and is asked again in the same term, by a candidate who knows of no
/// other. Were the vote not saved, the term would have two leaders.
pub(super) async fn vote<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    const ROUNDS: u64 = 3;
    let cluster = Cluster::start(world, 3);
    for round in 0..ROUNDS {
        cluster.one(&number(100 + round), 3, true).await?;
        // The first leader crashes, and of the other two one is elected by the other.
        let first = cluster.leader().await?;
        cluster.crash(first);
        let second = cluster.leader().await?;
        let (term, _) = cluster.state(second).unwrap_or_default();
        let voter = 3 - first - second;
        // The second is cut off and leads on, for all it knows. The voter crashes.
        cluster.disconnect(second);
        cluster.crash(voter);
        // The first is back, where it crashed. Alone it campaigns in one term after another; when the
        // term of the second leader is next, its voter is back, too.
        cluster.restart(first);
        campaigns_next_in(&cluster, first, term).await?;
        cluster.connect(first);
        cluster.restart(voter);
        cluster.connect(voter);
        cluster.leader().await?;
        cluster.connect_all();
    }
    cluster.one(&number(200), 3, true).await?;
    Ok(())
}

/// Waits until a server that reaches nobody is about to campaign in a term, so that it does before
/// anybody else who starts when this is over.
async fn campaigns_next_in<R: LabRaft>(
    cluster: &Cluster<R>,
    server: usize,
    term: u64,
) -> Result<(), Failure> {
    let world = cluster.world();
    let began = world.elapsed();
    while cluster.state(server).is_some_and(|(at, _)| at + 1 < term)
        && world.elapsed() < began + PATIENCE
    {
        cluster.wait_for(LOOK).await?;
    }
    // Its timeout has just begun, and takes at most the longest; another's takes at least the shortest.
    let timing = world.settings().timing;
    cluster.wait_for(timing.election_max - timing.election_min + SLACK).await
}

/// P9. Figure 8 of the Raft paper, step by step: an entry of an earlier term gets to a majority, and is
/// overwritten by a leader that the same majority elects. Whoever took it for committed is wrong.
pub(super) async fn figure_8<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, 5);
    let heartbeat = world.settings().timing.heartbeat;
    cluster.one(&number(1), 5, true).await?;
    // (a) A leader has an entry, and one follower.
    let first = cluster.leader().await?;
    let follower = cluster.after(first, 1);
    cluster.partition(&[&[first, follower]]);
    submit(&cluster, first, 2)?;
    cluster.wait_for(heartbeat * 2).await?;
    // (b) It crashes. Another is elected by two who lack the entry, has one of its own at the same
    // index, and crashes before anybody got it.
    cluster.crash(first);
    let others = [2, 3, 4].map(|places| cluster.after(first, places));
    cluster.partition(&[&others]);
    let (second, term) = leader_of(&cluster, &others, 0).await?;
    cluster.partition(&[]);
    submit(&cluster, second, 3)?;
    cluster.crash(second);
    // (c) The first is back; it or its follower leads, and the entry gets to a third of five.
    let others = others.into_iter().filter(|server| *server != second);
    let [third, fourth] = others.collect::<Vec<_>>()[..] else { unreachable!("two of three") };
    cluster.restart(first);
    cluster.connect(first);
    let group = [first, follower, third];
    cluster.partition(&[&group]);
    let (again, _) = leader_of(&cluster, &group, term).await?;
    cluster.wait_for(heartbeat * 3).await?;
    // (d) That leader crashes. The second is back, whose last entry has the later term: whoever is left
    // may vote for it, and whoever can campaign is cut off from it.
    let left: Vec<usize> =
        group.into_iter().filter(|server| *server != again).chain([fourth]).collect();
    let beyond = cluster.terms().max().unwrap_or(0);
    cluster.crash(again);
    left.iter().for_each(|server| cluster.crash(*server));
    cluster.restart(second);
    campaigns_next_in(&cluster, second, beyond + 1).await?;
    cluster.connect(second);
    for &server in &left {
        cluster.restart(server);
        cluster.connect(server);
        for other in 0..cluster.len() {
            cluster.network().block(Caller::Server(server), other, true).expect("both exist");
        }
    }
    let all: Vec<usize> = (0..cluster.len()).collect();
    cluster.partition(&[&all]);
    // A Raft whose leaders begin with an entry of their own has committed the entry at (c), and the
    // second is not elected.
    if leader_of(&cluster, &[second], beyond).await.is_ok() {
        submit(&cluster, second, 4)?;
        cluster.wait_for(heartbeat * 4).await?;
    }
    world.check()?;
    // (e) All are back, and agree.
    cluster.restart(again);
    cluster.heal();
    cluster.one(&number(5), 5, true).await?;
    Ok(())
}

fn submit<R: LabRaft>(cluster: &Cluster<R>, server: usize, value: u64) -> Result<(), Failure> {
    match cluster.submit(server, &number(value)) {
        Some(_) => Ok(()),
        None => Err(cluster.failure(format!("server {server} led, and refused {value}"))),
    }
}

/// Waits for a leader among some servers, of a term beyond another.
async fn leader_of<R: LabRaft>(
    cluster: &Cluster<R>,
    group: &[usize],
    beyond: u64,
) -> Result<(usize, u64), Failure> {
    let began = cluster.world().elapsed();
    while cluster.world().elapsed() < began + PATIENCE {
        for &server in group {
            if let Some((term, true)) = cluster.state(server)
                && term > beyond
            {
                return Ok((server, term));
            }
        }
        cluster.wait_for(LOOK).await?;
    }
    let seconds = PATIENCE.as_secs();
    Err(cluster.failure(format!("no leader among servers {group:?} within {seconds} s")))
}
