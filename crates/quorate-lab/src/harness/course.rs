//! The primitives of the Go course lab and the talent-plan labs, with their numbers.
//!
//! A leader exists within ten looks half a second apart. A command is agreed on within ten seconds: it is
//! applied within two by the server that took it, or, where that is allowed, given to another.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Cluster, Failure, ensure, tell};
use crate::raft::LabRaft;

/// What the documents call the election timeout: how long steps wait for one.
pub(crate) const ELECTION: Duration = Duration::from_secs(1);

const LOOKS: u32 = 10;
const AGREEMENT: Duration = Duration::from_secs(10);
const APPLIED: Duration = Duration::from_secs(2);
const ROUNDS: u32 = 30;

impl<R: LabRaft> Cluster<R> {
    /// The leader among the connected servers, of the highest term.
    ///
    /// # Errors
    ///
    /// When there is none within about five seconds, or two in one term.
    pub async fn leader(&self) -> Result<usize, Failure> {
        for _ in 0..LOOKS {
            self.wait_for(Duration::from_millis(450 + self.world().below(100))).await?;
            let mut leaders: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
            for server in self.connected() {
                if let Some((term, true)) = self.state(server) {
                    leaders.entry(term).or_default().push(server);
                }
            }
            if let Some((term, two)) = leaders.iter().find(|(_, two)| two.len() > 1) {
                return Err(self.failure(format!("servers {two:?} all lead in term {term}")));
            }
            if let Some((_, one)) = leaders.last_key_value() {
                return Ok(one[0]);
            }
        }
        let connected = self.connected();
        Err(self.failure(format!("no leader among servers {connected:?} in 4.5 to 5.5 s")))
    }

    /// # Errors
    ///
    /// When a connected server leads.
    pub fn no_leader(&self) -> Result<(), Failure> {
        self.world().check()?;
        for server in self.connected() {
            if let Some((term, true)) = self.state(server) {
                let what = format!("server {server} leads in term {term} without a majority");
                return Err(self.failure(what));
            }
        }
        Ok(())
    }

    /// The term that all connected servers have.
    ///
    /// # Errors
    ///
    /// When they differ, or it is 0.
    pub fn term(&self) -> Result<u64, Failure> {
        self.world().check()?;
        let states = self.connected().into_iter().filter_map(|server| self.state(server));
        let terms: Vec<u64> = states.map(|(term, _)| term).collect();
        let term = terms.first().copied().unwrap_or(0);
        if terms.iter().any(|other| *other != term) {
            return Err(self.failure("the terms of connected servers differ"));
        }
        if term == 0 {
            return Err(self.failure("a leader was elected, and the term is still 0"));
        }
        Ok(term)
    }

    /// Has a command agreed on by at least so many servers, and says its index. `retry` allows to give
    /// it to another server when it is not applied in two seconds.
    ///
    /// # Errors
    ///
    /// When that does not come about within ten seconds.
    pub async fn one(&self, command: &[u8], expected: usize, retry: bool) -> Result<u64, Failure> {
        let began = self.world().elapsed();
        let mut server = 0;
        let mut seen = None;
        while self.world().elapsed() < began + AGREEMENT {
            self.world().check()?;
            let mut accepted = None;
            for _ in 0..self.len() {
                server = self.after(server, 1);
                if self.is_connected(server)
                    && let Some(start) = self.submit(server, command)
                {
                    accepted = Some(start.index);
                    break;
                }
            }
            let Some(index) = accepted else {
                self.wait_for(Duration::from_millis(50)).await?;
                continue;
            };
            let given = self.world().elapsed();
            while self.world().elapsed() < given + APPLIED {
                let (count, value) = self.committed(index)?;
                if count > 0 && count >= expected && value.as_deref() == Some(command) {
                    return Ok(index);
                }
                seen = Some((server, index, count, value));
                self.wait_for(Duration::from_millis(20)).await?;
            }
            if !retry {
                break;
            }
        }
        let about = match seen {
            None => "no connected server accepted it".to_owned(),
            Some((server, index, count, value)) => {
                let value = value.map_or_else(|| "nothing".to_owned(), |value| tell(&value));
                format!(
                    "server {server} took it for index {index}, where {count} servers have {value}"
                )
            }
        };
        let command = tell(command);
        let words = format!("no agreement of {expected} servers on {command}: {about}");
        Err(self.failure(words))
    }

    /// Waits until so many servers have applied an index, and says what. Gives up quietly, with
    /// nothing, when a server's term is beyond `term`.
    ///
    /// # Errors
    ///
    /// When it does not come about in thirty looks that are ever further apart.
    pub async fn wait(
        &self,
        index: u64,
        expected: usize,
        term: Option<u64>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let mut pause = Duration::from_millis(10);
        for _ in 0..ROUNDS {
            let (count, value) = self.committed(index)?;
            if count >= expected {
                return Ok(value);
            }
            self.wait_for(pause).await?;
            pause = (pause * 2).min(Duration::from_secs(1));
            if let Some(term) = term
                && self.terms().any(|other| other > term)
            {
                return Ok(None);
            }
        }
        let (count, value) = self.committed(index)?;
        if count < expected {
            let what = format!("index {index} was applied by {count} servers of {expected}");
            return Err(self.failure(what));
        }
        Ok(value)
    }

    /// The terms of all servers that run.
    pub(crate) fn terms(&self) -> impl Iterator<Item = u64> {
        let states = self.running().into_iter().filter_map(|server| self.state(server));
        states.map(|(term, _)| term).collect::<Vec<_>>().into_iter()
    }

    /// # Errors
    ///
    /// When any server has applied an index.
    pub fn nothing_at(&self, index: u64) -> Result<(), Failure> {
        let (count, value) = self.committed(index)?;
        ensure!(
            count == 0,
            "{count} servers applied index {index} ({}), and it could not be committed",
            tell(&value.unwrap_or_default())
        );
        Ok(())
    }
}
