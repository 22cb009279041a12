//! What replication may cost, and commands that come at once: R2, R7, R10.

use std::time::Duration;

use super::super::steps;
use crate::harness::{
    Cluster, ELECTION, Failure, Manner, Task, World, ensure, number, spawn, tell, text,
};
use crate::raft::{LabRaft, Start};

/// Attempts where a change of leaders makes one void.
const ATTEMPTS: u32 = 5;

/// R2. Ten commands of 5,000 bytes for three servers: at most 200,000 bytes in all.
pub(in super::super) async fn byte_count<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    const COMMANDS: u64 = 10;
    const LENGTH: usize = 5_000;
    let cluster = Cluster::start(world, world.peers_or(3));
    cluster.one(&number(99), 3, false).await?;
    let before = cluster.network().counts().bytes;
    let mut sent = 0;
    for index in 2..2 + COMMANDS {
        let letter = |_| char::from(b'a' + u8::try_from(world.below(26)).expect("a letter"));
        let command: String = (0..LENGTH).map(letter).collect();
        let got = cluster.one(&text(&command), 3, false).await?;
        ensure!(got == index, "a command got index {got} in the place of {index}");
        sent += LENGTH as u64;
    }
    let bytes = cluster.network().counts().bytes - before;
    let most = sent * cluster.len() as u64 + 50_000;
    ensure!(
        bytes <= most,
        "{bytes} bytes went over the network for {sent} bytes of commands; {most} are allowed"
    );
    Ok(())
}

/// R7. Five commands at once, from five tasks: each gets an index of its own, and all are committed.
pub(in super::super) async fn concurrent_starts<R: LabRaft>(
    world: &World<R>,
) -> Result<(), Failure> {
    let cluster = Cluster::start(world, world.peers_or(3));
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            match world.settings().manner {
                Manner::Course => world.pause_ms(3_000, 3_000).await,
                Manner::Process => world.pause_ms(3_000, 6_000).await,
            }
        }
        if concurrently(&cluster).await? {
            return Ok(());
        }
    }
    Err(cluster.failure(format!("the term changed in each of {ATTEMPTS} attempts")))
}

/// One attempt; false where a change of terms makes it void.
async fn concurrently<R: LabRaft>(cluster: &Cluster<R>) -> Result<bool, Failure> {
    let leader = match cluster.world().settings().manner {
        Manner::Course => cluster.leader().await?,
        Manner::Process => cluster.process_leader().await?.server,
    };
    let Some(Start { term, .. }) = cluster.submit(leader, &cluster.world().command(1)) else {
        return Ok(false);
    };
    let starts: Vec<Task<Option<Start>>> = (0..5)
        .map(|at| {
            let at_cluster = cluster.clone();
            let command = cluster.world().command(100 + at);
            let submit = async move { at_cluster.submit(leader, &command) };
            spawn(cluster.world().context(), submit)
        })
        .collect();
    let mut indices = Vec::new();
    for start in starts {
        match start.join().await {
            Some(start) if start.term == term => indices.push(start.index),
            Some(_) => return Ok(false),
            None => {}
        }
    }
    if cluster.terms().any(|other| other != term) {
        return Ok(false);
    }
    let mut values = Vec::new();
    for &index in &indices {
        let value = match cluster.world().settings().manner {
            Manner::Course => cluster.wait(index, cluster.len(), Some(term)).await?,
            Manner::Process => Some(cluster.process_wait(index, cluster.len()).await?),
        };
        let Some(value) = value else { return Ok(false) };
        values.push(value);
    }
    for command in (0..5).map(|at| cluster.world().command(100 + at)) {
        ensure!(
            values.contains(&command),
            "{} was submitted, and is at none of the indices {indices:?}",
            tell(&command)
        );
    }
    Ok(true)
}

/// R10. At most 30 requests to elect, 42 for twelve commands, 60 in an idle second.
pub(in super::super) async fn count<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, world.peers_or(3));
    cluster.leader().await?;
    let electing = cluster.network().counts().total_received();
    ensure!(
        (1..=30).contains(&electing),
        "{electing} requests to elect the first leader; 1 to 30 are allowed"
    );
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            world.pause(Duration::from_secs(3)).await;
        }
        if let Some(requests) = twelve(&cluster).await? {
            let most = (10 + 1 + 3) * 3;
            ensure!(
                requests <= most,
                "{requests} requests for twelve commands; {most} are allowed"
            );
            let before = cluster.network().counts().total_received();
            world.pause(ELECTION).await;
            let idle = cluster.network().counts().total_received() - before;
            let most = 3 * 20;
            ensure!(idle <= most, "{idle} requests in an idle second; {most} are allowed");
            return Ok(());
        }
    }
    Err(cluster.failure(format!("the term changed in each of {ATTEMPTS} attempts")))
}

/// Requests for twelve commands that come at once; nothing where a change of terms makes it void.
async fn twelve<R: LabRaft>(cluster: &Cluster<R>) -> Result<Option<u64>, Failure> {
    let leader = cluster.leader().await?;
    let before = cluster.network().counts().total_received();
    let Some(first) = cluster.submit(leader, &number(1)) else { return Ok(None) };
    let mut commands = Vec::new();
    for at in 1..12 {
        let command = steps::random(cluster.world());
        let Some(start) = cluster.submit(leader, &command) else { return Ok(None) };
        if start.term != first.term {
            return Ok(None);
        }
        ensure!(
            start.index == first.index + at,
            "command {at} after index {} got index {}",
            first.index,
            start.index
        );
        commands.push(command);
    }
    for (index, command) in (first.index + 1..).zip(commands.iter().take(10)) {
        let value = cluster.wait(index, cluster.len(), Some(first.term)).await?;
        let Some(value) = value else { return Ok(None) };
        ensure!(
            value == *command,
            "{} was committed at index {index}, where {} was accepted",
            tell(&value),
            tell(command)
        );
    }
    if cluster.terms().any(|term| term != first.term) {
        return Ok(None);
    }
    Ok(Some(cluster.network().counts().total_received() - before))
}
