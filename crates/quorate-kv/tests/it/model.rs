//! The store as one would explain it: the whole state of every revision in a list.

use std::collections::BTreeMap;

use quorate_kv::{
    Alarm, AlarmChange, AlarmKind, Command, Compare, CompareTarget, DeleteRange, KeyRange,
    KeyValue, KvError, Operation, Outcome, Put, Range, RangeReply, Relation, Reply, SortOrder,
    SortTarget, Txn,
};

/// A version in plain fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub create: i64,
    pub modified: i64,
    pub version: i64,
    pub lease: i64,
}

impl From<&KeyValue> for Version {
    fn from(kv: &KeyValue) -> Self {
        Self {
            key: kv.key().to_vec(),
            value: kv.value().to_vec(),
            create: kv.create_revision().get(),
            modified: kv.mod_revision().get(),
            version: kv.version(),
            lease: kv.lease().get(),
        }
    }
}

/// What a command answers, in plain fields. The first number is the revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plain {
    Put(i64, Option<Version>),
    Delete(i64, u64, Vec<Version>),
    Range(i64, Vec<Version>, bool, u64),
    Txn(i64, bool, Vec<Self>),
    Compact,
    Alarms(Vec<Alarm>),
    Append(i64, u64),
}

impl From<&Outcome> for Plain {
    fn from(outcome: &Outcome) -> Self {
        let plain = |kvs: &[KeyValue]| kvs.iter().map(Version::from).collect();
        match outcome {
            Outcome::Put(put) => {
                Self::Put(put.revision.get(), put.previous.as_ref().map(Version::from))
            }
            Outcome::DeleteRange(delete) => {
                Self::Delete(delete.revision.get(), delete.deleted, plain(&delete.previous))
            }
            Outcome::Range(range) => Self::from(range),
            Outcome::Txn(txn) => Self::Txn(
                txn.revision.get(),
                txn.succeeded,
                txn.outcomes.iter().map(Self::from).collect(),
            ),
            Outcome::Compact => Self::Compact,
            Outcome::Alarms(alarms) => Self::Alarms(alarms.clone()),
            Outcome::Append(append) => Self::Append(append.revision.get(), append.length),
        }
    }
}

impl From<&RangeReply> for Plain {
    fn from(range: &RangeReply) -> Self {
        let kvs = range.kvs.iter().map(Version::from).collect();
        Self::Range(range.revision.get(), kvs, range.more, range.count)
    }
}

pub fn plain(reply: &Reply) -> (i64, Result<Plain, KvError>) {
    (reply.revision.get(), reply.result.as_ref().map(Plain::from).map_err(|error| *error))
}

pub type State = BTreeMap<Vec<u8>, Version>;

/// Every state that there was; the last is the present one.
#[derive(Clone, Debug)]
pub struct Model {
    /// The state at each revision; there is none at zero.
    pub states: Vec<State>,
    pub compacted: i64,
    pub alarms: Vec<Alarm>,
}

impl Default for Model {
    fn default() -> Self {
        Self { states: vec![State::new(), State::new()], compacted: 0, alarms: Vec::new() }
    }
}

/// A command under way.
struct Work<'a> {
    model: &'a Model,
    state: State,
    changed: bool,
}

impl Model {
    pub fn revision(&self) -> i64 {
        i64::try_from(self.states.len()).unwrap() - 1
    }

    fn last(&self) -> &State {
        self.states.last().unwrap()
    }

    pub fn apply(&mut self, command: &Command) -> (i64, Result<Plain, KvError>) {
        let result = self.execute(command);
        (self.revision(), result)
    }

    fn execute(&mut self, command: &Command) -> Result<Plain, KvError> {
        let is_raised = |kind| self.alarms.iter().any(|alarm| alarm.kind == kind);
        let (is_full, is_corrupt) = (is_raised(AlarmKind::NoSpace), is_raised(AlarmKind::Corrupt));
        if let Command::Alarm(change) = command {
            let (AlarmChange::Raise(alarm) | AlarmChange::Clear(alarm)) = *change;
            let was_raised = self.alarms.contains(&alarm);
            self.alarms.retain(|other| *other != alarm);
            let raises = matches!(change, AlarmChange::Raise(_));
            self.alarms.extend(raises.then_some(alarm));
            let meant = raises || was_raised;
            return Ok(Plain::Alarms(meant.then_some(alarm).into_iter().collect()));
        }
        if let Command::Compact(revision) = command {
            if is_corrupt {
                return Err(KvError::Corrupt);
            }
            return match revision.get() {
                low if low <= self.compacted => Err(KvError::Compacted),
                high if high > self.revision() => Err(KvError::FutureRevision),
                fitting => {
                    self.compacted = fitting;
                    Ok(Plain::Compact)
                }
            };
        }
        if let Command::Append(append) = command {
            // A put of the whole value, under whatever lease the key has: none yet.
            let before = self.last().get(&append.key[..]).map(|version| version.value.clone());
            let value = [before.unwrap_or_default(), append.suffix.to_vec()].concat();
            let length = value.len() as u64;
            let put = Command::Put(Put::new(&append.key, &value));
            return self.execute(&put).map(|_| Plain::Append(self.revision(), length));
        }
        let operation = match command.clone() {
            Command::Put(put) => Operation::Put(put),
            Command::DeleteRange(delete) => Operation::DeleteRange(delete),
            Command::Txn(txn) => Operation::Txn(txn),
            Command::Compact(_) | Command::Alarm(_) | Command::Append(_) => unreachable!(),
        };
        check_form(&operation, 128)?;
        if let Operation::Txn(txn) = &operation
            && executions(std::slice::from_ref(&Operation::Txn(txn.clone()))).any(|e| clashes(&e))
        {
            return Err(KvError::DuplicateKey);
        }
        let has_put = executions(std::slice::from_ref(&operation))
            .any(|operations| operations.iter().any(|one| matches!(one, Operation::Put(_))));
        if is_corrupt {
            return Err(KvError::Corrupt);
        }
        if is_full && has_put {
            return Err(KvError::NoSpace);
        }
        self.check_state(&operation)?;
        let mut work = Work { model: self, state: self.last().clone(), changed: false };
        let plain = work.run(&operation);
        let Work { state, changed, .. } = work;
        if changed {
            self.states.push(state);
        }
        Ok(plain)
    }

    fn check_state(&self, operation: &Operation) -> Result<(), KvError> {
        match operation {
            Operation::Put(put) => {
                if (put.ignore_value || put.ignore_lease) && !self.last().contains_key(put.key()) {
                    return Err(KvError::KeyNotFound);
                }
                if put.lease.get() == 0 { Ok(()) } else { Err(KvError::LeaseNotFound) }
            }
            Operation::Range(range) => self.check_revision(range),
            Operation::DeleteRange(_) => Ok(()),
            Operation::Txn(txn) => {
                let branch = if self.holds(txn) { &txn.success } else { &txn.failure };
                branch.iter().try_for_each(|operation| self.check_state(operation))
            }
        }
    }

    fn check_revision(&self, range: &Range) -> Result<(), KvError> {
        match range.revision.get() {
            ..=0 => Ok(()),
            high if high > self.revision() => Err(KvError::FutureRevision),
            low if low < self.compacted => Err(KvError::Compacted),
            _ => Ok(()),
        }
    }

    fn holds(&self, txn: &Txn) -> bool {
        txn.compares.iter().all(|compare| {
            let mut found =
                self.last().values().filter(|v| is_in(&v.key, &compare.range)).peekable();
            if found.peek().is_none() {
                let absent = Version {
                    key: vec![],
                    value: vec![],
                    create: 0,
                    modified: 0,
                    version: 0,
                    lease: 0,
                };
                return !matches!(compare.target, CompareTarget::Value(_))
                    && satisfies(&absent, compare);
            }
            found.all(|version| satisfies(version, compare))
        })
    }

    /// What a read answers outside of any transaction.
    pub fn range(&self, range: &Range) -> Result<Plain, KvError> {
        check_form(&Operation::Range(range.clone()), 0)?;
        self.check_revision(range)?;
        Ok(self.read(self.last(), self.revision(), range))
    }

    fn read(&self, latest: &State, revision: i64, range: &Range) -> Plain {
        let state = match range.revision.get() {
            ..=0 => latest,
            at => &self.states[usize::try_from(at).unwrap()],
        };
        let mut kvs: Vec<_> =
            state.values().filter(|version| is_in(&version.key, &range.range)).cloned().collect();
        let count = kvs.len() as u64;
        if range.count_only {
            return Plain::Range(revision, vec![], false, count);
        }
        kvs.retain(|v| range.min_mod_revision == 0 || v.modified >= range.min_mod_revision);
        kvs.retain(|v| range.max_mod_revision == 0 || v.modified <= range.max_mod_revision);
        kvs.retain(|v| range.min_create_revision == 0 || v.create >= range.min_create_revision);
        kvs.retain(|v| range.max_create_revision == 0 || v.create <= range.max_create_revision);
        let falling = range.sort_order == SortOrder::Descend;
        // Keys that are equal in the target stay in key order, rising, whatever the order.
        match range.sort_target {
            SortTarget::Key if falling => kvs.reverse(),
            SortTarget::Key => {}
            SortTarget::Version => sort(&mut kvs, falling, |v| v.version),
            SortTarget::CreateRevision => sort(&mut kvs, falling, |v| v.create),
            SortTarget::ModRevision => sort(&mut kvs, falling, |v| v.modified),
            SortTarget::Value => sort(&mut kvs, falling, |v| v.value.clone()),
        }
        let mut more = false;
        if range.limit > 0 {
            let limit = usize::try_from(range.limit).unwrap();
            more = kvs.len() > limit;
            kvs.truncate(limit);
        }
        if range.keys_only {
            kvs.iter_mut().for_each(|version| version.value.clear());
        }
        Plain::Range(revision, kvs, more, count)
    }
}

fn sort<T: Ord>(kvs: &mut [Version], falling: bool, by: impl Fn(&Version) -> T) {
    if falling {
        kvs.sort_by_key(|version| std::cmp::Reverse(by(version)));
    } else {
        kvs.sort_by_key(by);
    }
}

impl Work<'_> {
    fn revision(&self) -> i64 {
        self.model.revision() + i64::from(self.changed)
    }

    fn run(&mut self, operation: &Operation) -> Plain {
        match operation {
            Operation::Put(put) => self.put(put),
            Operation::DeleteRange(delete) => self.delete(delete),
            Operation::Range(range) => self.model.read(&self.state, self.revision(), range),
            Operation::Txn(txn) => {
                let holds = self.model.holds(txn);
                let branch = if holds { &txn.success } else { &txn.failure };
                let plains = branch.iter().map(|operation| self.run(operation)).collect();
                Plain::Txn(self.revision(), holds, plains)
            }
        }
    }

    fn put(&mut self, put: &Put) -> Plain {
        self.changed = true;
        let revision = self.revision();
        let old = self.state.get(put.key()).cloned();
        let version = Version {
            key: put.key().to_vec(),
            value: match &old {
                Some(old) if put.ignore_value => old.value.clone(),
                _ => put.value().to_vec(),
            },
            create: old.as_ref().map_or(revision, |old| old.create),
            modified: revision,
            version: old.as_ref().map_or(1, |old| old.version + 1),
            lease: match &old {
                Some(old) if put.ignore_lease => old.lease,
                _ => put.lease.get(),
            },
        };
        self.state.insert(version.key.clone(), version);
        Plain::Put(revision, old.filter(|_| put.return_previous))
    }

    fn delete(&mut self, delete: &DeleteRange) -> Plain {
        let doomed: Vec<_> =
            self.state.values().filter(|v| is_in(&v.key, &delete.range)).cloned().collect();
        self.changed |= !doomed.is_empty();
        for version in &doomed {
            self.state.remove(&version.key);
        }
        let count = doomed.len() as u64;
        let previous = if delete.return_previous { doomed } else { vec![] };
        Plain::Delete(self.revision(), count, previous)
    }
}

fn is_in(key: &[u8], range: &KeyRange) -> bool {
    match &*range.range_end {
        [] => key == &*range.key,
        [0] => key >= &*range.key,
        end => key >= &*range.key && key < end,
    }
}

fn satisfies(version: &Version, compare: &Compare) -> bool {
    fn relates<T: PartialOrd + ?Sized>(stored: &T, relation: Relation, given: &T) -> bool {
        match relation {
            Relation::Equal => stored == given,
            Relation::NotEqual => stored != given,
            Relation::Greater => stored > given,
            Relation::Less => stored < given,
        }
    }
    match &compare.target {
        CompareTarget::Version(given) => relates(&version.version, compare.relation, given),
        CompareTarget::CreateRevision(given) => relates(&version.create, compare.relation, given),
        CompareTarget::ModRevision(given) => relates(&version.modified, compare.relation, given),
        CompareTarget::Lease(given) => relates(&version.lease, compare.relation, given),
        CompareTarget::Value(given) => relates(&version.value[..], compare.relation, given),
    }
}

/// What is wrong with an operation by itself.
fn check_form(operation: &Operation, limit: usize) -> Result<(), KvError> {
    let key = |key: &[u8]| if key.is_empty() { Err(KvError::KeyNotProvided) } else { Ok(()) };
    match operation {
        Operation::Range(range) => key(&range.range.key),
        Operation::DeleteRange(delete) => key(&delete.range.key),
        Operation::Put(put) => {
            key(put.key())?;
            if put.ignore_value && !put.value().is_empty() {
                return Err(KvError::ValueProvided);
            }
            if put.ignore_lease && put.lease.get() != 0 {
                return Err(KvError::LeaseProvided);
            }
            Ok(())
        }
        Operation::Txn(txn) => {
            let longest = txn.compares.len().max(txn.success.len()).max(txn.failure.len());
            if longest > limit {
                return Err(KvError::TooManyOperations);
            }
            txn.compares.iter().try_for_each(|compare| key(&compare.range.key))?;
            let mut operations = txn.success.iter().chain(&txn.failure);
            operations.try_for_each(|operation| check_form(operation, limit - longest))
        }
    }
}

/// Every sequence of plain operations that these could come to, whatever the comparisons say.
fn executions(operations: &[Operation]) -> Box<dyn Iterator<Item = Vec<Operation>> + '_> {
    let Some((first, rest)) = operations.split_first() else {
        return Box::new(std::iter::once(Vec::new()));
    };
    let firsts: Vec<Vec<Operation>> = match first {
        Operation::Txn(txn) => executions(&txn.success).chain(executions(&txn.failure)).collect(),
        plain => vec![vec![plain.clone()]],
    };
    Box::new(executions(rest).flat_map(move |rest| {
        firsts.iter().map(|first| first.iter().chain(&rest).cloned().collect()).collect::<Vec<_>>()
    }))
}

/// Whether a sequence of operations writes a key after it put it, or puts it after writing it.
fn clashes(operations: &[Operation]) -> bool {
    operations.iter().enumerate().any(|(i, operation)| {
        let Operation::Put(put) = operation else { return false };
        operations.iter().enumerate().any(|(j, other)| match other {
            Operation::Put(other) => i != j && other.key() == put.key(),
            Operation::DeleteRange(delete) => is_in(put.key(), &delete.range),
            Operation::Range(_) | Operation::Txn(_) => false,
        })
    })
}
