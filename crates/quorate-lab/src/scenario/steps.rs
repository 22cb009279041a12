//! Steps that several scenarios have in common.

use crate::harness::{Cluster, Failure, Manner, World};
use crate::raft::LabRaft;

/// A command that is like no other.
pub(super) fn random<R: LabRaft>(world: &World<R>) -> Vec<u8> {
    world.command(world.context().random())
}

pub(super) fn disconnect<R: LabRaft>(cluster: &Cluster<R>, servers: &[usize]) {
    servers.iter().for_each(|server| cluster.disconnect(*server));
}

pub(super) fn connect<R: LabRaft>(cluster: &Cluster<R>, servers: &[usize]) {
    servers.iter().for_each(|server| cluster.connect(*server));
}

/// Crashes servers that may run, starts them from what they stored, and connects them.
pub(super) fn revive<R: LabRaft>(cluster: &Cluster<R>, servers: &[usize]) {
    for &server in servers {
        cluster.restart(server);
    }
    connect(cluster, servers);
}

/// Every server of a cluster.
pub(super) fn all<R: LabRaft>(cluster: &Cluster<R>) -> Vec<usize> {
    (0..cluster.len()).collect()
}

/// The leader and its term, which lies beyond `term` where processes that were cut off are asked, too.
pub(super) async fn leader<R: LabRaft>(
    cluster: &Cluster<R>,
    term: u64,
) -> Result<(usize, u64), Failure> {
    if cluster.world().settings().manner == Manner::Process {
        let leader = cluster.process_leader_beyond(term).await?;
        return Ok((leader.server, leader.term));
    }
    let leader = cluster.leader().await?;
    Ok((leader, cluster.state(leader).map_or(0, |(term, _)| term)))
}

/// Has a random command agreed on, in the manner of the harness.
pub(super) async fn agree<R: LabRaft>(
    cluster: &Cluster<R>,
    expected: usize,
) -> Result<(), Failure> {
    let command = random(cluster.world());
    if cluster.world().settings().manner == Manner::Process {
        cluster.agree(&command, expected).await?;
    } else {
        cluster.one(&command, expected, true).await?;
    }
    Ok(())
}
