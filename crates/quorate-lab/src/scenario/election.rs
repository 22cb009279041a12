//! Elections: E1 to E3.

use super::steps;
use crate::harness::{Cluster, ELECTION, Failure, Manner, World, ensure};
use crate::raft::LabRaft;

/// E1. A leader is elected, and while nothing fails it stays, in its term.
pub(super) async fn initial<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, world.peers_or(3));
    if world.settings().manner == Manner::Process {
        let leader = cluster.process_leader().await?;
        world.pause_ms(50, 50).await;
        let term = cluster.term()?;
        world.pause_ms(2_000, 4_000).await;
        let later = cluster.term()?;
        ensure!(
            term == later,
            "the term went from {term} to {later}, and nothing had failed: {}",
            cluster.describe()
        );
        let still = cluster.process_leader().await?;
        ensure!(
            still == leader,
            "server {} led, and after two calm seconds server {} does",
            leader.server,
            still.server
        );
        return Ok(());
    }
    cluster.leader().await?;
    world.pause_ms(50, 50).await;
    cluster.term()?;
    world.pause(ELECTION * 2).await;
    // The documents only warn of a term that changed.
    cluster.term()?;
    cluster.leader().await?;
    Ok(())
}

/// E2. A leader that is cut off is replaced; it comes back and nothing happens; without a majority
/// nobody is elected.
pub(super) async fn re_election<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, world.peers_or(3));
    if world.settings().manner == Manner::Process {
        let first = cluster.process_leader().await?;
        cluster.disconnect(first.server);
        let second = cluster.process_leader_beyond(first.term).await?;
        cluster.connect(first.server);
        let third = cluster.process_leader_alone().await?;
        ensure!(
            third.term >= second.term,
            "the term went back from {} to {}",
            second.term,
            third.term
        );
        let other = cluster.after(third.server, 1);
        cluster.disconnect(third.server);
        cluster.disconnect(other);
        world.pause_ms(2_000, 4_000).await;
        cluster.no_leader()?;
        cluster.connect(other);
        cluster.process_leader_beyond(third.term).await?;
        cluster.connect(third.server);
        cluster.process_leader().await?;
        return Ok(());
    }
    let first = cluster.leader().await?;
    cluster.disconnect(first);
    cluster.leader().await?;
    cluster.connect(first);
    let second = cluster.leader().await?;
    let other = cluster.after(second, 1);
    cluster.disconnect(second);
    cluster.disconnect(other);
    world.pause(ELECTION * 2).await;
    cluster.no_leader()?;
    cluster.connect(other);
    cluster.leader().await?;
    cluster.connect(second);
    cluster.leader().await?;
    Ok(())
}

/// E3. Round after round servers are cut off, and the others elect a leader.
pub(super) async fn many<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    if world.settings().manner == Manner::Process {
        let cluster = Cluster::start(world, world.peers_or(5));
        for _ in 0..5 {
            let leader = cluster.process_leader().await?;
            let other = cluster.after(leader.server, 1 + world.any(cluster.len() - 1));
            cluster.disconnect(leader.server);
            cluster.disconnect(other);
            cluster.process_leader_beyond(leader.term).await?;
            cluster.connect(leader.server);
            cluster.connect(other);
        }
        cluster.process_leader().await?;
        return Ok(());
    }
    let cluster = Cluster::start(world, world.peers_or(7));
    cluster.leader().await?;
    for _ in 0..10 {
        let cut = [(); 3].map(|()| world.any(cluster.len()));
        steps::disconnect(&cluster, &cut);
        cluster.leader().await?;
        steps::connect(&cluster, &cut);
    }
    cluster.leader().await?;
    Ok(())
}
