//! A store on one machine with slow clients around it, which can be told to break its promise once.
//!
//! Every operation takes effect at one instant between its call and its return, so that the history
//! is linearizable unless a fault was planted. Time is virtual; all randomness comes from one seed.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_sim::model::KeyValueAction;
use quorate_sim::{ClientId, History, KeyValueOp, KeyValueOutput, OperationId};

pub(crate) type KvHistory = History<KeyValueOp, KeyValueOutput>;

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// How the store breaks its promise, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    Nothing,
    /// A get answers what was there before a write that had returned.
    StaleRead,
    /// A put or an append is acknowledged and forgotten.
    LostUpdate,
    /// An append is applied twice.
    DoubleAppend,
    /// An append is acknowledged at once and applied only after a later one of another client.
    ReorderedPair,
}

#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) seed: u64,
    pub(crate) operations: usize,
    pub(crate) clients: u32,
    pub(crate) keys: u64,
    /// In percent of the operations.
    pub(crate) unknown: u64,
    pub(crate) failed: u64,
    /// In percent; the rest are gets. Deletes and compare-and-sets have what is left of 100.
    pub(crate) puts: u64,
    pub(crate) appends: u64,
    pub(crate) gets: u64,
    pub(crate) plant: Plant,
}

impl Setting {
    pub(crate) fn usual(seed: u64) -> Self {
        Self {
            seed,
            operations: 10_000,
            clients: 10,
            keys: 5,
            unknown: 2,
            failed: 1,
            puts: 20,
            appends: 20,
            gets: 45,
            plant: Plant::Nothing,
        }
    }
}

/// A history, and the operations that the planted fault concerns.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) history: KvHistory,
    pub(crate) planted: Vec<OperationId>,
}

enum Happening {
    Call {
        client: u32,
    },
    Effect {
        client: u32,
        id: OperationId,
        op: KeyValueOp,
        fate: Fate,
    },
    /// A message that comes long after its sender gave up.
    Late {
        op: KeyValueOp,
    },
    Return {
        client: u32,
        id: OperationId,
        output: KeyValueOutput,
    },
    GiveUp {
        client: u32,
        id: OperationId,
    },
    Fail {
        client: u32,
        id: OperationId,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    AnswerLost,
}

/// What is known about the last change of a key, to plant a fault where it shows.
#[derive(Clone, Default)]
struct Past {
    /// What was there before the last change, and the id of that change.
    before: Option<(Option<String>, OperationId)>,
    /// Whether the last change was answered.
    answered: bool,
}

struct World {
    setting: Setting,
    rng: Rng,
    now: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    scheduled: u64,
    values: BTreeMap<String, String>,
    past: BTreeMap<String, Past>,
    /// An append that was acknowledged and is yet to be applied.
    held: Option<(OperationId, KeyValueOp, bool)>,
    run: Run,
}

pub(crate) fn run(setting: Setting) -> Run {
    let mut world = World {
        rng: Rng(setting.seed),
        now: 0,
        queue: BTreeMap::new(),
        scheduled: 0,
        values: BTreeMap::new(),
        past: BTreeMap::new(),
        held: None,
        run: Run { history: History::new(), planted: Vec::new() },
        setting,
    };
    for client in 1..=world.setting.clients {
        let delay = world.rng.below(1_000);
        world.schedule(delay, Happening::Call { client });
    }
    while let Some(((at, _), happening)) = world.queue.pop_first() {
        world.now = at;
        world.happen(happening);
    }
    world.run
}

impl World {
    fn schedule(&mut self, delay: u64, happening: Happening) {
        self.scheduled += 1;
        self.queue.insert((self.now + delay, self.scheduled), happening);
    }

    fn time(&self) -> Duration {
        Duration::from_micros(self.now)
    }

    fn next_op(&mut self) -> KeyValueOp {
        let key = format!("k{}", self.rng.below(self.setting.keys));
        let value = format!("{}.", self.run.history.len());
        let Setting { puts, appends, gets, .. } = self.setting;
        let kind = self.rng.below(100);
        if kind < puts {
            KeyValueOp::put(&key, &value)
        } else if kind < puts + appends {
            KeyValueOp::append(&key, &value)
        } else if kind < puts + appends + gets {
            KeyValueOp::get(&key)
        } else if kind.is_multiple_of(3) {
            KeyValueOp::delete(&key)
        } else {
            let expected = if self.rng.percent(70) {
                self.values.get(&key).cloned()
            } else {
                Some(String::new())
            };
            KeyValueOp::compare_and_set(&key, expected.as_deref(), &value)
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Call { client } => self.call(client),
            Happening::Effect { client, id, op, fate } => self.effect(client, id, &op, fate),
            Happening::Late { op } => {
                self.apply(&op);
                self.past.remove(&*op.key);
            }
            Happening::Return { client, id, output } => {
                let key = self.run.history.operation(id).input.key.to_string();
                self.run.history.returned(id, output, self.time());
                if let Some(past) = self.past.get_mut(&key) {
                    past.answered |= past.before.as_ref().is_some_and(|(_, last)| *last == id);
                }
                if let Some((held, _, answered)) = &mut self.held {
                    *answered |= *held == id;
                }
                self.pause(client);
            }
            Happening::GiveUp { client, id } => {
                self.run.history.unknown(id, self.time());
                self.pause(client);
            }
            Happening::Fail { client, id } => {
                self.run.history.failed(id, self.time());
                self.pause(client);
            }
        }
    }

    fn pause(&mut self, client: u32) {
        let delay = self.rng.below(300);
        self.schedule(delay, Happening::Call { client });
    }

    fn call(&mut self, client: u32) {
        if self.run.history.len() >= self.setting.operations {
            return;
        }
        let op = self.next_op();
        let id = self.run.history.invoke(ClientId(client), op.clone(), self.time());
        let there = self.rng.below(500) + 1;
        if self.rng.percent(self.setting.failed) {
            self.schedule(there, Happening::Fail { client, id });
        } else if self.rng.percent(self.setting.unknown) {
            self.schedule(1_500, Happening::GiveUp { client, id });
            match self.rng.below(3) {
                0 => {}
                1 => self
                    .schedule(there, Happening::Effect { client, id, op, fate: Fate::AnswerLost }),
                _ => {
                    let late = there + self.rng.below(50_000);
                    self.schedule(late, Happening::Late { op });
                }
            }
        } else {
            self.schedule(there, Happening::Effect { client, id, op, fate: Fate::Answered });
        }
    }

    fn effect(&mut self, client: u32, id: OperationId, op: &KeyValueOp, fate: Fate) {
        let output = self.planted(id, op, fate).unwrap_or_else(|| self.change(id, op));
        if fate == Fate::Answered {
            let back = self.rng.below(500) + 1;
            self.schedule(back, Happening::Return { client, id, output });
        }
    }

    fn change(&mut self, id: OperationId, op: &KeyValueOp) -> KeyValueOutput {
        let before = self.values.get(&*op.key).cloned();
        let output = self.apply(op);
        if before.as_deref() != self.values.get(&*op.key).map(String::as_str) {
            let past = Past { before: Some((before, id)), answered: false };
            self.past.insert(op.key.to_string(), past);
        }
        output
    }

    /// What a correct store does.
    fn apply(&mut self, op: &KeyValueOp) -> KeyValueOutput {
        let key = op.key.to_string();
        match &op.action {
            KeyValueAction::Get => KeyValueOutput::value(self.values.get(&key).map(String::as_str)),
            KeyValueAction::Put(value) => {
                self.values.insert(key, value.to_string());
                KeyValueOutput::Done
            }
            KeyValueAction::Append(value) => {
                self.values.entry(key).or_default().push_str(value);
                KeyValueOutput::Done
            }
            KeyValueAction::Delete => KeyValueOutput::Deleted(self.values.remove(&key).is_some()),
            KeyValueAction::CompareAndSet { expected, value } => {
                let swaps = self.values.get(&key).map(String::as_str) == expected.as_deref();
                if swaps {
                    self.values.insert(key, value.to_string());
                }
                KeyValueOutput::Swapped(swaps)
            }
        }
    }

    /// Breaks the promise if this is the place to do so; what the client is told then.
    fn planted(&mut self, id: OperationId, op: &KeyValueOp, fate: Fate) -> Option<KeyValueOutput> {
        if let Some((held, late, answered)) = self.held.take() {
            let is_pair = answered
                && late.key == op.key
                && matches!(op.action, KeyValueAction::Append(_))
                // Called after the other had returned.
                && self.run.history.operation(held).precedes(self.run.history.operation(id));
            if is_pair && fate == Fate::Answered {
                let output = self.apply(op);
                self.apply(&late);
                self.past.remove(&*op.key);
                self.run.planted = vec![held, id];
                return Some(output);
            }
            let same_key = late.key == op.key;
            if same_key {
                // Too late for a pair: give up the attempt before anyone can see it.
                self.apply(&late);
            } else {
                self.held = Some((held, late, answered));
            }
            return None;
        }
        let due = self.run.history.len() > self.setting.operations / 2;
        if !due || !self.run.planted.is_empty() || fate != Fate::Answered {
            return None;
        }
        let appends = matches!(op.action, KeyValueAction::Append(_));
        match self.setting.plant {
            Plant::Nothing => None,
            Plant::StaleRead => {
                let past = self.past.get(&*op.key)?.clone();
                let (before, change) = past.before?;
                let history = &self.run.history;
                let is_stale = history.operation(change).precedes(history.operation(id));
                let is_get = matches!(op.action, KeyValueAction::Get);
                (is_get && is_stale && past.answered).then(|| {
                    self.run.planted = vec![change, id];
                    KeyValueOutput::value(before.as_deref())
                })
            }
            Plant::LostUpdate => {
                (appends || matches!(op.action, KeyValueAction::Put(_))).then(|| {
                    self.run.planted = vec![id];
                    KeyValueOutput::Done
                })
            }
            Plant::DoubleAppend => appends.then(|| {
                self.run.planted = vec![id];
                self.change(id, op);
                self.change(id, op)
            }),
            Plant::ReorderedPair => appends.then(|| {
                self.held = Some((id, op.clone(), false));
                KeyValueOutput::Done
            }),
        }
    }
}
