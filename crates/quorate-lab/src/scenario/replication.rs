//! Replication: R1 to R10.

mod budgets;
mod leaders;

pub(super) use budgets::{byte_count, concurrent_starts, count};
pub(super) use leaders::{backup, leader_failure, rejoin};

use super::steps;
use crate::harness::{Cluster, ELECTION, Failure, Manner, World, ensure, number, text};
use crate::raft::LabRaft;

/// R1. Three commands on every server, at indices 1 to 3: nothing else has an index.
pub(super) async fn basic<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, world.peers_or(3));
    let is_process = world.settings().manner == Manner::Process;
    for index in 1..=3 {
        cluster.nothing_at(index)?;
        let got = if is_process {
            cluster.agree(&text(&format!("cmd-{index}")), cluster.len()).await?
        } else {
            cluster.one(&number(index * 100), cluster.len(), false).await?
        };
        ensure!(got == index, "command {index} got index {got}: an index went to something else");
    }
    Ok(())
}

/// How R3 and R5 begin: a command on all three, a follower is cut off, and the others go on.
async fn lose_a_follower<R: LabRaft>(cluster: &Cluster<R>) -> Result<usize, Failure> {
    if cluster.world().settings().manner == Manner::Process {
        cluster.agree(&text("cmd-1"), 3).await?;
        let follower = cluster.after(cluster.process_leader().await?.server, 1);
        cluster.disconnect(follower);
        cluster.agree(&text("cmd-2"), 2).await?;
        cluster.agree(&text("cmd-3"), 2).await?;
        return Ok(follower);
    }
    cluster.one(&number(101), 3, false).await?;
    let follower = cluster.after(cluster.leader().await?, 1);
    cluster.disconnect(follower);
    cluster.one(&number(102), 2, false).await?;
    Ok(follower)
}

/// R3. One follower fails, and the others go on; both fail, and nothing more is committed.
pub(super) async fn follower_failure<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, world.peers_or(3));
    let follower = lose_a_follower(&cluster).await?;
    if world.settings().manner == Manner::Process {
        cluster.connect(follower);
        cluster.agree(&text("cmd-4"), 3).await?;
        return Ok(());
    }
    world.pause(ELECTION).await;
    cluster.one(&number(103), 2, false).await?;
    let leader = cluster.leader().await?;
    steps::disconnect(&cluster, &[cluster.after(leader, 1), cluster.after(leader, 2)]);
    let Some(start) = cluster.submit(leader, &number(104)) else {
        return Err(cluster.failure(format!("server {leader} leads, and refused a command")));
    };
    ensure!(start.index == 4, "the fourth command got index {}", start.index);
    world.pause(ELECTION * 2).await;
    cluster.nothing_at(4)
}

/// R5. A follower is cut off, the others go on; it comes back and has everything.
pub(super) async fn fail_agree<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, world.peers_or(3));
    let follower = lose_a_follower(&cluster).await?;
    if world.settings().manner == Manner::Process {
        world.pause_ms(1_000, 2_000).await;
        cluster.agree(&text("cmd-4"), 2).await?;
        cluster.agree(&text("cmd-5"), 2).await?;
        cluster.connect(follower);
        cluster.agree(&text("cmd-6"), 3).await?;
        world.pause_ms(1_000, 2_000).await;
        cluster.agree(&text("cmd-7"), 3).await?;
        return Ok(());
    }
    cluster.one(&number(103), 2, false).await?;
    world.pause(ELECTION).await;
    cluster.one(&number(104), 2, false).await?;
    cluster.one(&number(105), 2, false).await?;
    cluster.connect(follower);
    cluster.one(&number(106), 3, true).await?;
    world.pause(ELECTION).await;
    cluster.one(&number(107), 3, true).await?;
    Ok(())
}

/// R6. Too many followers are cut off: the leader accepts a command, and never commits it.
pub(super) async fn fail_no_agree<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    if world.settings().manner == Manner::Process {
        let cluster = Cluster::start(world, world.peers_or(3));
        cluster.agree(&text("cmd-1"), 3).await?;
        let leader = cluster.process_leader().await?.server;
        steps::disconnect(&cluster, &[cluster.after(leader, 1), cluster.after(leader, 2)]);
        let Some(start) = cluster.submit(leader, &text("no-quorum")) else {
            return Err(cluster.failure(format!("server {leader} leads, and refused a command")));
        };
        ensure!(start.index == 2, "the second command got index {}", start.index);
        world.pause_ms(2_000, 4_000).await;
        cluster.nothing_at(2)?;
        cluster.heal();
        cluster.agree(&text("cmd-2"), 3).await?;
        return Ok(());
    }
    let cluster = Cluster::start(world, world.peers_or(5));
    cluster.one(&number(10), 5, false).await?;
    let leader = cluster.leader().await?;
    let cut = [1, 2, 3].map(|places| cluster.after(leader, places));
    steps::disconnect(&cluster, &cut);
    let Some(start) = cluster.submit(leader, &number(20)) else {
        let what =
            format!("server {leader} was just cut off from a majority, and refused a command");
        return Err(cluster.failure(what));
    };
    ensure!(start.index == 2, "the second command got index {}", start.index);
    world.pause(ELECTION * 2).await;
    cluster.nothing_at(2)?;
    steps::connect(&cluster, &cut);
    // The disconnected majority may have chosen a leader of its own, without the second command.
    let leader = cluster.leader().await?;
    let Some(start) = cluster.submit(leader, &number(30)) else {
        return Err(cluster.failure(format!("server {leader} leads, and refused a command")));
    };
    ensure!(
        (2..=3).contains(&start.index),
        "after healing a command got index {}, neither 2 nor 3",
        start.index
    );
    cluster.one(&number(1000), 5, true).await?;
    Ok(())
}
