//! Compaction without being asked, with etcd's two meanings of a retention.
//!
//! *Periodic* keeps what was written within a time: every member notes the revision ten times per
//! period (of an hour at most), and compacts to what it noted a whole period ago, once a period or
//! once an hour. Notes are in memory alone: a server that starts compacts nothing before a whole
//! period is over. *Revision* keeps a number of revisions, and looks every five minutes. Only the
//! leader compacts, through the log like any client; the others note along, so that one that comes to
//! lead need not wait for a period.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use quorate::Consistency;
use quorate_kv::{Command, KvError, Revision};
use tokio::time::Instant;

use crate::api_error::ApiError;
use crate::backend::{Backend, Context};
use crate::config::ConfigError;

const HOUR: Duration = Duration::from_secs(3600);
/// Notes per period, or per hour of a longer one.
const NOTES: u32 = 10;
/// How often revisions are counted.
const COUNT_EVERY: Duration = Duration::from_secs(300);

/// What automatic compaction keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AutoCompaction {
    /// What was written within a time.
    Periodic(Duration),
    /// So many revisions.
    Revision(i64),
}

impl AutoCompaction {
    /// Reads etcd's two flags, `--auto-compaction-mode` and `--auto-compaction-retention`; a
    /// retention of zero means none.
    ///
    /// # Errors
    ///
    /// When the mode is unknown, or the retention is none of that mode.
    pub fn parse(mode: &str, retention: &str) -> Result<Option<Self>, ConfigError> {
        let wrong = |why| ConfigError::Retention { text: retention.to_owned(), why };
        let count = retention.parse::<i64>().ok();
        if count.is_some_and(|count| count < 0) {
            return Err(wrong("is below zero"));
        }
        match mode {
            "" | "periodic" => {
                let period = match count {
                    // A number alone counts hours.
                    Some(hours) => {
                        u32::try_from(hours).ok().and_then(|hours| HOUR.checked_mul(hours))
                    }
                    None => duration(retention),
                };
                let period =
                    period.ok_or_else(|| wrong("is neither hours nor a time such as 30m"))?;
                if !period.is_zero() && period < Duration::from_secs(1) {
                    return Err(wrong("is less than a second"));
                }
                Ok((!period.is_zero()).then_some(Self::Periodic(period)))
            }
            "revision" => {
                let count = count.ok_or_else(|| wrong("is no number of revisions"))?;
                Ok((count > 0).then_some(Self::Revision(count)))
            }
            _ => Err(ConfigError::CompactionMode { text: mode.to_owned() }),
        }
    }
}

/// A time as Go writes it: `1h30m`, `90s`, `1.5h`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut nanoseconds = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, behind) = rest.split_at(end);
        let unit_end =
            behind.find(|character: char| character.is_ascii_digit() || character == '.');
        let (unit, behind) = behind.split_at(unit_end.unwrap_or(behind.len()));
        let scale: u64 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() {
            return None;
        }
        let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u64>().ok() };
        let mut sum = digits(whole)?.checked_mul(scale)?;
        // Beyond nine digits there is less than a nanosecond of anything but hours and minutes.
        let part = &part[..part.len().min(9)];
        let divisor = 10_u64.pow(u32::try_from(part.len()).ok()?);
        let part = u128::from(digits(part)?) * u128::from(scale) / u128::from(divisor);
        sum = sum.checked_add(u64::try_from(part).ok()?)?;
        nanoseconds = nanoseconds.checked_add(sum)?;
        rest = behind;
    }
    Some(Duration::from_nanos(nanoseconds))
}

/// Decides when to compact, and to which revision.
#[derive(Debug)]
struct Compactor {
    keeps: AutoCompaction,
    /// Revisions of the past period, each with the time since the start at which it was the latest;
    /// the oldest first.
    noted: VecDeque<(Duration, Revision)>,
    /// When something was compacted last, since the start; nothing before the first time.
    done_at: Option<Duration>,
    done: Revision,
}

impl Compactor {
    const fn new(keeps: AutoCompaction) -> Self {
        let noted = VecDeque::new();
        Self { keeps, noted, done_at: None, done: Revision::ZERO }
    }

    /// How long to wait before the store is looked at again.
    fn pause(&self) -> Duration {
        match self.keeps {
            AutoCompaction::Periodic(period) => period.min(HOUR) / NOTES,
            AutoCompaction::Revision(_) => COUNT_EVERY,
        }
    }

    /// Notes the revision of the store; comes before each pause.
    fn note(&mut self, now: Duration, revision: Revision) {
        let AutoCompaction::Periodic(period) = self.keeps else { return };
        self.noted.push_back((now, revision));
        let is_old = |(at, _): &(Duration, _)| now.saturating_sub(*at) >= period;
        // Of those that are old enough the newest will do.
        while self.noted.get(1).is_some_and(is_old) {
            self.noted.pop_front();
        }
    }

    /// The revision to compact to, if it is time; comes behind each pause.
    fn due(&self, now: Duration, latest: Revision) -> Option<Revision> {
        let revision = match self.keeps {
            AutoCompaction::Periodic(period) => {
                let since = |at: Duration| now.saturating_sub(at);
                if self.done_at.is_some_and(|at| since(at) < period.min(HOUR)) {
                    return None;
                }
                // By the time of the note and not by its place: while the node serves nobody nothing
                // is noted, and a member that was told of the cluster late has few notes.
                self.noted.iter().take_while(|(at, _)| since(*at) >= period).last()?.1
            }
            AutoCompaction::Revision(count) => Revision(latest.get() - count),
        };
        (revision > Revision::ZERO && revision != self.done).then_some(revision)
    }

    const fn compacted(&mut self, now: Duration, revision: Revision) {
        (self.done_at, self.done) = (Some(now), revision);
    }
}

/// Compacts for as long as it is polled.
pub(crate) async fn run<B: Backend>(keeps: AutoCompaction, context: Arc<Context<B>>) {
    let mut compactor = Compactor::new(keeps);
    let start = Instant::now();
    loop {
        if let Some(revision) = latest(&context).await {
            // After it was asked: what was replaced before that is at least as old as the note.
            compactor.note(start.elapsed(), revision);
        }
        tokio::time::sleep(compactor.pause()).await;
        let Some(latest) = latest(&context).await else { continue };
        let Some(revision) = compactor.due(start.elapsed(), latest) else { continue };
        let standing = context.backend.standing();
        if standing.leader != Some(standing.member_id) {
            continue;
        }
        match compact(&context, revision).await {
            Ok(()) => {
                compactor.compacted(start.elapsed(), revision);
                tracing::info!(%revision, "compacted automatically");
            }
            Err(error) => {
                let error = error.text();
                tracing::warn!(%revision, %error, "not compacted; it is tried again");
            }
        }
    }
}

/// Revision of the store, unless the node serves nobody.
async fn latest<B: Backend>(context: &Context<B>) -> Option<Revision> {
    context.check_serving().ok()?;
    context.stats(Consistency::Local).await.ok().map(|stats| stats.revision)
}

async fn compact<B: Backend>(context: &Context<B>, revision: Revision) -> Result<(), ApiError> {
    match context.backend.call(Command::Compact(revision)).await?.result {
        // Somebody else compacted further.
        Ok(_) | Err(KvError::Compacted) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
