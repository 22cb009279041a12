//! The primitives of the async Rust lab, with their numbers.
//!
//! Its harness asks each process directly, cut off or not, and believes the leader of the highest term.
//! A leader is waited for up to ten seconds (fifteen where pauses are long), an agreement for thirty, five
//! of them (ten) for one leader's word. Within those times it looks more often than the document's own
//! harness does, which looks every half second, or every 50 ms: the suite as a whole has 120 seconds.

use std::time::Duration;

use super::{Cluster, Failure, Pauses, tell};
use crate::raft::{LabRaft, Start};

const AGREEMENT: Duration = Duration::from_secs(30);
/// Time between two looks for a leader.
const LEADER_LOOK: Duration = Duration::from_millis(50);
/// Time between two looks at what is committed.
const LOOK: Duration = Duration::from_millis(10);

/// A leader as a process tells of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leading {
    pub(crate) server: usize,
    pub(crate) term: u64,
}

impl<R: LabRaft> Cluster<R> {
    /// The leader with the highest term of all processes.
    ///
    /// # Errors
    ///
    /// When there is none in time, or two in that term.
    pub(crate) async fn process_leader(&self) -> Result<Leading, Failure> {
        self.process_leader_of(&self.all(), 0).await
    }

    /// The leader with the highest term, which must be beyond `term`.
    ///
    /// # Errors
    ///
    /// When there is none in time, or two in that term.
    pub(crate) async fn process_leader_beyond(&self, term: u64) -> Result<Leading, Failure> {
        self.process_leader_of(&self.all(), term).await
    }

    /// The leader with the highest term of some processes, which must be beyond `term`.
    ///
    /// # Errors
    ///
    /// When there is none in time, or two in that term.
    pub(crate) async fn process_leader_of(
        &self,
        group: &[usize],
        term: u64,
    ) -> Result<Leading, Failure> {
        let limit = match self.world().settings().pauses {
            Pauses::Short => Duration::from_secs(10),
            Pauses::Long => Duration::from_secs(15),
        };
        let began = self.world().elapsed();
        while self.world().elapsed() < began + limit {
            if let Some(leader) = self.highest(group)?
                && leader.term > term
            {
                return Ok(leader);
            }
            self.wait_for(LEADER_LOOK).await?;
        }
        let beyond = if term == 0 { String::new() } else { format!(" beyond term {term}") };
        let seconds = limit.as_secs();
        Err(self.failure(format!("no leader of {group:?}{beyond} within {seconds} s")))
    }

    /// The only leader of the connected processes, once there is no other.
    ///
    /// # Errors
    ///
    /// When there is none in time, or still two.
    pub(crate) async fn process_leader_alone(&self) -> Result<Leading, Failure> {
        let connected = self.connected();
        let began = self.world().elapsed();
        while self.world().elapsed() < began + self.word_limit() {
            let leader = self.process_leader_of(&connected, 0).await?;
            let leads = |server: &&usize| self.state(**server).is_some_and(|(_, leads)| leads);
            if connected.iter().filter(leads).count() == 1 {
                return Ok(leader);
            }
            self.wait_for(LEADER_LOOK).await?;
        }
        Err(self.failure("more than one server leads, and nothing keeps them apart"))
    }

    fn all(&self) -> Vec<usize> {
        (0..self.len()).collect()
    }

    /// Who claims to lead in the highest term.
    fn highest(&self, group: &[usize]) -> Result<Option<Leading>, Failure> {
        self.world().check()?;
        let mut best: Option<Leading> = None;
        for &server in group {
            let Some((term, true)) = self.state(server) else { continue };
            match best {
                Some(other) if other.term == term => {
                    let what =
                        format!("servers {} and {server} both lead in term {term}", other.server);
                    return Err(self.failure(what));
                }
                Some(other) if other.term > term => {}
                Some(_) | None => best = Some(Leading { server, term }),
            }
        }
        Ok(best)
    }

    /// Gives a command to the leader with the highest term.
    fn submit_to_leader(&self, command: &[u8]) -> Result<Option<Start>, Failure> {
        let leader = self.highest(&self.all())?;
        Ok(leader.and_then(|leader| self.submit(leader.server, command)))
    }

    /// Has a command agreed on by at least so many processes, and says its index.
    ///
    /// # Errors
    ///
    /// When that does not come about within thirty seconds.
    pub(crate) async fn agree(&self, command: &[u8], expected: usize) -> Result<u64, Failure> {
        let began = self.world().elapsed();
        while self.world().elapsed() < began + AGREEMENT {
            let Some(start) = self.submit_to_leader(command)? else {
                self.wait_for(LOOK).await?;
                continue;
            };
            let given = self.world().elapsed();
            while self.world().elapsed() < given + self.word_limit() {
                let (count, value) = self.committed(start.index)?;
                match value {
                    Some(value) if value != command => break,
                    Some(_) if count >= expected => return Ok(start.index),
                    Some(_) | None => self.wait_for(LOOK).await?,
                }
            }
        }
        let command = tell(command);
        Err(self.failure(format!("no agreement of {expected} servers on {command} within 30 s")))
    }

    /// Waits until at least so many processes report an index.
    ///
    /// # Errors
    ///
    /// When they do not in five seconds, or ten where pauses are long.
    pub(crate) async fn process_wait(
        &self,
        index: u64,
        expected: usize,
    ) -> Result<Vec<u8>, Failure> {
        let began = self.world().elapsed();
        while self.world().elapsed() < began + self.word_limit() {
            if let (count, Some(value)) = self.committed(index)?
                && count >= expected
            {
                return Ok(value);
            }
            self.wait_for(LOOK).await?;
        }
        Err(self.failure(format!("index {index} is not committed by {expected} servers")))
    }

    /// How long one leader's word is waited for.
    fn word_limit(&self) -> Duration {
        match self.world().settings().pauses {
            Pauses::Short => Duration::from_secs(5),
            Pauses::Long => Duration::from_secs(10),
        }
    }
}
