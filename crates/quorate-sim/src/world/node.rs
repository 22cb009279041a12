//! One simulated node: the production replica, log, recovery and applier on a virtual disk.
//!
//! This is the shell that threads and sockets are in production, as data: it holds what each role
//! has to do, and the world decides when each does it. A crash drops everything but the disk.

use std::collections::VecDeque;

use quorate::applier::Applier;
use quorate::replica::{Origin, Replica, ReplicaEffect, ReplicaInput};
use quorate_core::{BootCounter, EntryId, Few, Index, Instant, NodeId, ReadId};
use quorate_log::fault::FaultFs;
use quorate_log::{Entries, Log, Opening, SnapshotStore, StoredSnapshot};

use super::observed::Observed;
use super::plan::Faults;
use crate::rng::Rng;
use quorate::StateMachine;

/// A node, alive or not.
#[derive(Debug)]
pub(crate) struct Node<M: StateMachine> {
    pub(crate) id: NodeId,
    pub(crate) disk: FaultFs,
    /// Counts lives; events of an earlier life are void.
    pub(crate) life: u64,
    pub(crate) state: State<M>,
    pub(crate) clock: LocalClock,
    /// Nothing happens on this node before then.
    pub(crate) paused_until: u64,
    /// The disk does nothing before then.
    pub(crate) stuck_until: u64,
    /// How many times slower than others.
    pub(crate) slower: u32,
    pub(crate) disk_slower: u32,
    /// Until when it is slow, its disk is slow, and its disk is full; what strikes meanwhile may end
    /// later.
    pub(crate) ends: Ends,
    /// Bytes of a sector, as the log is told: what shares one with what is written may be lost.
    pub(crate) sector_bytes: u32,
    /// Faults that struck and had no effect so far.
    pub(crate) unfelt: Faults,
    /// How long each operation of the disk takes.
    pub(crate) rng: Rng,
    /// What becomes of its lives.
    pub(crate) lives: Rng,
    /// How long the replica goes without knowing what was executed.
    pub(crate) quiet: Rng,
}

/// When what struck for a while is over.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ends {
    pub(crate) slow_node: u64,
    pub(crate) slow_disk: u64,
    pub(crate) full_disk: u64,
}

/// What a node is doing.
#[derive(Debug)]
pub(crate) enum State<M: StateMachine> {
    /// Nothing, until it is started.
    Down,
    /// Opening its data directory.
    Opening(Box<Opening<FaultFs>>),
    /// Running.
    Up(Box<Live<M>>),
}

/// What the state machine is handed.
#[derive(Debug)]
pub(crate) enum Work {
    /// Entries to execute, and who waits for which.
    Execute(Entries, Few<(Index, Origin)>),
    /// The state to be written down, with what goes into the head.
    Take(EntryId, Vec<u8>),
    /// A state to be taken over.
    Restore(StoredSnapshot),
}

/// A running node.
#[derive(Debug)]
pub(crate) struct Live<M: StateMachine> {
    pub(crate) boot: BootCounter,
    pub(crate) replica: Replica,
    pub(crate) log: Log<FaultFs>,
    pub(crate) snapshots: SnapshotStore<FaultFs>,
    /// A step of the snapshots is on its way.
    pub(crate) snapshots_busy: bool,
    /// When the last piece of a snapshot that is to be read was read: one comes after the other.
    pub(crate) pieces_read_at: u64,
    /// How often the disk failed the snapshots on purpose without their having said so.
    pub(crate) snapshots_hit: u32,
    /// The file of a snapshot that is to be received is being opened.
    pub(crate) opening_part: bool,
    pub(crate) applier: Applier<Observed<M>>,
    /// What came since the last wake-up.
    pub(crate) inbox: Vec<ReplicaInput>,
    /// A wake-up is on its way.
    pub(crate) waking: bool,
    /// The next deadline that an event was made for.
    pub(crate) timer_at: Option<u64>,
    /// A step of the log is on its way.
    pub(crate) log_busy: bool,
    /// What was handed over and is not done.
    pub(crate) applying: VecDeque<Work>,
    /// A step of the state machine is on its way.
    pub(crate) apply_busy: bool,
    /// What was executed and the replica will hear at its next wake-up.
    pub(crate) executed: Option<Index>,
    /// Bytes that were executed since the replica last heard of any.
    pub(crate) executed_bytes: usize,
    /// A wake-up for what was executed is on its way.
    pub(crate) reporting: bool,
    /// The disk failed a read back on purpose.
    pub(crate) read_hit: bool,
    /// Reads whose index is not executed yet.
    pub(crate) reads: Vec<(ReadId, Index)>,
    pub(crate) effects: Vec<ReplicaEffect>,
}

/// A clock of its own speed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalClock {
    /// Parts in a million by which it gains; negative where it loses.
    pub(crate) gain: i64,
    /// World time from which it runs at this speed.
    pub(crate) began: u64,
    /// What it showed then.
    pub(crate) shown: u64,
}

impl LocalClock {
    /// What the clock shows at world time `now`.
    pub(crate) fn local(self, now: u64) -> Instant {
        let passed = now.saturating_sub(self.began);
        let wide = |passed| i128::from(passed) * i128::from(self.gain) / 1_000_000;
        let product = i64::try_from(passed).ok().and_then(|passed| passed.checked_mul(self.gain));
        let gained =
            product.map_or_else(|| wide(passed), |product| i128::from(product / 1_000_000));
        let shown = i128::from(passed) + gained;
        Instant::from_nanos(self.shown + u64::try_from(shown).unwrap_or_default())
    }

    /// When, in world time, the clock shows `local`, or a moment later.
    pub(crate) fn world(self, local: Instant) -> u64 {
        let shown = local.as_nanos().saturating_sub(self.shown);
        let pace = 1_000_000 + self.gain;
        let passed = match (shown.checked_mul(1_000_000), u64::try_from(pace)) {
            (Some(product), Ok(pace)) => product / pace + 1,
            _ => {
                let passed = i128::from(shown) * 1_000_000 / i128::from(pace) + 1;
                u64::try_from(passed).unwrap_or(u64::MAX / 2)
            }
        };
        self.began + passed
    }

    /// Runs at another speed from `now` on.
    pub(crate) fn set_gain(&mut self, now: u64, gain: i64) {
        *self = Self { gain, began: now, shown: self.local(now).as_nanos() };
    }

    /// Begins anew with a life.
    pub(crate) const fn begin(&mut self, now: u64) {
        (self.began, self.shown) = (now, 0);
    }

    /// Shows a later time from `now` on.
    pub(crate) fn jump(&mut self, now: u64, by: u64) {
        (self.shown, self.began) = (self.local(now).as_nanos() + by, now);
    }
}

impl<M: StateMachine> Node<M> {
    pub(crate) fn live(&mut self) -> Option<&mut Live<M>> {
        match &mut self.state {
            State::Up(live) => Some(live),
            State::Down | State::Opening(_) => None,
        }
    }

    pub(crate) fn as_live(&self) -> Option<&Live<M>> {
        match &self.state {
            State::Up(live) => Some(live),
            State::Down | State::Opening(_) => None,
        }
    }
}
