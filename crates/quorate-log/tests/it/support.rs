//! A script of jobs, the ghost of what it should leave behind, and helpers around both.

use std::collections::BTreeMap;

use quorate_core::{
    ClusterId, EntryId, EntryKind, Few, HardState, Index, NodeId, PersistToken, Term,
};
use quorate_log::fault::FaultFs;
use quorate_log::{
    BlockBuilder, Compact, Entries, Envelope, Fs, Log, LogConfig, LogError, OpenError, OpenOptions,
    Progress, Recovered, Write,
};

pub(crate) const NODE: u64 = 0xA1;
pub(crate) const CLUSTER: ClusterId = ClusterId(0xC1);

pub(crate) fn node() -> NodeId {
    NodeId::new(NODE).unwrap()
}

/// Small segments, so that every script rolls over.
pub(crate) fn options() -> OpenOptions {
    #[cfg(quorate_mutants)]
    quorate_core::mutant::pick(&std::env::var("QUORATE_MUTANT").unwrap_or_default());
    OpenOptions {
        config: LogConfig { segment_bytes: 8 << 10, sector_bytes: 512, batch_bytes: 4 << 20 },
        format_as: Some(node()),
        cluster: Some(CLUSTER),
        seed: 7,
        proven: Index::ZERO,
        // These tests compact as if their snapshots were elsewhere.
        external_snapshots: true,
    }
}

pub(crate) fn open<F: Fs>(fs: F) -> Result<Recovered<F>, OpenError> {
    quorate_log::open_blocking(fs, options())
}

pub(crate) fn id(index: u64, term: u64) -> EntryId {
    EntryId::new(Index(index), Term(term))
}

pub(crate) fn state(term: u64, vote: u64) -> HardState {
    HardState { term: Term(term), vote: NodeId::new(vote) }
}

/// A payload that says which entry it belongs to, of about `size` bytes.
pub(crate) fn payload(index: u64, term: u64, size: usize) -> Vec<u8> {
    let mut bytes = format!("entry {index}@{term}:").into_bytes();
    // Zeros are the hardest payload: they look like what was never written.
    bytes.resize(size.max(bytes.len()), 0);
    bytes
}

/// Entries `first..first + count` of one term; a size above 0xFFFF marks a membership entry.
pub(crate) fn entries(first: u64, count: u64, term: u64, size: usize) -> Entries {
    let mut builder = BlockBuilder::with_capacity(8, 4096);
    for index in first..first + count {
        let kind = if index.is_multiple_of(7) { EntryKind::Membership } else { EntryKind::Command };
        let envelope = Envelope::of(kind, index);
        builder.push(Index(index), Term(term), &envelope, &payload(index, term, size));
    }
    Entries::all(builder.finish())
}

pub(crate) fn write(token: u64) -> Write {
    Write {
        token: PersistToken(token),
        hard_state: None,
        truncate_from: None,
        entries: Few::new(),
        commit: Index::ZERO,
    }
}

pub(crate) fn append(token: u64, entries: Entries) -> Write {
    Write { entries: Few::one(entries), ..write(token) }
}

/// Steps until nothing is left; what was reported on the way.
pub(crate) fn settle<F: Fs>(log: &mut Log<F>) -> Result<Vec<Progress>, LogError> {
    let mut reports = Vec::new();
    loop {
        match log.step()? {
            Progress::Idle => return Ok(reports),
            Progress::Working => {}
            report => reports.push(report),
        }
    }
}

/// A founded directory whose log is empty, term 1.
pub(crate) fn founded<F: Fs>(fs: F) -> Recovered<F> {
    let mut recovered = open(fs).unwrap();
    recovered.log.found(CLUSTER, b"founding record".to_vec()).unwrap();
    recovered.log.enqueue(Write { hard_state: Some(state(1, 0)), ..write(1) });
    settle(&mut recovered.log).unwrap();
    recovered.hard_state = recovered.log.hard_state();
    recovered
}

/// What a log holds, seen from outside.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Contents {
    pub(crate) base: EntryId,
    pub(crate) meta: Vec<u8>,
    pub(crate) entries: BTreeMap<Index, (Term, Vec<u8>)>,
}

impl Contents {
    pub(crate) fn last(&self) -> EntryId {
        let last = self.entries.last_key_value();
        last.map_or(self.base, |(&index, &(term, _))| EntryId::new(index, term))
    }

    pub(crate) fn truncate(&mut self, from: Index) {
        self.entries.retain(|&index, _| index < from);
    }

    pub(crate) fn append(&mut self, entries: &Entries) {
        for entry in entries.iter() {
            self.entries.insert(entry.id.index, (entry.id.term, entry.payload.to_vec()));
        }
    }

    pub(crate) fn apply(&mut self, write: &Write) {
        if let Some(from) = write.truncate_from {
            self.truncate(from);
        }
        write.entries.iter().for_each(|entries| self.append(entries));
    }

    pub(crate) fn compact(&mut self, compact: &Compact) {
        if compact.base.index <= self.base.index {
            return;
        }
        let held = self.entries.get(&compact.base.index).map(|(term, _)| *term);
        if held == Some(compact.base.term) {
            self.entries.retain(|&index, _| index > compact.base.index);
        } else {
            self.entries.clear();
        }
        self.base = compact.base;
        self.meta.clone_from(&compact.meta);
    }
}

/// Everything that a recovered log holds, read back and checked against the heads.
pub(crate) fn contents<F: Fs>(recovered: &mut Recovered<F>) -> Contents {
    let mut seen =
        Contents { base: recovered.base, meta: recovered.base_meta.clone(), ..Contents::default() };
    assert_eq!(recovered.log.base(), recovered.base);
    let mut next = recovered.base.index.next();
    let mut memberships = recovered.memberships.iter();
    for run in &recovered.runs {
        assert_eq!(run.first, next, "heads have no gap");
        assert!(run.count > 0 && run.bytes > 0);
        next = run.last().next();
        if run.kind == EntryKind::Membership {
            assert_eq!(run.count, 1);
            let (index, content) = memberships.next().expect("each membership has its content");
            assert_eq!(*index, run.first);
            assert!(content.starts_with(format!("entry {}@{}:", index.0, run.term.0).as_bytes()));
        }
    }
    assert_eq!(memberships.next(), None);
    let last = recovered.log.last();
    assert_eq!(recovered.runs.last().map_or(recovered.base, |run| run.last_id()), last);
    assert!(recovered.commit <= last.index.max(recovered.base.index));
    read_all(&mut recovered.log, &mut seen);
    for run in &recovered.runs {
        for index in run.first.0..=run.last().0 {
            assert_eq!(seen.entries[&Index(index)].0, run.term, "heads say what the entries say");
        }
    }
    seen
}

fn read_all<F: Fs>(log: &mut Log<F>, seen: &mut Contents) {
    let last = log.last().index;
    let mut next = log.base().index.next();
    while next <= last {
        let read = log.read(next, last, 1000).expect("what is durable can be read");
        assert!(!read.is_empty());
        for part in read {
            assert_eq!(part.first(), next);
            next = part.last().next();
            seen.append(&part);
        }
    }
    for (index, (term, bytes)) in &seen.entries {
        let expected = payload(index.0, term.0, bytes.len());
        assert_eq!(*bytes, expected, "no entry holds another's bytes");
    }
}

/// One step of a script.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Queued together.
    Writes(Vec<Write>),
    Compact(Compact),
    Found,
    Fence,
    Prepare,
}

/// A script under way: what was promised and what may be there.
#[derive(Clone, Debug)]
pub(crate) struct Ghost {
    /// Contents and hard state after each job that was queued.
    pub(crate) after: Vec<(Contents, HardState)>,
    /// Tokens by number of jobs.
    tokens: Vec<Option<PersistToken>>,
    /// How many jobs were reported as done.
    pub(crate) done: usize,
}

impl Default for Ghost {
    fn default() -> Self {
        Self {
            after: vec![(Contents::default(), HardState::default())],
            tokens: vec![None],
            done: 0,
        }
    }
}

impl Ghost {
    /// What [`founded`] leaves.
    pub(crate) fn founded() -> Self {
        let mut ghost = Self::default();
        ghost.after[0].1 = state(1, 0);
        ghost
    }

    fn queue(&mut self, contents: Contents, hard_state: HardState, token: Option<PersistToken>) {
        self.after.push((contents, hard_state));
        self.tokens.push(token);
    }

    /// Runs a script until it ends or the machine dies.
    pub(crate) fn run<F: Fs>(&mut self, log: &mut Log<F>, script: &[Step]) -> Result<(), LogError> {
        for step in script {
            let (mut contents, mut hard_state) = self.after.last().unwrap().clone();
            match step {
                Step::Writes(writes) => {
                    for write in writes {
                        contents.apply(write);
                        hard_state = write.hard_state.unwrap_or(hard_state);
                        self.queue(contents.clone(), hard_state, Some(write.token));
                        log.enqueue(write.clone());
                    }
                }
                Step::Compact(compact) => {
                    contents.compact(compact);
                    self.queue(contents, hard_state, None);
                    log.compact(compact.clone());
                }
                Step::Found => log.found(CLUSTER, b"founding record".to_vec()).unwrap(),
                Step::Fence => log.fence(),
                Step::Prepare => log.prepare_segment(),
            }
            loop {
                match log.step()? {
                    Progress::Idle => break,
                    Progress::Persisted(token) => {
                        let done = self.tokens.iter().rposition(|other| *other == Some(token));
                        self.done = done.expect("only queued tokens are reported");
                    }
                    Progress::Compacted(_) => self.done = self.after.len() - 1,
                    _ => {}
                }
            }
            assert_eq!(self.done, self.after.len() - 1, "every job is reported");
        }
        Ok(())
    }

    /// Checks that what a machine holds after a crash is what was promised, or what was queued
    /// behind it; forgets what did not make it. Gives the contents.
    pub(crate) fn check<F: Fs>(&mut self, recovered: &mut Recovered<F>) -> Contents {
        let seen = contents(recovered);
        let hard_state = recovered.hard_state;
        let allowed = &self.after[self.done..];
        assert!(
            allowed.iter().any(|(contents, _)| *contents == seen),
            "recovered {seen:?}\n(torn: {:?})\npromised {:?}\nqueued {:?}",
            recovered.report.torn,
            allowed[0],
            &allowed[1..]
        );
        assert!(
            allowed.iter().any(|(_, state)| *state == hard_state),
            "recovered {hard_state:?}, allowed {allowed:?}"
        );
        assert!(seen.last().term <= hard_state.term, "the vote is never older than the log");
        self.after = vec![(seen.clone(), hard_state)];
        self.tokens = vec![None];
        self.done = 0;
        seen
    }
}

/// A script that meets every kind of job, rolls over several segments, replaces suffixes within
/// and across segments, and has the log replaced by a snapshot.
pub(crate) fn script() -> Vec<Step> {
    let hard = |token, term, vote| Write { hard_state: Some(state(term, vote)), ..write(token) };
    let cut = |token, from, entries: Option<Entries>| Write {
        truncate_from: Some(Index(from)),
        entries: entries.into_iter().collect(),
        ..write(token)
    };
    let compact = |index, term| {
        Step::Compact(Compact { base: id(index, term), meta: format!("meta {index}").into_bytes() })
    };
    vec![
        Step::Found,
        Step::Writes(vec![hard(1, 1, NODE)]),
        Step::Prepare,
        Step::Writes(vec![append(2, entries(1, 1, 1, 20))]),
        Step::Writes(vec![
            append(3, entries(2, 3, 1, 100)),
            append(4, entries(5, 1, 1, 900)),
            Write { commit: Index(4), ..append(5, entries(6, 4, 1, 10)) },
        ]),
        Step::Fence,
        // A new term: its vote comes first, entries with it.
        Step::Writes(vec![Write {
            hard_state: Some(state(2, 0xB2)),
            ..append(6, entries(10, 2, 2, 700))
        }]),
        // A suffix is replaced inside the segment.
        Step::Writes(vec![Write {
            hard_state: Some(state(3, 0)),
            ..cut(7, 9, Some(entries(9, 2, 3, 300)))
        }]),
        Step::Writes(vec![append(8, entries(11, 5, 3, 700))]),
        Step::Prepare,
        Step::Writes(vec![append(9, entries(16, 3, 3, 1400))]),
        Step::Fence,
        // A suffix that begins in an earlier segment is dropped, then another follows.
        Step::Writes(vec![cut(10, 13, None)]),
        Step::Writes(vec![
            Write { hard_state: Some(state(4, 0xA1)), ..append(11, entries(13, 2, 4, 64)) },
            append(12, entries(15, 1, 4, 2000)),
        ]),
        compact(11, 3),
        Step::Writes(vec![append(13, entries(16, 4, 4, 1500))]),
        compact(19, 4),
        Step::Writes(vec![append(14, entries(20, 2, 4, 100)), hard(15, 5, 0), hard(16, 6, 0xB1)]),
        // A snapshot far ahead takes the log's place.
        compact(100, 6),
        Step::Writes(vec![append(17, entries(101, 3, 6, 500))]),
        // One that the log contradicts.
        Step::Writes(vec![append(18, entries(104, 9, 6, 300))]),
        Step::Writes(vec![hard(19, 8, 0)]),
        compact(106, 8),
        Step::Writes(vec![append(20, entries(107, 1, 8, 40))]),
        Step::Fence,
        Step::Writes(vec![append(21, entries(108, 1, 8, 6000))]),
        Step::Writes(vec![append(22, entries(109, 2, 8, 10))]),
    ]
}

/// Opens and runs a script until it ends or the machine dies; whether it ended.
pub(crate) fn attempt(fs: FaultFs, ghost: &mut Ghost, script: &[Step]) -> bool {
    let Ok(mut recovered) = open(fs) else { return false };
    ghost.run(&mut recovered.log, script).is_ok()
}
