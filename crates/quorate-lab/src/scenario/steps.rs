//! Steps that several scenarios have in common.

use crate::harness::{Cluster, World};
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
