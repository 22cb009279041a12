//! Raises the alarm when space is used up: the store beyond its quota, or the disk nearly full.
//!
//! From then on every node refuses what takes more space, until the alarm is taken back; compacting
//! and deleting go on. The alarm comes while there is room left, because a log that cannot be
//! written ends the node. Space is looked at every second and not at every write, so a store may
//! exceed its quota by what is written in a second.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quorate::Consistency;
use quorate_kv::{Alarm, AlarmChange, AlarmKind, Command};

use crate::api_error::ApiError;
use crate::backend::{Backend, Context};

/// How often space is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What has to be free on the disk: some segments of the log.
const RESERVE_BYTES: u64 = 256 << 20;

/// What is watched.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Bytes that the store may have.
    pub(crate) quota: Option<u64>,
    /// Where the disk is.
    pub(crate) data_dir: PathBuf,
}

/// Why space counts as used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    Store { bytes: u64, quota: u64 },
    Disk { free: u64 },
}

impl Limits {
    fn exceeded(&self, bytes: u64, free: Option<u64>) -> Option<Full> {
        if let Some(quota) = self.quota.filter(|quota| bytes > *quota) {
            return Some(Full::Store { bytes, quota });
        }
        free.filter(|free| *free < RESERVE_BYTES).map(|free| Full::Disk { free })
    }

    /// Free bytes of the disk, where it says so.
    fn free(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.data_dir).ok()?;
        // Some file systems have no size.
        (disk.f_blocks > 0).then(|| disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

/// Watches for as long as it is polled.
pub(crate) async fn run<B: Backend>(limits: Limits, context: Arc<Context<B>>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Err(error) = look(&limits, limits.free(), &context).await {
            let error = error.text();
            tracing::warn!(%error, "the alarm that space is used up was not raised; tried again");
        }
    }
}

/// Looks once; raises the alarm of this member if it has to be.
async fn look<B: Backend>(
    limits: &Limits,
    free: Option<u64>,
    context: &Context<B>,
) -> Result<(), ApiError> {
    let Ok(stats) = context.stats(Consistency::Local).await else { return Ok(()) };
    let Some(full) = limits.exceeded(stats.bytes, free) else { return Ok(()) };
    let member = context.backend.standing().member_id;
    let alarm = Alarm { kind: AlarmKind::NoSpace, member };
    let (raised, _) = context.alarms(Consistency::Local).await?;
    if raised.contains(&alarm) {
        return Ok(());
    }
    context.backend.call(Command::Alarm(AlarmChange::Raise(alarm))).await?.result?;
    match full {
        Full::Store { bytes, quota } => tracing::warn!(
            bytes,
            quota,
            "the store exceeds its quota: writes are refused; compact it, or delete keys and \
             compact it, then take the alarm back (etcdctl alarm disarm)"
        ),
        Full::Disk { free } => tracing::warn!(
            free,
            "the disk is nearly full: writes are refused; make room, then take the alarm back \
             (etcdctl alarm disarm)"
        ),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use quorate_kv::{KvError, Put};

    use super::*;
    use crate::fake::Fake;

    #[test]
    fn a_limit_is_exceeded_beyond_it() {
        let limits = Limits { quota: Some(1000), data_dir: PathBuf::new() };
        assert_eq!(limits.exceeded(1000, Some(RESERVE_BYTES)), None);
        let full = Some(Full::Store { bytes: 1001, quota: 1000 });
        assert_eq!(limits.exceeded(1001, Some(RESERVE_BYTES)), full);
        assert_eq!(limits.exceeded(0, Some(0)), Some(Full::Disk { free: 0 }));
        let limits = Limits { quota: None, ..limits };
        assert_eq!(limits.exceeded(u64::MAX, None), None);
    }

    #[test]
    fn a_disk_says_how_much_is_free() {
        let limits = Limits { quota: None, data_dir: std::env::temp_dir() };
        assert!(limits.free().is_none_or(|free| free > 0));
        let nowhere = Limits { quota: None, data_dir: PathBuf::from("/nowhere/at/all") };
        assert_eq!(nowhere.free(), None);
    }

    #[tokio::test]
    async fn the_alarm_of_this_member_is_raised_once_and_again_after_it_was_taken_back() {
        let context = Fake::context();
        let put = |number: u8| Command::Put(Put::new(&[b'k', number], &[1; 100]));
        let limits = Limits { quota: Some(1000), data_dir: PathBuf::new() };
        let mut number = 0;
        let refused = loop {
            look(&limits, None, &context).await.unwrap();
            match context.backend.call(put(number)).await.unwrap().result {
                Ok(_) => number += 1,
                Err(error) => break error,
            }
            assert!(number < 100, "there is no limit");
        };
        assert_eq!(refused, KvError::NoSpace);
        let alarm = Alarm { kind: AlarmKind::NoSpace, member: 0x0e };
        assert_eq!(context.alarms(Consistency::Local).await.unwrap().0, [alarm]);
        for _ in 0..2 {
            let clear = Command::Alarm(AlarmChange::Clear(alarm));
            context.backend.call(clear).await.unwrap().result.unwrap();
            look(&limits, None, &context).await.unwrap();
            assert_eq!(context.alarms(Consistency::Local).await.unwrap().0, [alarm]);
        }
        let plenty = Limits { quota: None, ..limits };
        let clear = Command::Alarm(AlarmChange::Clear(alarm));
        context.backend.call(clear).await.unwrap().result.unwrap();
        look(&plenty, None, &context).await.unwrap();
        context.backend.call(put(0)).await.unwrap().result.unwrap();
        look(&plenty, Some(1), &context).await.unwrap();
        assert_eq!(context.alarms(Consistency::Local).await.unwrap().0, [alarm], "the disk");
    }
}
