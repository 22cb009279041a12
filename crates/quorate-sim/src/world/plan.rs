//! What goes wrong in a run, and how often: drawn from the seed, each kind by a coin of its own.
//!
//! Every kind draws from its own stream, so that switching one off leaves the others as they were.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeSet;

use crate::rng::Rng;

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Messages are lost.
    Drop,
    /// Messages arrive more than once.
    Duplicate,
    /// Messages overtake each other.
    Reorder,
    /// Some messages take very long.
    HeavyTail,
    /// Frames arrive damaged: bits flipped, the end missing, garbage in front.
    Corrupt,
    /// Messages of long ago arrive again.
    Replay,
    /// Two sides cannot talk.
    Split,
    /// A node hears and is not heard, or the other way round.
    OneWay,
    /// Two sides share one node.
    Bridge,
    /// Each node talks to its two neighbours alone.
    Ring,
    /// The ring with one link missing.
    Chain,
    /// Links go and come fast.
    Flap,
    /// Connections break, with nothing else wrong.
    Reset,
    /// A link is slow.
    SlowLink,
    /// A link carries few bytes per second.
    Bandwidth,
    /// A link holds everything back, then delivers it at once.
    Clog,
    /// A node dies between any two effects.
    CrashAtEffect,
    /// A node dies at any time.
    Crash,
    /// A node dies while it recovers.
    CrashInRecovery,
    /// All nodes die at once.
    CrashAll,
    /// A node stops for a while, then goes on with what it knew.
    Pause,
    /// A node does everything slowly.
    SlowNode,
    /// Clocks run at different speeds.
    Drift,
    /// A clock jumps ahead.
    ClockJump,
    /// Timers fire late.
    LateTimer,
    /// The state machine of one node panics.
    ApplyPanic,
    /// What was not synced is lost in part when the power fails; the rest is torn or reordered.
    Unsynced,
    /// A write fails.
    WriteError,
    /// A sync fails.
    SyncError,
    /// The disk is full for a while.
    DiskFull,
    /// A disk is slow.
    SlowDisk,
    /// A disk does nothing for a while.
    StuckDisk,
    /// Commands of very different sizes, up to the limit.
    Sizes,
    /// Clients give up before they hear how a call ended.
    ImpatientClients,
    /// All clients give up at once and ask again at once, more than once.
    RetryStorm,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 35] = [
        Self::Drop,
        Self::Duplicate,
        Self::Reorder,
        Self::HeavyTail,
        Self::Corrupt,
        Self::Replay,
        Self::Split,
        Self::OneWay,
        Self::Bridge,
        Self::Ring,
        Self::Chain,
        Self::Flap,
        Self::Reset,
        Self::SlowLink,
        Self::Bandwidth,
        Self::Clog,
        Self::CrashAtEffect,
        Self::Crash,
        Self::CrashInRecovery,
        Self::CrashAll,
        Self::Pause,
        Self::SlowNode,
        Self::Drift,
        Self::ClockJump,
        Self::LateTimer,
        Self::ApplyPanic,
        Self::Unsynced,
        Self::WriteError,
        Self::SyncError,
        Self::DiskFull,
        Self::SlowDisk,
        Self::StuckDisk,
        Self::Sizes,
        Self::ImpatientClients,
        Self::RetryStorm,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::HeavyTail => "heavy-tail",
            Self::Corrupt => "corrupt",
            Self::Replay => "replay",
            Self::Split => "split",
            Self::OneWay => "one-way",
            Self::Bridge => "bridge",
            Self::Ring => "ring",
            Self::Chain => "chain",
            Self::Flap => "flap",
            Self::Reset => "reset",
            Self::SlowLink => "slow-link",
            Self::Bandwidth => "bandwidth",
            Self::Clog => "clog",
            Self::CrashAtEffect => "crash-at-effect",
            Self::Crash => "crash",
            Self::CrashInRecovery => "crash-in-recovery",
            Self::CrashAll => "crash-all",
            Self::Pause => "pause",
            Self::SlowNode => "slow-node",
            Self::Drift => "drift",
            Self::ClockJump => "clock-jump",
            Self::LateTimer => "late-timer",
            Self::ApplyPanic => "apply-panic",
            Self::Unsynced => "unsynced",
            Self::WriteError => "write-error",
            Self::SyncError => "sync-error",
            Self::DiskFull => "disk-full",
            Self::SlowDisk => "slow-disk",
            Self::StuckDisk => "stuck-disk",
            Self::Sizes => "sizes",
            Self::ImpatientClients => "impatient-clients",
            Self::RetryStorm => "retry-storm",
        }
    }

    /// What it does, in a few words.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Drop => "Messages are lost",
            Self::Duplicate => "Messages arrive more than once",
            Self::Reorder => "Messages overtake each other",
            Self::HeavyTail => "Some messages take very long",
            Self::Corrupt => "Frames arrive damaged",
            Self::Replay => "Messages of long ago arrive again",
            Self::Split => "Two sides cannot talk",
            Self::OneWay => "A node hears and is not heard, or the other way round",
            Self::Bridge => "Two sides share one node",
            Self::Ring => "Each node talks to its two neighbours alone",
            Self::Chain => "The ring with one link missing",
            Self::Flap => "Links go and come fast",
            Self::Reset => "Connections break, with nothing else wrong",
            Self::SlowLink => "A link is slow",
            Self::Bandwidth => "A link carries few bytes per second",
            Self::Clog => "A link holds everything back, then delivers it at once",
            Self::CrashAtEffect => "A node dies between any two effects",
            Self::Crash => "A node dies at any time",
            Self::CrashInRecovery => "A node dies while it recovers",
            Self::CrashAll => "All nodes die at once",
            Self::Pause => "A node stops for a while, then goes on with what it knew",
            Self::SlowNode => "A node does everything slowly",
            Self::Drift => "Clocks run at different speeds",
            Self::ClockJump => "A clock jumps ahead",
            Self::LateTimer => "Timers fire late",
            Self::ApplyPanic => "The state machine of one node panics",
            Self::Unsynced => {
                "What was not synced is lost in part when the power fails; the rest is torn or reordered"
            }
            Self::WriteError => "A write fails",
            Self::SyncError => "A sync fails",
            Self::DiskFull => "The disk is full for a while",
            Self::SlowDisk => "A disk is slow",
            Self::StuckDisk => "A disk does nothing for a while",
            Self::Sizes => "Commands of very different sizes, up to the limit",
            Self::ImpatientClients => "Clients give up before they hear how a call ended",
            Self::RetryStorm => "All clients give up at once and ask again at once, more than once",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

impl serde::Serialize for Fault {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Kinds of faults that a run may draw from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(BTreeSet<Fault>);

impl Faults {
    /// Every kind.
    #[must_use]
    pub fn all() -> Self {
        Self(Fault::ALL.into_iter().collect())
    }

    /// No kind: a calm world.
    #[must_use]
    pub const fn none() -> Self {
        Self(BTreeSet::new())
    }

    /// These kinds alone.
    #[must_use]
    pub fn only(kinds: impl IntoIterator<Item = Fault>) -> Self {
        Self(kinds.into_iter().collect())
    }

    /// All but this kind.
    #[must_use]
    pub fn without(mut self, kind: Fault) -> Self {
        self.0.remove(&kind);
        self
    }

    /// Whether a kind may be drawn.
    #[must_use]
    pub fn contains(&self, kind: Fault) -> bool {
        self.0.contains(&kind)
    }

    /// The kinds.
    pub fn iter(&self) -> impl Iterator<Item = Fault> {
        self.0.iter().copied()
    }
}

impl fmt::Display for Faults {
    /// As [`str::parse`] reads it, in the shorter of two ways.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |kinds: &mut dyn Iterator<Item = Fault>, sign: &str| {
            kinds.map(|kind| format!("{sign}{kind}")).collect::<Vec<_>>().join(",")
        };
        if self.0.is_empty() {
            return f.write_str("none");
        }
        if self.0.len() * 2 <= Fault::ALL.len() {
            return f.write_str(&names(&mut self.iter(), ""));
        }
        let off = names(&mut Fault::ALL.into_iter().filter(|kind| !self.contains(*kind)), "-");
        f.write_str(if off.is_empty() { "all" } else { "all," })?;
        f.write_str(&off)
    }
}

/// No kind of fault has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFault(pub String);

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        write!(f, "no fault is named `{}`; there are {}", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownFault {}

impl core::str::FromStr for Faults {
    type Err = UnknownFault;

    /// Reads `all`, `none`, `drop,crash` or `all,-crash`.
    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let mut words = text.split(',').map(str::trim).peekable();
        let mut faults = match words.peek() {
            Some(&"all") => {
                words.next();
                Self::all()
            }
            Some(&"none") => {
                words.next();
                Self::none()
            }
            Some(first) if first.starts_with('-') => Self::all(),
            _ => Self::none(),
        };
        for word in words {
            let (name, off) = match word.strip_prefix('-') {
                Some(name) => (name, true),
                None => (word, false),
            };
            let kind = Fault::named(name).ok_or_else(|| UnknownFault(name.to_owned()))?;
            if off {
                faults.0.remove(&kind)
            } else {
                faults.0.insert(kind)
            };
        }
        Ok(faults)
    }
}

/// The faults of one run with their rates. A rate of zero, or no interval, is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The kinds that are on.
    pub on: BTreeSet<Fault>,
    /// Parts in a million of messages that are lost.
    pub drop: u32,
    /// Parts in a million of messages that arrive again.
    pub duplicate: u32,
    /// Parts in a million of messages that arrive again much later.
    pub replay: u32,
    /// Parts in a million of messages that arrive damaged.
    pub corrupt: u32,
    /// Mean delay of a message.
    pub delay: Duration,
    /// Time between two faults of the network's shape.
    pub shape_every: Duration,
    /// Time between two crashes.
    pub crash_every: Duration,
    /// Parts in a million of effects, and ten times that of steps of a log, before which a node
    /// dies.
    pub crash_at_effect: u32,
    /// Parts in a million of steps of recovery before which a node dies.
    pub crash_in_recovery: u32,
    /// Time between two pauses, and between two faults of a disk.
    pub trouble_every: Duration,
    /// Parts in a million by which the fastest clock gains.
    pub drift: u32,
    /// Mean time of a disk operation.
    pub disk: Duration,
}

impl Plan {
    /// Draws the faults of a run: each kind that is allowed is on with probability one half.
    #[must_use]
    pub fn draw(seed: u64, allowed: &Faults) -> Self {
        let coin = |kind: &Fault| Rng::stream(seed, kind.name(), 0).coin();
        let on: BTreeSet<Fault> = allowed.iter().filter(coin).collect();
        // Squared, so that most runs meet low rates and some meet high ones: a world in which
        // nothing gets through shows little.
        let rate = |kind: Fault, max: u64| {
            let part = Rng::stream(seed, kind.name(), 1).range(0..1_001);
            let drawn = 1_000 + (max - 1_000) * part * part / 1_000_000;
            if on.contains(&kind) { u32::try_from(drawn).expect("a rate is small") } else { 0 }
        };
        let mut spans = Rng::stream(seed, "spans", 0);
        let mut span =
            |min, max| spans.span(Duration::from_millis(min), Duration::from_millis(max));
        Self {
            drop: rate(Fault::Drop, 300_000),
            duplicate: rate(Fault::Duplicate, 500_000),
            replay: rate(Fault::Replay, 20_000),
            corrupt: rate(Fault::Corrupt, 20_000),
            crash_at_effect: rate(Fault::CrashAtEffect, 2_000) / 20,
            crash_in_recovery: rate(Fault::CrashInRecovery, 20_000),
            drift: rate(Fault::Drift, 50_000),
            delay: span(1, 20),
            shape_every: span(2_000, 12_000),
            crash_every: span(3_000, 20_000),
            trouble_every: span(3_000, 20_000),
            disk: spans.span(Duration::from_micros(20), Duration::from_millis(2)),
            on,
        }
    }

    /// Nothing goes wrong by itself, messages take about a millisecond, disks are fast.
    #[must_use]
    pub fn calm() -> Self {
        let (delay, disk) = (Duration::from_millis(1), Duration::from_micros(100));
        Self { delay, disk, ..Self::draw(0, &Faults::none()) }
    }

    /// The same without one kind.
    #[must_use]
    pub fn without(mut self, kind: Fault) -> Self {
        self.on.remove(&kind);
        match kind {
            Fault::Drop => self.drop = 0,
            Fault::Duplicate => self.duplicate = 0,
            Fault::Replay => self.replay = 0,
            Fault::Corrupt => self.corrupt = 0,
            Fault::CrashAtEffect => self.crash_at_effect = 0,
            Fault::CrashInRecovery => self.crash_in_recovery = 0,
            Fault::Drift => self.drift = 0,
            _ => {}
        }
        self
    }

    /// Everything that was drawn, by name, for people.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let share = |rate: u32| format!("{:.2} %", f64::from(rate) / 10_000.0);
        let names: Vec<&str> = self.on.iter().map(|kind| kind.name()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(",") };
        let rates = [
            ("messages lost", self.drop),
            ("messages doubled", self.duplicate),
            ("messages replayed", self.replay),
            ("messages damaged", self.corrupt),
            ("crash before an effect", self.crash_at_effect),
            ("crash before a step of recovery", self.crash_in_recovery),
            ("clocks apart by up to", self.drift),
        ];
        let rates = rates.into_iter().filter(|(_, rate)| *rate > 0);
        let spans = [
            ("delay of a message", self.delay),
            ("network changes every", self.shape_every),
            ("crash every", self.crash_every),
            ("pause or disk trouble every", self.trouble_every),
            ("disk operation takes", self.disk),
        ];
        let spans = spans.into_iter().map(|(name, span)| (name, format!("{span:.1?}")));
        let rates = rates.map(|(name, rate)| (name, share(rate)));
        [("faults", names)].into_iter().chain(rates).chain(spans).collect()
    }

    /// Whether a kind is on.
    #[must_use]
    pub fn has(&self, kind: Fault) -> bool {
        self.on.contains(&kind)
    }
}
