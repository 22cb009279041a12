//! Logs that are shortened, and servers that need what is no longer there: S1 to S7.
//!
//! The service takes a snapshot after every tenth index. What a server stores as its Raft state, the
//! snapshot not counted, stays below 2,000 bytes.

use super::steps::{self, random, revive};
use crate::harness::{Cluster, Failure, Snapshots, World, ensure};
use crate::raft::LabRaft;

/// Bytes of Raft state from which on it is too much.
const TOO_MUCH: usize = 2_000;
const ROUNDS: usize = 30;
/// Commands between two looks: one more than between two snapshots.
const COMMANDS: usize = 11;

/// What happens to a server in each round.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mishap {
    None,
    Cut,
    Crash,
}

/// S1.
pub(super) async fn basic<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    rounds(world, Mishap::None, true).await
}

/// S2.
pub(super) async fn install<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    rounds(world, Mishap::Cut, true).await
}

/// S3.
pub(super) async fn install_unreliable<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    rounds(world, Mishap::Cut, false).await
}

/// S4.
pub(super) async fn install_crash<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    rounds(world, Mishap::Crash, true).await
}

/// S5.
pub(super) async fn install_unreliable_crash<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    rounds(world, Mishap::Crash, false).await
}

async fn rounds<R: LabRaft>(
    world: &World<R>,
    mishap: Mishap,
    reliable: bool,
) -> Result<(), Failure> {
    world.needs_snapshots()?;
    let cluster = Cluster::start_with(world, 3, Snapshots::LastCommand);
    cluster.network().set_reliable(reliable);
    cluster.one(&random(world), 3, true).await?;
    let mut leader = cluster.leader().await?;
    for round in 0..ROUNDS {
        let next = cluster.after(leader, 1);
        let (victim, sender) = if round % 3 == 1 { (leader, next) } else { (next, leader) };
        match mishap {
            Mishap::None => {}
            Mishap::Cut => cluster.disconnect(victim),
            Mishap::Crash => cluster.crash(victim),
        }
        if mishap != Mishap::None {
            cluster.one(&random(world), 2, true).await?;
        }
        for _ in 0..COMMANDS {
            cluster.submit(sender, &random(world));
        }
        cluster.one(&random(world), 2, true).await?;
        let largest = cluster.largest_state();
        ensure!(
            largest < TOO_MUCH,
            "a Raft state has {largest} bytes in round {round}; with a snapshot after every tenth index \
             it stays below {TOO_MUCH}"
        );
        match mishap {
            Mishap::None => continue,
            Mishap::Cut => cluster.connect(victim),
            Mishap::Crash => revive(&cluster, &[victim]),
        }
        cluster.one(&random(world), 3, true).await?;
        leader = cluster.leader().await?;
    }
    Ok(())
}

/// S6. All servers crash five times; each time something new is agreed on afterwards.
pub(super) async fn all_crash<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    world.needs_snapshots()?;
    let cluster = Cluster::start_with(world, 3, Snapshots::AllValues);
    cluster.network().set_reliable(false);
    cluster.one(&random(world), 3, true).await?;
    for _ in 0..5 {
        for _ in 0..5 + world.below(10) {
            cluster.one(&random(world), 3, true).await?;
        }
        let before = cluster.one(&random(world), 3, true).await?;
        crash_all(&cluster);
        let after = cluster.one(&random(world), 3, true).await?;
        ensure!(
            after > before,
            "a command got index {after} after all servers crashed, and {before} was committed before"
        );
    }
    Ok(())
}

/// S7. Crash, one command, crash: the first thing that is stored after a restart must not lose the
/// snapshot.
pub(super) async fn init_after_crash<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    world.needs_snapshots()?;
    let cluster = Cluster::start_with(world, 3, Snapshots::AllValues);
    cluster.network().set_reliable(false);
    for _ in 0..12 {
        cluster.one(&random(world), 3, true).await?;
    }
    crash_all(&cluster);
    cluster.one(&random(world), 3, true).await?;
    crash_all(&cluster);
    cluster.one(&random(world), 3, true).await?;
    Ok(())
}

fn crash_all<R: LabRaft>(cluster: &Cluster<R>) {
    let all = steps::all(cluster);
    all.iter().for_each(|server| cluster.crash(*server));
    revive(cluster, &all);
}
