//! The store of a running cluster, `quorate-kv`, in simulated worlds, and clients that use it.
//!
//! Every value that a client writes is written once, so that whoever reads it tells whose write it
//! was. On top of what is checked for every state machine:
//!
//! - what clients saw of each key is linearizable, by a model that shares no code with the store;
//! - revisions never go back for anybody, and every change has a later one than whatever was known
//!   when it was asked for;
//! - a version of a key is the same whenever it is read;
//! - all nodes agree on the figures of the store after every command, and now and then on a digest
//!   of everything in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorate::{Codec, StateMachine};
use quorate_kv::{
    Answer, Command, Compare, CompareTarget, DeleteRange, KeyRange, KvError, KvMachine, Operation,
    Outcome, Put, Query, Range, RangeReply, Relation, Reply, Revision, Txn,
};
use quorate_sim::linearizable::judge_run;
use quorate_sim::rng::Rng;
use quorate_sim::run::{Options, Target};
use quorate_sim::world::workload::{Decision, End, Fingerprint, Request, Workload};
use quorate_sim::world::{COMMAND_BYTES, Fault, Plan};
use quorate_sim::{
    ClientId, History, KeyValue, KeyValueOp, KeyValueOutput, OperationId, regression,
};

/// Keys that clients use.
const KEYS: usize = 5;
/// Revisions between two digests of the whole store.
const DIGEST_EVERY: i64 = 256;

/// The store, as a target of runs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kv;

impl Target for Kv {
    type Machine = KvMachine;
    type Workload = KvClients;

    fn workload(&self, plan: &Plan) -> KvClients {
        KvClients { sizes: plan.has(Fault::Sizes), ..KvClients::default() }
    }

    fn again(&self, seed: u64, options: &Options) -> String {
        format!("as a test:    {}", regression::line(Some("Kv"), seed, options))
    }
}

/// Clients of the store, and what they saw.
#[derive(Debug, Default)]
pub(crate) struct KvClients {
    history: History<KeyValueOp, KeyValueOutput>,
    sizes: bool,
    /// Values written so far: part of each value.
    written: u64,
    /// Requests that have not ended.
    pending: BTreeMap<OperationId, Pending>,
    /// Reads, and what came back.
    reads: BTreeMap<OperationId, (Query, Option<Result<RangeReply, KvError>>)>,
    /// The latest revision that any client was told.
    revision: i64,
    /// The value last seen of each key.
    seen: BTreeMap<String, String>,
    /// Values by key and revision of the version.
    versions: BTreeMap<(Vec<u8>, i64), Vec<u8>>,
    /// The first thing that cannot be.
    broken: Option<String>,
}

/// A request that has not ended.
#[derive(Debug)]
struct Pending {
    /// The latest revision that anybody knew when it was asked.
    revision: i64,
    asks: Asks,
}

#[derive(Debug)]
enum Asks {
    Change {
        key: String,
        value: String,
    },
    /// Keys, each with its operation in the history; none where the past is read.
    Read(Vec<(String, OperationId)>),
}

impl KvClients {
    fn begin(&mut self, id: OperationId, asks: Asks) {
        self.pending.insert(id, Pending { revision: self.revision, asks });
    }

    fn change(&self, rng: &mut Rng, key: &str, value: &str) -> (KeyValueOp, Command) {
        let (name, text) = (key.as_bytes(), value.as_bytes());
        match rng.range(0..6) {
            0 => (KeyValueOp::put(key, value), Command::Put(Put::new(name, text))),
            1 | 2 => {
                let put = Put::new(name, text).with_previous();
                (KeyValueOp::put(key, value), Command::Put(put))
            }
            3 => {
                let delete = DeleteRange::key(name).with_previous();
                (KeyValueOp::delete(key), Command::DeleteRange(delete))
            }
            // Half of them expect what was seen last, which often still holds.
            kind => {
                let expected = self.seen.get(key).filter(|_| kind == 4);
                let target = expected.map_or(CompareTarget::Version(0), |expected| {
                    CompareTarget::Value(expected.as_bytes().into())
                });
                let txn = Txn {
                    compares: vec![Compare::key(name, Relation::Equal, target)],
                    success: vec![Operation::Put(Put::new(name, text))],
                    failure: vec![Operation::Range(Range::key(name))],
                };
                let expected = expected.map(String::as_str);
                (KeyValueOp::compare_and_set(key, expected, value), Command::Txn(txn))
            }
        }
    }

    /// A command that no model follows: of any size, or a compaction.
    fn upkeep(&self, rng: &mut Rng) -> Option<Command> {
        if self.sizes && rng.chance(20_000) {
            let bytes = match rng.range(0..20) {
                1 => 0,
                // At the limit, one below, and one above it, which is refused.
                0 => COMMAND_BYTES - overhead_of_a_put() + rng.index(3) - 1,
                _ => 1 << rng.range(4_usize..18),
            };
            return Some(Command::Put(Put::new(b"pad", &vec![7; bytes])));
        }
        let is_due = rng.chance(5_000) && self.revision > 100;
        is_due.then(|| Command::Compact(Revision(self.revision - 50)))
    }

    fn read(&mut self, client: ClientId, rng: &mut Rng, at: Duration) -> (OperationId, Query) {
        let key = key(rng.index(KEYS));
        let (keys, range) = match rng.range(0..10) {
            0..7 => (vec![key.clone()], Range::key(key.as_bytes())),
            7..9 => {
                let range = Range::new(KeyRange::prefix(b"k"));
                ((0..KEYS).map(self::key).collect(), range)
            }
            _ => {
                let past = Revision((self.revision - rng.range(0_i64..40)).max(1));
                (Vec::new(), Range::new(KeyRange::prefix(b"k")).at(past))
            }
        };
        let mut get = |key: &str| self.history.invoke(client, KeyValueOp::get(key), at);
        // The past has an operation, too, which nobody judges.
        let id = get(keys.first().map_or("past", String::as_str));
        let others: Vec<OperationId> = keys.iter().skip(1).map(|key| get(key)).collect();
        let ids = core::iter::once(id).chain(others);
        let query = Query::Range(range);
        self.reads.insert(id, (query.clone(), None));
        self.begin(id, Asks::Read(keys.into_iter().zip(ids).collect()));
        (id, query)
    }

    fn breaks(&mut self, what: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(what());
        }
    }

    /// A client is told a revision by an answer to something that was asked when `known` was known.
    fn told(&mut self, id: OperationId, known: i64, told: Revision, changed: bool) {
        let told = told.get();
        if told < known || (changed && told == known) {
            self.breaks(|| {
                let kind = if changed { "a change" } else { "an answer" };
                format!("{kind} at revision {told}, {id}, was asked for when {known} was known")
            });
        }
        self.revision = self.revision.max(told);
    }

    /// A version of a key is seen.
    fn version(&mut self, key: &[u8], revision: Revision, value: &[u8]) {
        let at = (key.to_vec(), revision.get());
        let before = self.versions.entry(at).or_insert_with(|| value.to_vec());
        if before != value {
            let (key, value) = (key.escape_ascii(), value.escape_ascii());
            let what = format!(
                "version {revision} of {key} is {value}, and was {}",
                before.escape_ascii()
            );
            self.breaks(|| what);
        }
    }

    fn replied(&mut self, id: OperationId, pending: &Pending, reply: &Reply, at: Duration) {
        let Asks::Change { key, value } = &pending.asks else { return };
        let outcome = match &reply.result {
            Ok(outcome) => outcome,
            Err(error) => {
                self.breaks(|| format!("the store refuses {id}: {error}"));
                return;
            }
        };
        let written = |client: &mut Self| {
            client.seen.insert(key.clone(), value.clone());
            client.version(key.as_bytes(), reply.revision, value.as_bytes());
        };
        let (changed, output) = match outcome {
            Outcome::Put(put) => {
                if let Some(previous) = &put.previous {
                    self.version(previous.key(), previous.mod_revision(), previous.value());
                }
                written(self);
                (true, KeyValueOutput::Done)
            }
            Outcome::DeleteRange(delete) => {
                for previous in &delete.previous {
                    self.version(previous.key(), previous.mod_revision(), previous.value());
                }
                (delete.deleted > 0, KeyValueOutput::Deleted(delete.deleted > 0))
            }
            Outcome::Txn(txn) => {
                if txn.succeeded {
                    written(self);
                } else if let [Outcome::Range(found)] = &txn.outcomes[..] {
                    for kv in &found.kvs {
                        self.version(kv.key(), kv.mod_revision(), kv.value());
                    }
                }
                (txn.succeeded, KeyValueOutput::Swapped(txn.succeeded))
            }
            Outcome::Range(_) | Outcome::Compact | Outcome::Alarms(_) | Outcome::Append(_) => {
                self.breaks(|| format!("the store answers something else to {id}: {outcome:?}"));
                return;
            }
        };
        self.told(id, pending.revision, reply.revision, changed);
        self.history.returned(id, output, at);
    }

    fn answered(
        &mut self,
        id: OperationId,
        pending: &Pending,
        answer: Result<RangeReply, KvError>,
        at: Duration,
    ) {
        let Asks::Read(keys) = &pending.asks else { return };
        if let Ok(reply) = &answer {
            self.told(id, pending.revision, reply.revision, false);
            for kv in &reply.kvs {
                self.version(kv.key(), kv.mod_revision(), kv.value());
            }
        }
        if keys.is_empty() {
            self.history.failed(id, at);
        }
        for (key, id) in keys {
            let Ok(reply) = &answer else {
                self.breaks(|| format!("the store refuses to read {key}: {answer:?}"));
                break;
            };
            let found = reply.kvs.iter().find(|kv| kv.key() == key.as_bytes());
            let text = found.map(|kv| String::from_utf8_lossy(kv.value()).into_owned());
            if let Some(text) = &text {
                self.seen.insert(key.clone(), text.clone());
            }
            self.history.returned(*id, KeyValueOutput::Value(text.map(Arc::from)), at);
        }
        if let Some((_, kept)) = self.reads.get_mut(&id) {
            *kept = Some(answer);
        }
    }

    /// Nobody learns how a request ended; a read had no effect in any case.
    fn lost(&mut self, id: OperationId, pending: &Pending, refused: bool, at: Duration) {
        match &pending.asks {
            Asks::Change { .. } if refused => self.history.failed(id, at),
            Asks::Change { .. } => self.history.unknown(id, at),
            Asks::Read(keys) => {
                self.history.failed(id, at);
                for (_, other) in keys.iter().skip(1) {
                    self.history.failed(*other, at);
                }
                self.reads.remove(&id);
            }
        }
    }
}

impl Workload<KvMachine> for KvClients {
    fn next(
        &mut self,
        client: ClientId,
        rng: &mut Rng,
        at: Duration,
    ) -> (Option<OperationId>, Request<KvMachine>) {
        if let Some(command) = self.upkeep(rng) {
            return (None, Request::Call(command));
        }
        if rng.chance(400_000) {
            let (id, query) = self.read(client, rng, at);
            return (Some(id), Request::Read(query));
        }
        self.written += 1;
        let (key, value) = (key(rng.index(KEYS)), format!("{}.{}", client.0, self.written));
        let (op, command) = self.change(rng, &key, &value);
        let id = self.history.invoke(client, op, at);
        self.begin(id, Asks::Change { key, value });
        (Some(id), Request::Call(command))
    }

    fn ended(&mut self, id: OperationId, end: End<KvMachine>, at: Duration) {
        let Some(pending) = self.pending.remove(&id) else { return };
        match end {
            End::Replied(reply) => self.replied(id, &pending, &reply, at),
            End::Answered(Answer::Range(answer)) => self.answered(id, &pending, answer, at),
            End::Answered(other) => {
                self.breaks(|| format!("the store answers something else to {id}: {other:?}"));
            }
            End::Refused => self.lost(id, &pending, true, at),
            End::Unknown => self.lost(id, &pending, false, at),
        }
    }

    fn fingerprint(&self) -> Option<Fingerprint<KvMachine>> {
        Some(Arc::new(|machine| {
            let stats = machine.store().as_view().stats();
            let compacted = stats.compact_revision.map_or(0, Revision::get);
            let revisions = [stats.revision.get(), compacted].map(i64::cast_unsigned);
            let sizes = [stats.keys, stats.versions, stats.bytes];
            let mix = |print: u64, number: u64| {
                (print ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
            };
            let print = revisions.into_iter().chain(sizes).fold(0, mix);
            if stats.revision.get() % DIGEST_EVERY == 0
                && let Answer::Digest(Ok(digest)) = machine.query(Query::Digest(Revision::ZERO))
            {
                return mix(print, digest.hash);
            }
            print
        }))
    }

    fn replay_read(&self, id: OperationId, machine: &KvMachine) -> Result<(), String> {
        let Some((query, Some(given))) = self.reads.get(&id) else { return Ok(()) };
        match machine.query(query.clone()) {
            Answer::Range(replayed) if replayed == *given => Ok(()),
            replayed => {
                Err(format!("{query:?} was answered {given:?}, a replay says {replayed:?}"))
            }
        }
    }

    fn describe(&self, request: &Request<KvMachine>) -> String {
        match request {
            Request::Call(command) => words_of(command),
            Request::Read(Query::Range(range)) => {
                let key = range.range.key.escape_ascii();
                let many = if range.range.range_end.is_empty() { "" } else { " and what follows" };
                match range.revision {
                    Revision::ZERO => format!("get {key}{many}"),
                    past => format!("get {key}{many} at {past}"),
                }
            }
            Request::Read(other) => format!("{other:?}"),
        }
    }

    fn describe_end(&self, end: &End<KvMachine>) -> String {
        match end {
            End::Replied(Reply { revision, result: Err(error) }) => format!("{revision}: {error}"),
            End::Replied(Reply { revision, result: Ok(outcome) }) => match outcome {
                Outcome::DeleteRange(delete) => format!("{revision}: deleted {}", delete.deleted),
                Outcome::Txn(txn) => format!("{revision}: succeeded {}", txn.succeeded),
                _ => revision.to_string(),
            },
            End::Answered(Answer::Range(Ok(reply))) => {
                let kvs = reply
                    .kvs
                    .iter()
                    .map(|kv| format!("{}={}", kv.key().escape_ascii(), kv.value().escape_ascii()));
                format!("{}: {}", reply.revision, kvs.collect::<Vec<_>>().join(" "))
            }
            End::Answered(other) => format!("{other:?}"),
            End::Refused | End::Unknown => String::new(),
        }
    }

    fn verdict(&self) -> Result<Decision, String> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        judge_run(KeyValue, &self.history)
    }
}

fn key(number: usize) -> String {
    format!("k{number}")
}

/// Bytes of a large put of the padding beside its value.
fn overhead_of_a_put() -> usize {
    let value = vec![7; COMMAND_BYTES];
    let mut bytes = Vec::new();
    Command::Put(Put::new(b"pad", &value)).encode(&mut bytes).expect("a put encodes");
    bytes.len() - value.len()
}

fn words_of(command: &Command) -> String {
    match command {
        Command::Put(put) if put.value().len() > 100 => {
            format!("put {} of {} bytes", put.key().escape_ascii(), put.value().len())
        }
        Command::Put(put) => {
            format!("put {} {}", put.key().escape_ascii(), put.value().escape_ascii())
        }
        Command::DeleteRange(delete) => format!("delete {}", delete.range.key.escape_ascii()),
        Command::Txn(Txn { compares, success, .. }) => match (&compares[..], &success[..]) {
            ([compare], [Operation::Put(put)]) => {
                let (key, value) = (put.key().escape_ascii(), put.value().escape_ascii());
                match &compare.target {
                    CompareTarget::Value(seen) => {
                        format!("replace {key} {} by {value}", seen.escape_ascii())
                    }
                    _ => format!("create {key} {value}"),
                }
            }
            _ => format!("{command:?}"),
        },
        Command::Compact(revision) => format!("compact up to {revision}"),
        Command::Alarm(change) => format!("alarm: {change:?}"),
        Command::Append(append) => {
            format!("append {} {}", append.key.escape_ascii(), append.suffix.escape_ascii())
        }
    }
}

#[cfg(test)]
mod tests;
