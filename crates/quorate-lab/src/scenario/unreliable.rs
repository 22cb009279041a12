//! Networks that lose, delay and reorder, and servers that come and go: U1 to U4.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::persistence::rest;
use super::steps::{self, random};
use crate::harness::{
    Cluster, ELECTION, Failure, Manner, Task, World, ensure, number, spawn, tell,
};
use crate::raft::LabRaft;

/// U1. 246 commands, five at a time, on a network that loses a tenth of everything.
pub(super) async fn agreement<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, world.peers_or(5));
    cluster.network().set_reliable(false);
    let mut beside = Vec::new();
    for round in 1..50 {
        for at in 0..4 {
            let in_task = cluster.clone();
            let one =
                async move { in_task.one(&number(100 * round + at), 1, true).await.map(|_| ()) };
            beside.push(spawn(world.context(), one));
        }
        cluster.one(&number(round), 1, true).await?;
    }
    cluster.network().set_reliable(true);
    for task in beside {
        task.join().await?;
    }
    cluster.one(&number(100), 5, true).await?;
    Ok(())
}

/// U2. Figure 8 with cuts in the place of crashes: a thousand leaders that come back with entries of
/// long ago, and from round 200 on answers that are late by up to two seconds.
pub(super) async fn figure_8<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    const ROUNDS: u32 = 1_000;
    const REORDERED: u32 = 200;
    const UP: usize = 3;
    let cluster = Cluster::start(world, world.peers_or(5));
    cluster.network().set_reliable(false);
    steps::agree(&cluster, 1).await?;
    for round in 0..ROUNDS {
        world.check()?;
        if round == REORDERED {
            cluster.network().set_long_reordering(true);
        }
        let mut leader = None;
        for server in 0..cluster.len() {
            let accepted = cluster.submit(server, &random(world)).is_some();
            if accepted && cluster.is_connected(server) {
                leader = Some(server);
            }
        }
        rest(world).await;
        if let Some(leader) = leader
            && world.chance(500)
        {
            cluster.disconnect(leader);
        }
        if cluster.connected().len() < UP {
            let server = world.any(cluster.len());
            if !cluster.is_connected(server) {
                cluster.connect(server);
            }
        }
    }
    cluster.connect_all();
    steps::agree(&cluster, 5).await
}

/// U3. Three clients submit while servers are cut off, crash and come back.
pub(super) async fn churn<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    match world.settings().manner {
        Manner::Course => churn_on(world, true).await,
        Manner::Process => process_churn_on(world, true).await,
    }
}

/// U4. The same on an unreliable network.
pub(super) async fn unreliable_churn<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    match world.settings().manner {
        Manner::Course => churn_on(world, false).await,
        Manner::Process => process_churn_on(world, false).await,
    }
}

const CLIENTS: usize = 3;
const ROUNDS: u32 = 20;

/// Clients that submit until they are told to stop, and say which of their values they saw committed.
struct Clients {
    stop: Arc<AtomicBool>,
    /// Whether each has seen one.
    seen: Arc<[AtomicBool; CLIENTS]>,
    tasks: Vec<Task<Result<Vec<Vec<u8>>, Failure>>>,
}

impl Clients {
    fn start<R: LabRaft>(cluster: &Cluster<R>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen: Arc<[AtomicBool; CLIENTS]> = Arc::default();
        let client = |me| {
            let (cluster, stop, seen) = (cluster.clone(), Arc::clone(&stop), Arc::clone(&seen));
            let world = cluster.world().clone();
            spawn(world.context(), async move { client(cluster, me, &stop, &seen[me]).await })
        };
        let tasks = (0..CLIENTS).map(client).collect();
        Self { stop, seen, tasks }
    }

    /// Waits, where a client has seen nothing yet, as long as a healed cluster may take to elect: the
    /// churn may have left it no majority from the beginning on, which is no fault of the Raft.
    async fn served<R: LabRaft>(&self, world: &World<R>) -> Result<(), Failure> {
        let healed = world.elapsed();
        while !self.seen.iter().all(|seen| seen.load(Ordering::Relaxed))
            && world.elapsed() < healed + ELECTION * 5
        {
            world.sleep_ms(50).await;
            world.check()?;
        }
        Ok(())
    }

    /// Stops them; every one must have seen something of its own committed.
    async fn stop(self) -> Result<Vec<Vec<u8>>, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for (me, task) in self.tasks.into_iter().enumerate() {
            let values = task.join().await?;
            ensure!(!values.is_empty(), "client {me} saw none of its commands committed");
            all.extend(values);
        }
        Ok(all)
    }
}

async fn client<R: LabRaft>(
    cluster: Cluster<R>,
    me: usize,
    stop: &AtomicBool,
    seen: &AtomicBool,
) -> Result<Vec<Vec<u8>>, Failure> {
    let world = cluster.world();
    let is_process = world.settings().manner == Manner::Process;
    let looks: &[u64] = match (is_process, world.settings().pauses) {
        (false, _) => &[10, 20, 50, 100, 200],
        (true, crate::harness::Pauses::Short) => &[50, 100, 200, 500, 1_000],
        (true, crate::harness::Pauses::Long) => &[100, 200, 400, 1_000, 2_000],
    };
    let mut values = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let command = random(world);
        let mut accepted = None;
        for server in 0..cluster.len() {
            if let Some(start) = cluster.submit(server, &command) {
                accepted = Some(start.index);
                // The course lab gives it to all, and believes the last.
                if is_process {
                    break;
                }
            }
        }
        let Some(index) = accepted else {
            world.sleep_ms(79 + 17 * me as u64).await;
            world.check()?;
            continue;
        };
        for &look in looks {
            if let (_, Some(value)) = cluster.committed(index)? {
                if value == command {
                    values.push(value);
                    seen.store(true, Ordering::Relaxed);
                }
                break;
            }
            world.sleep_ms(look).await;
        }
    }
    Ok(values)
}

async fn churn_on<R: LabRaft>(world: &World<R>, reliable: bool) -> Result<(), Failure> {
    let cluster = Cluster::start(world, world.peers_or(5));
    cluster.network().set_reliable(reliable);
    let clients = Clients::start(&cluster);
    for _ in 0..ROUNDS {
        world.check()?;
        if world.chance(200) {
            cluster.disconnect(world.any(cluster.len()));
        }
        if world.chance(500) {
            let server = world.any(cluster.len());
            if !cluster.is_running(server) {
                cluster.restart(server);
            }
            cluster.connect(server);
        }
        if world.chance(200) {
            let server = world.any(cluster.len());
            if cluster.is_running(server) {
                cluster.crash(server);
            }
        }
        // Of the same length as an election, so that some of them are interrupted and some are not.
        world.pause(ELECTION * 7 / 10).await;
    }
    world.pause(ELECTION).await;
    cluster.network().set_reliable(true);
    revive_dead(&cluster);
    cluster.connect_all();
    clients.served(world).await?;
    let values = clients.stop().await?;
    world.pause(ELECTION).await;
    let last = cluster.one(&random(world), 5, true).await?;
    let mut log = Vec::new();
    for index in 1..=last {
        log.extend(cluster.wait(index, cluster.len(), None).await?);
    }
    // Sorted, as there are hundreds of each.
    log.sort_unstable();
    for value in values {
        ensure!(
            log.binary_search(&value).is_ok(),
            "{} was seen committed, and is not in the log",
            tell(&value)
        );
    }
    Ok(())
}

fn revive_dead<R: LabRaft>(cluster: &Cluster<R>) {
    let dead = steps::all(cluster).into_iter().filter(|server| !cluster.is_running(*server));
    steps::revive(cluster, &dead.collect::<Vec<_>>());
}

async fn process_churn_on<R: LabRaft>(world: &World<R>, reliable: bool) -> Result<(), Failure> {
    let cluster = Cluster::start(world, 5);
    cluster.network().set_reliable(reliable);
    let clients = Clients::start(&cluster);
    for _ in 0..ROUNDS {
        world.check()?;
        let server = world.any(cluster.len());
        match world.below(100) {
            0..20 => cluster.disconnect(server),
            20..70 => {
                if !cluster.is_running(server) {
                    cluster.restart(server);
                }
                cluster.connect(server);
            }
            _ => cluster.crash(server),
        }
        world.pause_ms(700, 1_400).await;
    }
    cluster.network().set_reliable(true);
    world.pause_ms(1_000, 2_000).await;
    revive_dead(&cluster);
    cluster.heal();
    world.pause_ms(5_000, 10_000).await;
    clients.stop().await?;
    world.pause_ms(1_000, 2_000).await;
    steps::agree(&cluster, 5).await
}
