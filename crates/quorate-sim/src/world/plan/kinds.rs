//! The table of all kinds of faults: one place says of each its name, its words, and what it draws.
//!
//! A kind draws up to four numbers, each from a range that is written `mild => hard`:
//!
//! - `share`: parts in a million of the things that it befalls (messages, effects, requests);
//! - `every`: milliseconds between two strikes at times of its own;
//! - `lasts`: milliseconds that what it does takes at most;
//! - `size`: how hard it strikes, in the unit that stands behind its words.
//!
//! A further kind of fault is a line here, a script in `tests/it/scripts/by_hand`, which does not
//! compile without it, and what it does where it strikes.

use core::fmt;

/// What a kind draws: mild and hard ends of four ranges, zero where it has none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) share: (u64, u64),
    pub(crate) every: (u64, u64),
    pub(crate) lasts: (u64, u64),
    pub(crate) size: (u64, u64),
    /// Unit of the size.
    pub(crate) unit: &'static str,
}

impl Scale {
    const NONE: Self = Self { share: (0, 0), every: (0, 0), lasts: (0, 0), size: (0, 0), unit: "" };
}

macro_rules! kinds {
    ($(
        $kind:ident $name:literal: $about:literal
        { $($what:ident: $mild:literal => $hard:literal),* } $($unit:literal)?;
    )*) => {
        /// Kinds of faults.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault { $(
            #[doc = concat!($about, ".")]
            $kind,
        )* }

        impl Fault {
            /// Every kind.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$kind),*];

            /// The name on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// What it does, in a few words.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$kind => $about,)* }
            }

            pub(crate) const fn scale(self) -> Scale {
                match self { $(Self::$kind => {
                    #[allow(unused_mut, reason = "some kinds are on or off and nothing else")]
                    let mut scale = Scale::NONE;
                    $(scale.$what = ($mild, $hard);)*
                    $(scale.unit = $unit;)?
                    scale
                })* }
            }
        }
    };
}

kinds! {
    // The network.
    Drop "drop": "Messages are lost" { share: 1_000 => 300_000 };
    Duplicate "duplicate": "Messages arrive more than once"
        { share: 1_000 => 500_000, lasts: 20 => 60_000, size: 1 => 3 } "copies";
    Reorder "reorder": "Messages overtake each other"
        { share: 10_000 => 1_000_000, size: 1 => 20 } "times the delay";
    HeavyTail "heavy-tail": "Some messages take very long"
        { share: 2_000 => 200_000, size: 10 => 1_000 } "times the delay";
    Corrupt "corrupt": "Frames arrive damaged: bits, length, end or kind"
        { share: 500 => 20_000 };
    Fragment "fragment": "Frames arrive in pieces, and connections break between two of them"
        { share: 1_000 => 50_000, size: 1 => 30 } "breaks in 100";
    Replay "replay": "Messages of long ago arrive again"
        { share: 1_000 => 20_000, lasts: 1_000 => 60_000 };
    Split "split": "Two sides cannot talk" { every: 20_000 => 3_000, lasts: 500 => 10_000 };
    OneWay "one-way": "A node hears and is not heard, or the other way round"
        { every: 20_000 => 3_000, lasts: 500 => 10_000 };
    Bridge "bridge": "Two sides share one node" { every: 20_000 => 3_000, lasts: 500 => 10_000 };
    Ring "ring": "Each node talks to its two neighbours alone"
        { every: 20_000 => 3_000, lasts: 500 => 10_000 };
    Chain "chain": "The ring with one link missing" { every: 20_000 => 3_000, lasts: 500 => 10_000 };
    Flap "flap": "Links go and come fast"
        { every: 15_000 => 2_000, lasts: 20 => 5_000, size: 1 => 20 } "times";
    Swizzle "swizzle": "Some nodes go off the network one by one, and come back in another order"
        { every: 20_000 => 3_000, lasts: 500 => 10_000 };
    Reset "reset": "Connections break, with nothing else wrong" { every: 15_000 => 1_000 };
    SlowLink "slow-link": "A link is slow"
        { every: 15_000 => 2_000, lasts: 500 => 10_000, size: 10 => 1_000 } "times as slow";
    Bandwidth "bandwidth": "A link carries few bytes per second"
        { every: 15_000 => 2_000, lasts: 500 => 10_000, size: 100_000 => 3_000 } "bytes per second";
    Clog "clog": "A link holds back what fits into it, then delivers it at once"
        { every: 15_000 => 2_000, lasts: 100 => 10_000, size: 20 => 2 } "frames";
    // Processes and clocks.
    CrashAtEffect "crash-at-effect": "A node dies between any two effects" { share: 10 => 200 };
    Crash "crash": "A node dies at any time, and may die again as soon as it is back"
        { every: 20_000 => 3_000, lasts: 200 => 5_000, size: 1 => 4 } "times in a row";
    CrashInRecovery "crash-in-recovery": "A node dies while it recovers" { share: 1_000 => 20_000 };
    CrashAll "crash-all": "All nodes die at once, or a majority of them"
        { every: 60_000 => 10_000, lasts: 500 => 5_000 };
    Pause "pause": "A node stops for a while, then goes on with what it knew"
        { every: 30_000 => 4_000, lasts: 100 => 60_000 };
    SlowNode "slow-node": "A node does everything slowly"
        { every: 20_000 => 3_000, lasts: 500 => 10_000, size: 2 => 100 } "times as slow";
    Drift "drift": "Clocks run at different speeds" { size: 500 => 500_000 } "parts in a million";
    ClockJump "clock-jump": "A clock jumps ahead"
        { every: 20_000 => 2_000, size: 100 => 3_600_000 } "ms";
    LateTimer "late-timer": "Timers fire late" { share: 5_000 => 200_000, lasts: 20 => 2_000 };
    ApplyPanic "apply-panic": "The state machine of one node panics" { every: 20_000 => 3_000 };
    // Disks.
    Unsynced "unsynced":
        "What was not synced is lost in part when the power fails; the rest is torn or reordered"
        { share: 100_000 => 1_000_000 };
    WriteError "write-error": "A write fails, or whatever the disk is asked for next" { every: 40_000 => 6_000 };
    ShortWrite "short-write": "A write takes half of its bytes and fails" { every: 40_000 => 6_000 };
    SyncError "sync-error":
        "A sync fails: what it was to write is gone, or stays in the cache alone and counts as clean"
        { every: 40_000 => 6_000 };
    DiskFull "disk-full": "The disk is full for a while"
        { every: 40_000 => 6_000, lasts: 500 => 10_000, size: 60_000 => 0 } "bytes left";
    SlowDisk "slow-disk": "A disk is slow for a while"
        { every: 40_000 => 6_000, lasts: 500 => 20_000, size: 2 => 500 } "times as slow";
    StuckDisk "stuck-disk": "A disk does nothing for a while, or for the rest of the run"
        { every: 60_000 => 8_000, lasts: 100 => 120_000 };
    SnapshotRot "snapshot-rot":
        "A bit of a snapshot flips on a disk, until somebody puts the file back"
        { every: 60_000 => 8_000, lasts: 1_000 => 20_000 };
    // Clients.
    Sizes "sizes": "Commands of very different sizes, up to the limit" {};
    ImpatientClients "impatient-clients": "Clients give up before they hear how a call ended"
        { share: 50_000 => 1_000_000, lasts: 2_000 => 200 };
    Resend "resend":
        "Calls of a session are sent again through some node, at once, late, or after their answer"
        { share: 20_000 => 1_000_000, lasts: 1 => 60_000 };
    RetryStorm "retry-storm": "All clients give up at once and ask again at once, more than once"
        { every: 15_000 => 2_000, size: 1 => 8 } "requests each";
}

impl Fault {
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
