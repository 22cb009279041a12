//! Partitions and what heals after them: N1 to N5.
//!
//! What a majority committed stands; what a minority accepted gives way. Told in the async Rust lab's
//! manner, in which the harness reaches every server throughout.

use crate::harness::{Cluster, Failure, Leading, World, ensure, tell, text};
use crate::raft::LabRaft;

/// Splits the leader and the one after it from the others; returns minority and majority.
fn split<R: LabRaft>(cluster: &Cluster<R>, leader: usize) -> ([usize; 2], [usize; 3]) {
    let minority = [leader, cluster.after(leader, 1)];
    let majority = [2, 3, 4].map(|places| cluster.after(leader, places));
    cluster.partition(&[&minority, &majority]);
    (minority, majority)
}

/// # Errors
///
/// When so many servers do not have this command at this index.
fn stands<R: LabRaft>(
    cluster: &Cluster<R>,
    index: u64,
    command: &[u8],
    expected: usize,
) -> Result<(), Failure> {
    let (count, value) = cluster.committed(index)?;
    if count >= expected && value.as_deref() == Some(command) {
        return Ok(());
    }
    let has = value.map_or_else(|| "nothing".to_owned(), |value| tell(&value));
    let command = tell(command);
    let what =
        format!("{command} was committed at index {index}, where {count} servers have {has}");
    Err(cluster.failure(what))
}

/// N1. Three against two: the three commit, the two do not, and after healing it is as the three say.
pub(super) async fn majority_commits<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, 5);
    cluster.agree(&text("before"), 5).await?;
    let before = cluster.process_leader().await?;
    let (majority, minority) = ([0, 1, 2], [3, 4]);
    cluster.partition(&[&majority, &minority]);
    // It leads a majority already, or one that knows nothing of it has to be elected.
    let beyond = if majority.contains(&before.server) { 0 } else { before.term };
    let leader = cluster.process_leader_of(&majority, beyond).await?;
    let command = text("majority-cmd");
    let index = commit(&cluster, leader, &command, 3).await?;
    for server in minority {
        cluster.submit(server, &text("minority-cmd"));
    }
    world.pause_ms(2_000, 4_000).await;
    stands(&cluster, index, &command, 3)?;
    cluster.heal();
    cluster.agree(&text("after"), 5).await?;
    stands(&cluster, index, &command, 5)
}

/// Gives a command to one leader and waits until it is committed.
async fn commit<R: LabRaft>(
    cluster: &Cluster<R>,
    leader: Leading,
    command: &[u8],
    expected: usize,
) -> Result<u64, Failure> {
    let Some(start) = cluster.submit(leader.server, command) else {
        let what = format!("server {} leads, and refused {}", leader.server, tell(command));
        return Err(cluster.failure(what));
    };
    let value = cluster.process_wait(start.index, expected).await?;
    ensure!(
        value == command,
        "{} was committed at index {}, where {} was accepted",
        tell(&value),
        start.index,
        tell(command)
    );
    Ok(start.index)
}

/// N2. The old leader is in the minority and knows nothing of the other.
pub(super) async fn two_leaders<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, 5);
    cluster.agree(&text("before"), 5).await?;
    let old = cluster.process_leader().await?;
    let (_, majority) = split(&cluster, old.server);
    let leader = cluster.process_leader_of(&majority, old.term).await?;
    let command = text("majority-only");
    let index = commit(&cluster, leader, &command, 3).await?;
    cluster.submit(old.server, &text("minority-only"));
    world.pause_ms(2_000, 4_000).await;
    cluster.heal();
    let healed = cluster.process_leader().await?;
    ensure!(
        healed.term >= leader.term,
        "after healing the leader's term is {}, and was {}",
        healed.term,
        leader.term
    );
    stands(&cluster, index, &command, 3)?;
    cluster.agree(&text("after"), 5).await?;
    stands(&cluster, index, &command, 5)
}

/// N3. A leader that is alone accepts a command, which is lost; nothing else is.
pub(super) async fn leader_alone<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, 3);
    cluster.agree(&text("before"), 3).await?;
    let old = cluster.process_leader().await?;
    let others = [1, 2].map(|places| cluster.after(old.server, places));
    cluster.partition(&[&[old.server], &others]);
    let lost = text("will-be-lost");
    if cluster.submit(old.server, &lost).is_none() {
        let what = format!("server {} was just cut off, and refused a command", old.server);
        return Err(cluster.failure(what));
    }
    let leader = cluster.process_leader_of(&others, old.term).await?;
    let kept = text("new-leader-cmd");
    commit(&cluster, leader, &kept, 2).await?;
    world.pause_ms(1_000, 2_000).await;
    cluster.heal();
    cluster.agree(&text("after"), 3).await?;
    let mut is_kept = false;
    for index in 1..100 {
        for server in 0..cluster.len() {
            let Some(value) = cluster.value(server, index) else { continue };
            ensure!(
                value != lost,
                "{} is committed at index {index} of server {server}; only one server ever had it",
                tell(&lost)
            );
            is_kept |= value == kept;
        }
    }
    ensure!(is_kept, "{} was committed by two servers, and nobody has it", tell(&kept));
    Ok(())
}

/// N4. Four partitions, one after another, each with the leader in the minority.
pub(super) async fn repeated<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, 5);
    for round in 0..4 {
        let old = cluster.process_leader().await?;
        let (_, majority) = split(&cluster, old.server);
        let leader = cluster.process_leader_of(&majority, old.term).await?;
        commit(&cluster, leader, &text(&format!("round-{round}")), 3).await?;
        cluster.heal();
        world.pause_ms(500, 1_000).await;
    }
    cluster.agree(&text("after"), 5).await?;
    Ok(())
}

/// N5. Both sides have entries at the same indices.
pub(super) async fn conflicting_commits<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
    let cluster = Cluster::start(world, 5);
    cluster.agree(&text("before"), 5).await?;
    let old = cluster.process_leader().await?;
    let (_, majority) = split(&cluster, old.server);
    for command in ["minority-1", "minority-2"] {
        cluster.submit(old.server, &text(command));
    }
    let leader = cluster.process_leader_of(&majority, old.term).await?;
    let mut indices = Vec::new();
    for command in ["majority-1", "majority-2"] {
        indices.push(commit(&cluster, leader, &text(command), 3).await?);
    }
    cluster.heal();
    cluster.agree(&text("after"), 5).await?;
    stands(&cluster, indices[0], &text("majority-1"), 5)?;
    stands(&cluster, indices[1], &text("majority-2"), 5)
}
