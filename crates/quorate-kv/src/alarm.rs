//! Alarms: what is wrong with the cluster, known to every node at the same place of the log.
//!
//! An alarm names a member and what is wrong there. While space is used up anywhere, nothing is
//! executed that takes more; while stores differ, nothing is executed at all. Both go on when every
//! alarm of the kind is taken back, which nobody does by itself: the cause has to go first.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::command::{Command, Operation, Txn};
use crate::error::KvError;

/// Alarms that there may be at once; each names a member, and clients say which.
const MOST: usize = 1024;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AlarmKind {
    /// Space is used up.
    NoSpace,
    /// The member's store differs from the others.
    Corrupt,
}

impl AlarmKind {
    /// All kinds, in their order.
    pub(crate) const ALL: [Self; 2] = [Self::NoSpace, Self::Corrupt];

    /// etcd's number of the kind.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::NoSpace => 1,
            Self::Corrupt => 2,
        }
    }

    /// The kind with one of etcd's numbers.
    #[must_use]
    pub fn of_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| u64::from(kind.number()) == number)
    }
}

/// An alarm that is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alarm {
    /// What is wrong.
    pub kind: AlarmKind,
    /// Where; whatever a client says.
    pub member: u64,
}

/// What becomes of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmChange {
    /// It is raised, if it is not yet.
    Raise(Alarm),
    /// It is taken back, if it is raised.
    Clear(Alarm),
}

/// The alarms that are raised. Cloning them takes constant time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Alarms(Arc<BTreeSet<Alarm>>);

impl Alarms {
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Alarm> {
        self.0.iter().copied()
    }

    fn has(&self, kind: AlarmKind) -> bool {
        self.0.iter().any(|alarm| alarm.kind == kind)
    }

    /// Changes an alarm; returns the ones that were meant, as etcd does.
    pub(crate) fn change(&mut self, change: AlarmChange) -> Result<Vec<Alarm>, KvError> {
        match change {
            AlarmChange::Raise(alarm) => {
                if !self.0.contains(&alarm) {
                    if self.0.len() == MOST {
                        return Err(KvError::TooManyAlarms);
                    }
                    Arc::make_mut(&mut self.0).insert(alarm);
                }
                Ok(vec![alarm])
            }
            AlarmChange::Clear(alarm) => {
                let was_raised =
                    self.0.contains(&alarm) && Arc::make_mut(&mut self.0).remove(&alarm);
                Ok(was_raised.then_some(alarm).into_iter().collect())
            }
        }
    }

    /// Adds an alarm that follows the last; says whether it does.
    pub(crate) fn follow(&mut self, alarm: Alarm) -> bool {
        let follows = self.0.len() < MOST && self.0.last().is_none_or(|last| *last < alarm);
        follows && Arc::make_mut(&mut self.0).insert(alarm)
    }

    /// Whether a command may be executed.
    pub(crate) fn check(&self, command: &Command) -> Result<(), KvError> {
        if self.0.is_empty() || matches!(command, Command::Alarm(_)) {
            return Ok(());
        }
        if self.has(AlarmKind::Corrupt) {
            return Err(KvError::Corrupt);
        }
        // All other alarms are of the other kind.
        let takes_space = match command {
            Command::Put(_) | Command::Append(_) => true,
            Command::Txn(txn) => puts(txn),
            Command::DeleteRange(_) | Command::Compact(_) | Command::Alarm(_) => false,
        };
        if takes_space { Err(KvError::NoSpace) } else { Ok(()) }
    }
}

/// Whether any branch of a transaction has a put, taken or not.
fn puts(txn: &Txn) -> bool {
    txn.success.iter().chain(&txn.failure).any(|operation| match operation {
        Operation::Put(_) => true,
        Operation::Txn(txn) => puts(txn),
        Operation::Range(_) | Operation::DeleteRange(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_only_so_many_alarms() {
        let mut alarms = Alarms::default();
        let alarm = |member| Alarm { kind: AlarmKind::NoSpace, member };
        for member in 0..MOST as u64 {
            assert_eq!(alarms.change(AlarmChange::Raise(alarm(member))), Ok(vec![alarm(member)]));
        }
        let too_many = alarms.change(AlarmChange::Raise(alarm(u64::MAX)));
        assert_eq!(too_many, Err(KvError::TooManyAlarms));
        assert_eq!(alarms.change(AlarmChange::Raise(alarm(5))), Ok(vec![alarm(5)]), "it is there");
        assert_eq!(alarms.change(AlarmChange::Clear(alarm(5))), Ok(vec![alarm(5)]));
        assert_eq!(alarms.change(AlarmChange::Clear(alarm(5))), Ok(vec![]));
        assert!(alarms.change(AlarmChange::Raise(alarm(u64::MAX))).is_ok());
    }
}
