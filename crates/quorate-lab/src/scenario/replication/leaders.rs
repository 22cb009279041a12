//! Leaders that fail, come back and find other logs: R4, R8, R9.

use super::super::steps;
use crate::harness::{Cluster, ELECTION, Failure, Manner, World, number, text};
use crate::raft::LabRaft;

/// Entries on each of R9's wrong logs.
const WRONG: u64 = 50;

/// R4. The leader is cut off, and the others go on; the next one too, and nothing more is committed.
pub(in super::super) async fn leader_failure<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, world.peers_or(3));
    if world.settings().manner == Manner::Process {
        cluster.agree(&text("cmd-1"), 3).await?;
        let leader = cluster.process_leader().await?;
        cluster.disconnect(leader.server);
        cluster.process_leader_beyond(leader.term).await?;
        cluster.agree(&text("cmd-2"), 2).await?;
        cluster.agree(&text("cmd-3"), 2).await?;
        return Ok(());
    }
    cluster.one(&number(101), 3, false).await?;
    let leader = cluster.leader().await?;
    cluster.disconnect(leader);
    cluster.one(&number(102), 2, false).await?;
    world.pause(ELECTION).await;
    cluster.one(&number(103), 2, false).await?;
    let leader = cluster.leader().await?;
    cluster.disconnect(leader);
    for server in 0..3 {
        cluster.submit(server, &number(104));
    }
    world.pause(ELECTION * 2).await;
    cluster.nothing_at(4)
}

/// R8. A leader is cut off with entries of its own; others take their indices; it comes back, while
/// the one who knows better is away.
pub(in super::super) async fn rejoin<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, world.peers_or(3));
    if world.settings().manner == Manner::Process {
        cluster.agree(&text("cmd-101"), 3).await?;
        let first = cluster.process_leader().await?;
        cluster.disconnect(first.server);
        for value in [102, 103, 104] {
            cluster.submit(first.server, &text(&format!("cmd-{value}")));
        }
        let second = cluster.process_leader_beyond(first.term).await?;
        cluster.agree(&text("cmd-103"), 2).await?;
        cluster.disconnect(second.server);
        cluster.connect(first.server);
        cluster.process_leader_beyond(second.term).await?;
        cluster.agree(&text("cmd-104"), 2).await?;
        cluster.connect(second.server);
        cluster.agree(&text("cmd-105"), 3).await?;
        return Ok(());
    }
    cluster.one(&number(101), 3, true).await?;
    let first = cluster.leader().await?;
    cluster.disconnect(first);
    for value in [102, 103, 104] {
        cluster.submit(first, &number(value));
    }
    cluster.one(&number(103), 2, true).await?;
    let second = cluster.leader().await?;
    cluster.disconnect(second);
    cluster.connect(first);
    cluster.one(&number(104), 2, true).await?;
    cluster.connect(second);
    cluster.one(&number(105), 3, true).await?;
    Ok(())
}

/// R9. Fifty entries that never commit on each of two minorities, a hundred that do, and everybody
/// has to be brought to the same log in time.
pub(in super::super) async fn backup<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, world.peers_or(5));
    steps::agree(&cluster, 5).await?;
    let first = steps::leader(&cluster, 0).await?;
    let [partner, a, b, c] = [1, 2, 3, 4].map(|places| cluster.after(first.0, places));
    steps::disconnect(&cluster, &[a, b, c]);
    for _ in 0..WRONG {
        cluster.submit(first.0, &steps::random(world));
    }
    half_a_timeout(world).await;
    steps::disconnect(&cluster, &[first.0, partner]);
    steps::connect(&cluster, &[a, b, c]);
    if world.settings().manner == Manner::Process {
        cluster.process_leader_of(&[a, b, c], first.1).await?;
    }
    for _ in 0..WRONG {
        steps::agree(&cluster, 3).await?;
    }
    let second = steps::leader(&cluster, first.1).await?;
    let other = if second.0 == a { cluster.after(second.0, 1) } else { a };
    cluster.disconnect(other);
    for _ in 0..WRONG {
        cluster.submit(second.0, &steps::random(world));
    }
    half_a_timeout(world).await;
    steps::disconnect(&cluster, &steps::all(&cluster));
    steps::connect(&cluster, &[first.0, partner, other]);
    if world.settings().manner == Manner::Process {
        cluster.process_leader_of(&[first.0, partner, other], second.1).await?;
    }
    for _ in 0..WRONG {
        steps::agree(&cluster, 3).await?;
    }
    cluster.connect_all();
    steps::agree(&cluster, 5).await
}

async fn half_a_timeout<R: LabRaft>(world: &World<R>) {
    if world.settings().manner == Manner::Process {
        world.pause_ms(500, 1_000).await;
    } else {
        world.pause(ELECTION / 2).await;
    }
}
