//! The scenarios that have steps of their own: K4, K5, K14, K15 and K22.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::clients::{mark, require_appends};
use super::{MAX_STATE, T, bound_of_the_suite, snapshots_where_tight};
use crate::harness::{Failure, World, ensure, spawn};
use crate::raft::LabRaft;
use crate::service::{Group, KvServer, Way};

type Store<R> = Group<R, KvServer<R>>;

/// K4: many clients append to one key on an unreliable network.
pub(in crate::scenario) async fn unreliable_one_key<R: LabRaft>(
    world: &World<R>,
) -> Result<(), Failure> {
    const CLIENTS: usize = 5;
    const APPENDS: usize = 10;
    let group: Store<R> = Group::new(world, 3, bound_of_the_suite(world)?);
    group.set_reliable(false);
    let judge = group.clerk(Way::ToAll);
    judge.put("k", "").await;
    let one = |client: usize| {
        let clerk = group.clerk(Way::ToAll);
        spawn(world.context(), async move {
            for number in 0..APPENDS {
                clerk.append("k", &mark(client, number)).await;
            }
        })
    };
    let clients: Vec<_> = (0..CLIENTS).map(one).collect();
    for client in clients {
        client.join().await;
        world.check()?;
    }
    let value = judge.get("k").await;
    for client in 0..CLIENTS {
        require_appends(&value, client, APPENDS)?;
    }
    let length: usize =
        (0..CLIENTS).flat_map(|c| (0..APPENDS).map(move |n| mark(c, n).len())).sum();
    ensure!(value.len() == length, "{value:?} has more in it than was appended");
    snapshots_where_tight(world, &group)
}

/// K5: progress in the majority, none in the minority, completion after healing.
pub(in crate::scenario) async fn one_partition<R: LabRaft>(
    world: &World<R>,
) -> Result<(), Failure> {
    let group: Store<R> = Group::new(world, 5, bound_of_the_suite(world)?);
    let first = group.clerk(Way::ToAll);
    first.put("1", "13").await;
    let leader = group.leader().await?;
    let minority: Vec<usize> = vec![leader, (leader + 1) % 5];
    let majority: Vec<usize> = (2..5).map(|step| (leader + step) % 5).collect();
    group.partition(&majority, &minority);

    let clerk = group.clerk(Way::To(&majority));
    clerk.put("1", "14").await;
    require(&clerk.get("1").await, "14")?;

    let writer = group.clerk(Way::To(&minority));
    let reader = group.clerk(Way::To(&minority));
    let (write_ends, read_ends) = (writer.number(), reader.number());
    let ended: [Arc<AtomicBool>; 2] = Default::default();
    let [written, read] = ended.clone();
    let writing = spawn(world.context(), async move {
        writer.put("1", "15").await;
        written.store(true, Ordering::Release);
    });
    let reading = spawn(world.context(), async move {
        drop(reader.get("1").await);
        read.store(true, Ordering::Release);
    });
    world.pause(T).await;
    let [written, read] = ended.map(|one| one.load(Ordering::Acquire));
    ensure!(!written, "a put in the minority's side was acknowledged");
    ensure!(!read, "a get in the minority's side was answered");
    require(&clerk.get("1").await, "14")?;
    clerk.put("1", "16").await;
    require(&clerk.get("1").await, "16")?;
    world.check()?;

    group.connect_all();
    for client in [write_ends, read_ends, clerk.number()] {
        group.connect_client(client, Way::ToAll);
    }
    world.pause(T).await;
    let limit = Duration::from_secs(3);
    let written = world.context().timeout(limit, writing.join()).await;
    ensure!(written.is_some(), "a put did not end within 3 s of healing");
    let read = world.context().timeout(limit, reading.join()).await;
    ensure!(read.is_some(), "a get did not end within 3 s of healing");
    require(&clerk.get("1").await, "15")?;
    snapshots_where_tight(world, &group)?;
    world.check()
}

fn require(value: &str, expected: &str) -> Result<(), Failure> {
    ensure!(value == expected, "a get answered {value:?} where {expected:?} was due");
    Ok(())
}

fn require_state<R: LabRaft>(group: &Store<R>) -> Result<(), Failure> {
    let (largest, limit) = (group.largest_state(), 2 * MAX_STATE);
    ensure!(largest <= limit, "a server keeps {largest} bytes, the limit is {limit}");
    Ok(())
}

/// K14: a server that lags gets a snapshot.
pub(in crate::scenario) async fn snapshot_rpc<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    world.needs_snapshots()?;
    let group: Store<R> = Group::new(world, 3, Some(MAX_STATE));
    let clerk = group.clerk(Way::ToAll);
    clerk.put("a", "A").await;
    require(&clerk.get("a").await, "A")?;

    group.partition(&[0, 1], &[2]);
    let two = group.clerk(Way::To(&[0, 1]));
    for number in 0..50 {
        two.put(&number.to_string(), &number.to_string()).await;
        world.check()?;
    }
    world.pause(T).await;
    two.put("b", "B").await;
    require_state(&group)?;

    // The server that missed it all has to make up a majority.
    group.partition(&[0, 2], &[1]);
    let others = group.clerk(Way::To(&[0, 2]));
    others.put("c", "C").await;
    others.put("d", "D").await;
    for (key, expected) in [("a", "A"), ("b", "B"), ("1", "1"), ("49", "49")] {
        require(&others.get(key).await, expected)?;
    }

    group.partition(&[0, 1, 2], &[]);
    clerk.put("e", "E").await;
    for (key, expected) in [("c", "C"), ("e", "E"), ("1", "1")] {
        require(&clerk.get(key).await, expected)?;
    }
    world.check()
}

/// K15: snapshots hold what is needed and little more.
pub(in crate::scenario) async fn snapshot_size<R: LabRaft>(
    world: &World<R>,
) -> Result<(), Failure> {
    const MAX_SNAPSHOT: usize = 500;
    world.needs_snapshots()?;
    let group: Store<R> = Group::new(world, 3, Some(MAX_STATE));
    let clerk = group.clerk(Way::ToAll);
    for _ in 0..200 {
        for value in ["0", "1"] {
            clerk.put("x", value).await;
            require(&clerk.get("x").await, value)?;
        }
        world.check()?;
    }
    require_state(&group)?;
    let largest = group.largest_snapshot();
    ensure!(largest > 0, "no snapshot was taken");
    ensure!(
        largest <= MAX_SNAPSHOT,
        "a snapshot of one key has {largest} bytes, the limit is {MAX_SNAPSHOT}"
    );
    Ok(())
}

/// K22: an operation does not wait for the next heartbeat.
pub(in crate::scenario) async fn speed<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    const OPERATIONS: u32 = 1000;
    const LIMIT: Duration = Duration::from_micros(33_333);
    let group: Store<R> = Group::new(world, 3, bound_of_the_suite(world)?);
    let clerk = group.clerk(Way::ToAll);
    // The first leader is elected before the clock starts.
    clerk.get("x").await;
    let began = world.context().now();
    for number in 0..OPERATIONS {
        clerk.put("x", &number.to_string()).await;
    }
    let each = world.context().now().saturating_sub(began) / OPERATIONS;
    ensure!(each <= LIMIT, "an operation takes {each:?}, the limit is {LIMIT:?}");
    require(&clerk.get("x").await, &(OPERATIONS - 1).to_string())?;
    world.check()
}
