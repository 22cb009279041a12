//! How a node begins: from what its log and hard state say, as a follower.

use std::sync::Arc;

use super::read::ForwardedReads;
use super::role::{Follower, Role};
use super::{Raft, Sender, Write};
use crate::config::Config;
use crate::entry::Run;
use crate::error::StartError;
use crate::hard_state::HardState;
use crate::id::{BootCounter, EntryId, Index, NodeId, RequestId};
use crate::log::{Durability, Log};
use crate::membership::{History, Membership};
use crate::node_map::NodeMap;
use crate::rng::Rng;
use crate::snapshot::SnapshotId;
use crate::status::RoleName;
use crate::time::{Instant, nanos};

/// Everything a node needs to begin, all of it durable.
#[derive(Clone, Debug)]
pub struct Start {
    /// This node.
    pub id: NodeId,
    /// Its boot counter, at least 1, durable before the start.
    pub boot: BootCounter,
    /// Settings.
    pub config: Config,
    /// Seed of the election timeouts; different on every node and in every boot.
    pub seed: u64,
    /// The present instant.
    pub now: Instant,
    /// Term and vote.
    pub hard_state: HardState,
    /// The entry before the first of the log: `0@0`, or the end of the snapshot.
    pub base: EntryId,
    /// The membership at the base.
    pub membership: Membership,
    /// Every entry of the log above the base.
    pub runs: Vec<Run>,
    /// A commit index known to hold, at least the base; the log may know more than it.
    pub commit: Index,
    /// The newest durable snapshot; the log holds its last entry, or begins after it. There is one
    /// where the log does not begin with the first entry.
    pub snapshot: Option<SnapshotId>,
}

impl Raft {
    /// Begins as a follower. A single voter campaigns at once: its first deadline has come.
    ///
    /// # Errors
    ///
    /// When the log contradicts itself or the hard state.
    pub fn new(start: Start) -> Result<Self, StartError> {
        if start.boot == BootCounter::ZERO {
            return Err(StartError::NoBoot);
        }
        let mut log = Log::new(start.base);
        let mut memberships = History::new(Arc::new(start.membership));
        for run in &start.runs {
            check_run(&log, run)?;
            log.push(run);
            if !mutant!(MembershipOfBase) {
                memberships.push(run);
            }
        }
        let last = log.last();
        if last.term > start.hard_state.term {
            return Err(StartError::TermBehindLog { last });
        }
        let restored = check_snapshot(&log, start.snapshot)?;
        let commit = start.commit.max(restored).min(last.index);
        let (commit_bytes, durable_bytes) = (log.bytes_through(commit), log.bytes());
        let follower = Follower { leader: None, heard_at: None, election_at: start.now };
        let mut raft = Self {
            id: start.id,
            election_nanos: (nanos(start.config.election_min), nanos(start.config.election_max)),
            config: start.config,
            rng: Rng::new(start.seed),
            now: start.now,
            hard_state: start.hard_state,
            log,
            durability: Durability::new(last.index),
            write: Write::default(),
            memberships,
            snapshot: start.snapshot,
            receiving: None,
            commit,
            applying: restored,
            applied: restored,
            role: Role::Follower(follower),
            reads: ForwardedReads::default(),
            boots: NodeMap::new(),
            sender: Sender {
                id: start.id,
                boot: start.boot,
                last_request: RequestId::before_first(start.boot),
            },
            shown: (RoleName::Follower, start.hard_state.term, None),
            halted: None,
            commit_bytes,
            durable_bytes,
            // What the shell knows as committed is handed out with the first flush.
            unflushed: true,
        };
        let alone = raft.membership().voters() == [raft.id];
        if !alone || !raft.membership().outgoing().is_empty() {
            raft.reset_election_timer();
        }
        Ok(raft)
    }
}

/// The entry up to which the state machine begins with its work done.
fn check_snapshot(log: &Log, snapshot: Option<SnapshotId>) -> Result<Index, StartError> {
    let base = log.base();
    let Some(SnapshotId { last, .. }) = snapshot else {
        let is_whole = base == EntryId::ZERO;
        return if is_whole { Ok(Index::ZERO) } else { Err(StartError::NoSnapshot { base }) };
    };
    if last.index < base.index {
        return Err(StartError::NoSnapshot { base });
    }
    if log.term_at(last.index) != Some(last.term) {
        return Err(StartError::SnapshotBeyondLog { snapshot: last, last: log.last() });
    }
    Ok(last.index)
}

fn check_run(log: &Log, run: &Run) -> Result<(), StartError> {
    let after = log.last();
    if run.count == 0 || run.first != after.index.next() || run.term < after.term {
        return Err(StartError::BrokenLog { after, found: run.first });
    }
    if !run.is_well_formed() {
        return Err(StartError::MembershipContent { index: run.first });
    }
    Ok(())
}
