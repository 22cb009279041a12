//! M1 to M8: a counter that three servers count alike, and what a submit is told when it cannot be.

use std::sync::Arc;
use std::time::Duration;

use crate::harness::{Failure, Task, World, ensure, spawn};
use crate::raft::LabRaft;
use crate::service::{CounterMachine, CounterServer, Group, Lost};

const SERVERS: usize = 3;
/// How long the servers together may take to execute a command.
const GIVE_UP: Duration = Duration::from_secs(10);
/// How long to wait before they are asked again.
const AGAIN: Duration = Duration::from_millis(20);
/// The bound for the state of the Raft below in the snapshot scenario.
const MAX_STATE: usize = 1000;

/// The counter's servers, and what scenarios do with them.
struct Counting<R: LabRaft> {
    world: World<R>,
    group: Group<R, CounterServer<R>>,
}

impl<R: LabRaft> Counting<R> {
    fn new(world: &World<R>, max_state: Option<usize>) -> Self {
        Self { world: world.clone(), group: Group::new(world, SERVERS, max_state) }
    }

    /// Counts one up at whichever connected server leads; answers the count and who it was.
    async fn increment(&self) -> Result<(i64, usize), Failure> {
        let until = self.world.context().now() + GIVE_UP;
        while self.world.context().now() < until {
            self.world.check()?;
            for (number, server) in self.group.connected() {
                if let Ok(reply) = server.driver().submit(&CounterMachine::add(1)).await {
                    let count = CounterMachine::reply(&reply);
                    let count = count.ok_or_else(|| Failure::new("a reply is no number"))?;
                    return Ok((count, number));
                }
            }
            self.world.sleep(AGAIN).await;
        }
        Err(Failure::new("no server executed a command within 10 s"))
    }

    /// Counts up and expects these counts in order.
    async fn increments(&self, counts: std::ops::RangeInclusive<i64>) -> Result<usize, Failure> {
        let mut leader = 0;
        for expected in counts {
            let (count, by) = self.increment().await?;
            ensure!(count == expected, "an increment answered {count} where {expected} was due");
            leader = by;
        }
        Ok(leader)
    }

    /// So many servers have counted so far, in a while.
    async fn require(&self, expected: i64, servers: usize) -> Result<(), Failure> {
        let until = self.world.context().now() + GIVE_UP;
        loop {
            let counts: Vec<i64> = self.group.connected().map(|(_, one)| one.count()).collect();
            let agree = counts.iter().filter(|count| **count == expected).count();
            if agree >= servers {
                return Ok(());
            }
            self.world.check()?;
            ensure!(
                self.world.context().now() < until,
                "the servers count {counts:?} where {servers} of them should have {expected}"
            );
            self.world.sleep(AGAIN).await;
        }
    }

    /// Submits at one server at once, so many times.
    fn submit_many(&self, at: usize, amount: i64, times: usize) -> Vec<Task<Result<(), Lost>>> {
        let server = self.group.server(at).expect("scenarios submit to servers that run");
        let one = |_| {
            let server = Arc::clone(&server);
            spawn(self.world.context(), async move {
                server.driver().submit(&CounterMachine::add(amount)).await.map(drop)
            })
        };
        (0..times).map(one).collect()
    }

    async fn restart_all(&self) {
        self.group.crash_all();
        self.world.pause(Duration::from_secs(1)).await;
        self.group.start_all();
        self.group.connect_all();
    }

    fn finish(&self) -> Result<(), Failure> {
        self.world.check()
    }
}

/// M1: ten increments, and every server counts them.
pub(super) async fn basic<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let counting = Counting::new(world, world.settings().max_state);
    for count in 1..=10 {
        counting.increments(count..=count).await?;
        counting.require(count, SERVERS).await?;
    }
    counting.finish()
}

/// M2: fifty at the same time are all counted.
pub(super) async fn concurrent<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let counting = Counting::new(world, world.settings().max_state);
    let leader = counting.increments(1..=1).await?;
    for submit in counting.submit_many(leader, 1, 50) {
        let outcome = submit.join().await;
        ensure!(outcome.is_ok(), "one of fifty submits at a leader that stays was lost");
    }
    counting.require(51, SERVERS).await?;
    counting.finish()
}

/// M3: the leader fails, and comes back.
pub(super) async fn leader_failure<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let counting = Counting::new(world, world.settings().max_state);
    let leader = counting.increments(1..=1).await?;
    counting.require(1, SERVERS).await?;
    counting.group.disconnect(leader);
    counting.increments(2..=2).await?;
    counting.require(2, SERVERS - 1).await?;
    counting.group.connect(leader);
    counting.require(2, SERVERS).await?;
    counting.finish()
}

/// M4: a leader that was cut off reports no success, and all that waits there ends soon after healing.
pub(super) async fn leader_partition<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let counting = Counting::new(world, world.settings().max_state);
    let leader = counting.increments(1..=1).await?;
    counting.require(1, SERVERS).await?;
    counting.group.disconnect(leader);
    let submits = counting.submit_many(leader, -1, 100);
    counting.increments(2..=2).await?;
    counting.group.connect(leader);
    let until = world.context().now() + Duration::from_secs(1);
    for submit in submits {
        let left = until.saturating_sub(world.context().now());
        let outcome = world.context().timeout(left, submit.join()).await;
        let Some(outcome) = outcome else {
            return Err(Failure::new("a submit did not end within 1 s of healing"));
        };
        ensure!(outcome.is_err(), "a leader that was cut off reported a success");
    }
    counting.increments(3..=3).await?;
    counting.require(3, SERVERS).await?;
    counting.finish()
}

/// M5: a restart replays the log.
pub(super) async fn restart_replay<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let counting = Counting::new(world, world.settings().max_state);
    replay(&counting).await?;
    counting.finish()
}

async fn replay<R: LabRaft>(counting: &Counting<R>) -> Result<(), Failure> {
    counting.increments(1..=100).await?;
    counting.require(100, SERVERS).await?;
    counting.restart_all().await;
    counting.increments(101..=101).await?;
    counting.require(101, SERVERS).await
}

/// M6: a shutdown ends what is outstanding.
pub(super) async fn shutdown<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let counting = Counting::new(world, world.settings().max_state);
    let leader = counting.increments(1..=1).await?;
    end_of_outstanding(&counting, leader).await?;
    counting.finish()
}

/// A hundred submits that no majority hears of, then all servers are killed.
async fn end_of_outstanding<R: LabRaft>(
    counting: &Counting<R>,
    leader: usize,
) -> Result<(), Failure> {
    let world = &counting.world;
    counting.group.disconnect(leader);
    let submits = counting.submit_many(leader, 1, 100);
    world.sleep(AGAIN).await;
    counting.group.crash_all();
    let until = world.context().now() + Duration::from_secs(11);
    for submit in submits {
        let left = until.saturating_sub(world.context().now());
        let outcome = world.context().timeout(left, submit.join()).await;
        let Some(outcome) = outcome else {
            return Err(Failure::new("a submit did not end within 11 s of the shutdown"));
        };
        ensure!(outcome.is_err(), "a submit without a majority reported a success");
    }
    Ok(())
}

/// M7: after a replay and a shutdown with outstanding submits, it goes on.
pub(super) async fn restart_submit<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let counting = Counting::new(world, world.settings().max_state);
    replay(&counting).await?;
    let (count, leader) = counting.increment().await?;
    ensure!(count == 102, "an increment answered {count} where 102 was due");
    counting.require(102, SERVERS).await?;
    end_of_outstanding(&counting, leader).await?;
    counting.group.start_all();
    counting.group.connect_all();
    // What was outstanding may have been executed or not; what follows is counted once each.
    let (count, _) = counting.increment().await?;
    ensure!((103..=203).contains(&count), "{count} is no count that may follow 102");
    counting.increments(count + 1..=count + 10).await?;
    counting.require(count + 10, SERVERS).await?;
    counting.finish()
}

/// M8: snapshots keep the state small, and a restart begins from one.
pub(super) async fn snapshot<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    world.needs_snapshots()?;
    let counting = Counting::new(world, Some(MAX_STATE));
    counting.increments(1..=100).await?;
    counting.require(100, SERVERS).await?;
    let (largest, limit) = (counting.group.largest_state(), 2 * MAX_STATE);
    ensure!(largest <= limit, "a server keeps {largest} bytes, the limit is {limit}");
    ensure!(counting.group.largest_snapshot() > 0, "no snapshot was taken");
    counting.restart_all().await;
    counting.increments(101..=101).await?;
    counting.require(101, SERVERS).await?;
    counting.finish()
}
