//! What survives a crash: P1 to P7.

use super::steps::{self, random, revive};
use crate::harness::{Cluster, Failure, Manner, Pauses, World, ensure, number, tell, text};
use crate::raft::LabRaft;

/// P1. All servers crash, then the leader, then the leader while others go on, then a follower.
pub(super) async fn basic<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, world.peers_or(3));
    let all = steps::all(&cluster);
    if world.settings().manner == Manner::Process {
        cluster.agree(&text("cmd-1"), 3).await?;
        all.iter().for_each(|server| cluster.crash(*server));
        revive(&cluster, &all);
        cluster.agree(&text("cmd-2"), 3).await?;
        let leader = cluster.process_leader().await?;
        cluster.restart(leader.server);
        cluster.agree(&text("cmd-3"), 3).await?;
        let leader = cluster.process_leader().await?;
        cluster.crash(leader.server);
        cluster.process_leader_beyond(leader.term).await?;
        cluster.agree(&text("cmd-4"), 2).await?;
        cluster.restart(leader.server);
        world.pause_ms(2_000, 4_000).await;
        let follower = cluster.after(cluster.process_leader().await?.server, 1);
        cluster.crash(follower);
        cluster.agree(&text("cmd-5"), 2).await?;
        cluster.restart(follower);
        cluster.agree(&text("cmd-6"), 3).await?;
        return Ok(());
    }
    cluster.one(&number(11), 3, true).await?;
    all.iter().for_each(|server| cluster.restart(*server));
    steps::disconnect(&cluster, &all);
    steps::connect(&cluster, &all);
    cluster.one(&number(12), 3, true).await?;
    let leader = cluster.leader().await?;
    cluster.disconnect(leader);
    revive(&cluster, &[leader]);
    cluster.one(&number(13), 3, true).await?;
    let leader = cluster.leader().await?;
    cluster.disconnect(leader);
    cluster.one(&number(14), 2, true).await?;
    revive(&cluster, &[leader]);
    // It has to have the fourth before another is away.
    cluster.wait(4, 3, None).await?;
    let follower = cluster.after(cluster.leader().await?, 1);
    cluster.disconnect(follower);
    cluster.one(&number(15), 2, true).await?;
    revive(&cluster, &[follower]);
    cluster.one(&number(16), 3, true).await?;
    Ok(())
}

/// P2. Five rounds in which majorities of different servers crash, are cut off and come back.
pub(super) async fn more<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, world.peers_or(5));
    let is_process = world.settings().manner == Manner::Process;
    let mut value = 10;
    for _ in 0..5 {
        next(&cluster, &mut value, 5).await?;
        let (leader, term) = steps::leader(&cluster, 0).await?;
        let [a, b, c, d] = [1, 2, 3, 4].map(|places| cluster.after(leader, places));
        if is_process {
            [a, b].iter().for_each(|server| cluster.crash(*server));
        } else {
            steps::disconnect(&cluster, &[a, b]);
        }
        next(&cluster, &mut value, 3).await?;
        steps::disconnect(&cluster, &[leader, c, d]);
        revive(&cluster, &[a, b]);
        world.pause_ms(1_000, if is_process { 2_000 } else { 1_000 }).await;
        revive(&cluster, &[c]);
        if is_process {
            cluster.process_leader_of(&[a, b, c], term).await?;
        }
        next(&cluster, &mut value, 3).await?;
        steps::connect(&cluster, &[d, leader]);
    }
    value = 1000;
    next(&cluster, &mut value, 5).await
}

/// Has the next number agreed on.
async fn next<R: LabRaft>(
    cluster: &Cluster<R>,
    value: &mut u64,
    expected: usize,
) -> Result<(), Failure> {
    let command = cluster.world().command(*value);
    *value += 1;
    if cluster.world().settings().manner == Manner::Process {
        cluster.agree(&command, expected).await?;
    } else {
        cluster.one(&command, expected, true).await?;
    }
    Ok(())
}

/// P3. Leader and follower crash; the third one, which lacks an entry, meets the leader alone.
pub(super) async fn leader_and_follower<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, world.peers_or(3));
    let mut value = 101;
    next(&cluster, &mut value, 3).await?;
    let (leader, _) = steps::leader(&cluster, 0).await?;
    let [follower, away] = [1, 2].map(|places| cluster.after(leader, places));
    cluster.disconnect(away);
    next(&cluster, &mut value, 2).await?;
    cluster.crash(leader);
    cluster.crash(follower);
    cluster.connect(away);
    revive(&cluster, &[leader]);
    next(&cluster, &mut value, 2).await?;
    revive(&cluster, &[follower]);
    next(&cluster, &mut value, 3).await
}

/// P4. One follower is killed and comes back with everything.
pub(super) async fn one_follower<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, 3);
    cluster.agree(&text("cmd-1"), 3).await?;
    let follower = cluster.after(cluster.process_leader().await?.server, 1);
    cluster.crash(follower);
    cluster.agree(&text("cmd-2"), 2).await?;
    cluster.restart(follower);
    cluster.agree(&text("cmd-3"), 3).await?;
    everywhere(&cluster, 2, "cmd-2").await
}

/// P5. The leader is killed and comes back with everything.
pub(super) async fn the_leader<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, 3);
    cluster.agree(&text("cmd-1"), 3).await?;
    let leader = cluster.process_leader().await?;
    cluster.crash(leader.server);
    cluster.process_leader_beyond(leader.term).await?;
    cluster.agree(&text("cmd-2"), 2).await?;
    cluster.restart(leader.server);
    cluster.agree(&text("cmd-3"), 3).await?;
    everywhere(&cluster, 1, "cmd-1").await
}

/// P6. Two followers, then the leader.
pub(super) async fn multiple<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, 5);
    cluster.agree(&text("cmd-1"), 5).await?;
    let leader = cluster.process_leader().await?.server;
    let followers = [1, 2].map(|places| cluster.after(leader, places));
    followers.iter().for_each(|server| cluster.crash(*server));
    cluster.agree(&text("cmd-2"), 3).await?;
    revive(&cluster, &followers);
    cluster.agree(&text("cmd-3"), 5).await?;
    cluster.restart(cluster.process_leader().await?.server);
    cluster.agree(&text("cmd-4"), 5).await?;
    everywhere(&cluster, 1, "cmd-1").await
}

/// # Errors
///
/// When not every server has this command there.
async fn everywhere<R: LabRaft>(
    cluster: &Cluster<R>,
    index: u64,
    command: &str,
) -> Result<(), Failure> {
    let value = cluster.process_wait(index, cluster.len()).await?;
    ensure!(
        value == text(command),
        "`{command}` was committed at index {index}, where {} is",
        tell(&value)
    );
    Ok(())
}

/// P7. Figure 8 of the Raft paper, a thousand times: a leader takes a command and crashes before, or
/// after, it could replicate it. An entry of an earlier term must not be committed by counting.
pub(super) async fn figure_8<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    const ROUNDS: u32 = 1_000;
    const ALIVE: usize = 3;
    let cluster = Cluster::start(world, world.peers_or(5));
    steps::agree(&cluster, 1).await?;
    for _ in 0..ROUNDS {
        world.check()?;
        let mut leader = None;
        for server in cluster.running() {
            if cluster.submit(server, &random(world)).is_some() {
                leader = Some(server);
            }
        }
        rest(world).await;
        if let Some(leader) = leader {
            cluster.crash(leader);
        }
        let running = cluster.running();
        if running.len() < ALIVE {
            let dead: Vec<usize> =
                (0..cluster.len()).filter(|server| !running.contains(server)).collect();
            revive(&cluster, &[dead[world.any(dead.len())]]);
        }
    }
    let running = cluster.running();
    let dead: Vec<usize> = (0..cluster.len()).filter(|server| !running.contains(server)).collect();
    revive(&cluster, &dead);
    steps::agree(&cluster, 5).await
}

/// The rest of a round of figure 8: long in one of ten, which lets entries be replicated.
pub(super) async fn rest<R: LabRaft>(world: &World<R>) {
    let is_long = world.chance(100);
    let (long, short) = match (world.settings().manner, world.settings().pauses) {
        (Manner::Process, Pauses::Long) => (1_000, 26),
        (Manner::Process | Manner::Course, _) => (500, 13),
    };
    let ms = world.below(if is_long { long } else { short });
    world.pause_ms(ms, ms).await;
}
