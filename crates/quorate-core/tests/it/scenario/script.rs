//! What each command of a script does. `tests/scenarios/README.md` describes them for writers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use quorate_core::{
    BootCounter, Config, EntryId, Envelope, Input, Message, NodeId, RequestId, SnapshotId, Term,
};

use super::parse::{self, Link, Parsed, value};
use super::shift::Origin;
use crate::cluster::{Cluster, Event, Torn};

/// Messages that one command may deliver before something is wrong.
const LIMIT: usize = 2000;

pub struct Script {
    origin: Origin,
    cluster: Option<Cluster>,
    /// Links that carry nothing: what is sent over them is lost.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Nodes whose writes wait for a command.
    slow: BTreeSet<NodeId>,
    /// Nodes whose store of snapshots waits for a command.
    slow_store: BTreeSet<NodeId>,
    kept: BTreeMap<String, Vec<Envelope>>,
    lines: Vec<String>,
}

impl Script {
    pub fn new(origin: EntryId) -> Self {
        Self {
            origin: Origin(origin),
            cluster: None,
            cut: BTreeSet::new(),
            slow: BTreeSet::new(),
            slow_store: BTreeSet::new(),
            kept: BTreeMap::new(),
            lines: Vec::new(),
        }
    }

    /// Runs one command and tells what happened, a line each.
    pub fn run(&mut self, command: &str) -> Parsed<Vec<String>> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let (is_quiet, words) = match words.split_first() {
            Some((&"quietly", rest)) => (true, rest),
            _ => (false, &words[..]),
        };
        let (name, words) = words.split_first().ok_or("a command is missing")?;
        if *name == "cluster" {
            self.found(words)?;
        } else {
            self.command(name, words)?;
        }
        self.told();
        let lines = std::mem::take(&mut self.lines);
        Ok(if is_quiet { Vec::new() } else { lines })
    }

    fn command(&mut self, name: &str, words: &[&str]) -> Parsed<()> {
        match name {
            "disk" => self.disk(words),
            "start" | "restart" => self.start(words),
            "crash" => self.crash(words),
            "slow-disk" => self.each(words, |script, id| {
                script.slow.insert(id);
            }),
            "fast-disk" => self.each(words, |script, id| {
                script.slow.remove(&id);
                script.settle_disk(id);
            }),
            "persist" => self.persist(words),
            "timer" => self.timer_beside(words),
            "run" => self.pass(words),
            "fire" => self.each(words, |script, id| script.wake(id, Input::Timer)),
            "flush" => self.each(words, |script, id| script.wake(id, Input::Flush)),
            "advance" => self.advance(words),
            "elect" => self.elect(words),
            "take" => self.take(words),
            "compact" => self.compact(words),
            "slow-store" => self.each(words, |script, id| {
                script.slow_store.insert(id);
            }),
            "fast-store" => self.each(words, |script, id| {
                script.slow_store.remove(&id);
                script.settle_disk(id);
            }),
            "store" => self.store(words),
            "reject" => self.reject(words),
            "spoil" => self.spoil(words),
            "snapshots" => self.snapshots(words),
            "propose" => self.propose(words, true),
            "accept" => self.propose(words, false),
            "read" => self.read(words, true),
            "ask" => self.read(words, false),
            "deliver" => self.deliver(words),
            "lose" => self.lose(words),
            "duplicate" => self.duplicate(words),
            "keep" => self.keep(words),
            "replay" => self.replay(words),
            "refuse" => self.refuse(words),
            "forge" => self.forge(words),
            "cut" => self.links(words, true),
            "join" => self.links(words, false),
            "isolate" => self.each(words, Self::isolate),
            "heal" => {
                self.cut.clear();
                Ok(())
            }
            "due" => self.due(words),
            "connected" | "closed" => self.connection(name, words),
            "status" => self.status(words),
            "peers" => self.peers(words),
            "wire" => {
                let wire: Vec<Envelope> = self.cluster()?.wire.iter().cloned().collect();
                let line = |envelope| self.origin.envelope(envelope).to_string();
                let lines: Vec<String> = wire.iter().map(line).collect();
                self.lines.extend(lines);
                Ok(())
            }
            other => Err(format!("there is no command `{other}`")),
        }
    }

    fn cluster(&mut self) -> Parsed<&mut Cluster> {
        self.cluster.as_mut().ok_or_else(|| "a script begins with `cluster`".to_owned())
    }

    fn world(&mut self) -> &mut Cluster {
        self.cluster.as_mut().expect("a script begins with `cluster`")
    }

    fn each(&mut self, words: &[&str], act: impl Fn(&mut Self, NodeId)) -> Parsed<()> {
        self.cluster()?;
        for word in words {
            act(self, parse::node(word)?);
        }
        Ok(())
    }

    /// `cluster voters=n1,n2/learners=n3 [base=5@2] [SETTING..]`
    fn found(&mut self, words: &[&str]) -> Parsed<()> {
        let (members, settings) = words.split_first().ok_or("who belongs to it?")?;
        let membership = parse::membership(members)?;
        let mut base = self.origin.0;
        let mut config = Config::builder();
        for word in settings {
            config = match *word {
                "no-pre-vote" => config.pre_vote(false),
                "no-check-quorum" => config.check_quorum(false),
                "no-stickiness" => config.leader_stickiness(false),
                "no-notices" => config.commit_notices(false),
                _ => {
                    if let Some(id) = value(word, "base") {
                        base = self.origin.parse_id(id)?;
                        config
                    } else if let Some(bytes) = value(word, "max-append") {
                        config.max_append_bytes(parse::number(bytes)?)
                    } else if let Some(count) = value(word, "max-inflight") {
                        let count = usize::try_from(parse::number(count)?);
                        config.max_inflight_messages(count.map_err(|e| e.to_string())?)
                    } else if let Some(bytes) = value(word, "max-uncommitted") {
                        config.max_uncommitted_bytes(parse::number(bytes)?)
                    } else if let Some(count) = value(word, "max-reads") {
                        let count = usize::try_from(parse::number(count)?);
                        config.max_pending_reads(count.map_err(|e| e.to_string())?)
                    } else if let Some(bytes) = value(word, "chunk") {
                        let bytes = u32::try_from(parse::number(bytes)?);
                        config.snapshot_chunk_bytes(bytes.map_err(|e| e.to_string())?)
                    } else if let Some(bytes) = value(word, "window") {
                        config.snapshot_window_bytes(parse::number(bytes)?)
                    } else if let Some(bytes) = value(word, "pace") {
                        config.snapshot_bytes_per_second(parse::number(bytes)?)
                    } else if let Some(bytes) = value(word, "keep") {
                        config.keep_bytes(parse::number(bytes)?)
                    } else if let Some(bytes) = value(word, "retain") {
                        config.retain_bytes(parse::number(bytes)?)
                    } else {
                        return Err(format!("`{word}` is no setting"));
                    }
                }
            };
        }
        let config = config.build().map_err(|error| error.to_string())?;
        let mut cluster = Cluster::new(membership, base, config, 1);
        cluster.journal = Some(Vec::new());
        self.cluster = Some(cluster);
        Ok(())
    }

    /// `disk n1 t3 [vote=n2] [commit=2] [ENTRIES..]`
    fn disk(&mut self, words: &[&str]) -> Parsed<()> {
        let (id, rest) = words.split_first().ok_or("whose disk?")?;
        let id = parse::node(id)?;
        let origin = self.origin;
        let cluster = self.cluster()?;
        if !cluster.nodes.contains_key(&id) {
            cluster.add_node(id);
        }
        for word in rest {
            let disk = &mut cluster.nodes.get_mut(&id).expect("it exists").disk;
            if let Some(vote) = value(word, "vote") {
                disk.hard_state.vote = Some(parse::node(vote)?);
            } else if let Some(index) = value(word, "commit") {
                let index = origin.parse_index(index)?;
                disk.commit = index;
                let disk = disk.clone();
                cluster.checker.found_committed(&disk, index);
            } else if word.starts_with('t') {
                disk.hard_state.term = origin.parse_term(word)?;
            } else {
                cluster.put_on_disk(id, &origin.parse_run(word)?);
            }
        }
        Ok(())
    }

    fn start(&mut self, words: &[&str]) -> Parsed<()> {
        let ids = if words.is_empty() { self.cluster()?.ids() } else { Vec::new() };
        let named: Parsed<Vec<NodeId>> = words
            .iter()
            .filter(|word| **word != "without-commit")
            .map(|w| parse::node(w))
            .collect();
        let with_commit = !words.contains(&"without-commit");
        for id in ids.into_iter().chain(named?) {
            self.cluster()?.restart(id, with_commit);
            self.settle_disk(id);
        }
        Ok(())
    }

    /// `crash n1 [whole=1] [torn=hard-state|truncation|COUNT]`
    fn crash(&mut self, words: &[&str]) -> Parsed<()> {
        let (id, rest) = words.split_first().ok_or("who crashes?")?;
        let id = parse::node(id)?;
        let (mut whole, mut torn) = (0, Torn::Nothing);
        for word in rest {
            let count = |digits: &str| {
                usize::try_from(parse::number(digits)?).map_err(|error| error.to_string())
            };
            if let Some(digits) = value(word, "whole") {
                whole = count(digits)?;
            } else if let Some(part) = value(word, "torn") {
                torn = match part {
                    "hard-state" => Torn::HardState,
                    "truncation" => Torn::Truncated,
                    digits => Torn::Entries(count(digits)?),
                };
            }
        }
        self.cluster()?.crash(id, whole, torn);
        Ok(())
    }

    fn persist(&mut self, words: &[&str]) -> Parsed<()> {
        let (id, rest) = words.split_first().ok_or("whose disk?")?;
        let id = parse::node(id)?;
        let count = rest.first().map_or(Ok(u64::MAX), |word| parse::number(word))?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let cluster = self.cluster()?;
        cluster.complete_writes(id, count);
        cluster.flush(id);
        self.settle_disk(id);
        Ok(())
    }

    /// Completes what a fast disk and the state machine owe, until nothing is owed.
    fn settle_disk(&mut self, id: NodeId) {
        for _ in 0..LIMIT {
            let is_slow = self.slow.contains(&id);
            let is_slow_store = self.slow_store.contains(&id);
            let cluster = self.world();
            let Some(alive) = cluster.nodes.get(&id).and_then(|node| node.alive.as_ref()) else {
                return;
            };
            let applies = alive.applying.is_some();
            let writes = !alive.writes.is_empty() && !is_slow;
            let stores = !alive.store.is_empty() && !is_slow_store;
            if !applies && !writes && !stores {
                return;
            }
            cluster.complete_apply(id);
            if writes {
                cluster.complete_writes(id, usize::MAX);
            }
            if stores {
                cluster.complete_store(id, usize::MAX);
            }
            cluster.flush(id);
        }
        panic!("{id} never comes to rest");
    }

    fn wake(&mut self, id: NodeId, input: Input) {
        self.world().wake(id, input);
        self.settle_disk(id);
    }

    /// Time moves to the node's deadline, and its timer fires.
    fn timer(&mut self, id: NodeId) {
        let cluster = self.world();
        let at = cluster.raft(id).next_deadline().expect("the node waits for something");
        cluster.advance_to(id, at);
        self.wake(id, Input::Timer);
    }

    /// `timer n3 [beside n1 ..]`: the others' timers fire on the way there, and all messages arrive.
    fn timer_beside(&mut self, words: &[&str]) -> Parsed<()> {
        let (id, others) = match words {
            [id] => (parse::node(id)?, Vec::new()),
            [id, "beside", others @ ..] => {
                let others: Parsed<_> = others.iter().map(|word| parse::node(word)).collect();
                (parse::node(id)?, others?)
            }
            _ => return Err("timer NODE [beside NODES]".to_owned()),
        };
        let lines = self.lines.len();
        while let Some(other) = self.first_due(&others, Some(id)) {
            self.timer(other);
            self.deliver(&[])?;
            self.told();
        }
        self.lines.truncate(lines);
        self.timer(id);
        Ok(())
    }

    /// `run 500 n1 ..`: so many milliseconds, in which these nodes' timers fire and messages arrive.
    fn pass(&mut self, words: &[&str]) -> Parsed<()> {
        let (millis, ids) = words.split_first().ok_or("for how long?")?;
        let ids: Parsed<Vec<NodeId>> = ids.iter().map(|word| parse::node(word)).collect();
        let ids = ids?;
        let end = self.cluster()?.now.after(Duration::from_millis(parse::number(millis)?));
        while let Some(id) = self.first_due(&ids, None) {
            let due = self.world().raft(id).next_deadline();
            if due.is_none_or(|at| at > end) {
                break;
            }
            self.timer(id);
            self.deliver(&[])?;
        }
        let cluster = self.world();
        cluster.now = cluster.now.max(end);
        Ok(())
    }

    /// Whose deadline comes first; nobody's where `before` comes earlier.
    fn first_due(&mut self, ids: &[NodeId], before: Option<NodeId>) -> Option<NodeId> {
        let cluster = self.world();
        let limit = before.and_then(|id| cluster.raft(id).next_deadline());
        let due = |id: &NodeId| cluster.raft(*id).next_deadline().map(|at| (at, *id));
        let (at, id) = ids.iter().filter_map(due).min()?;
        limit.is_none_or(|limit| at < limit).then_some(id)
    }

    /// `advance 250` milliseconds, without any timer.
    fn advance(&mut self, words: &[&str]) -> Parsed<()> {
        let millis = parse::number(words.first().ok_or("by how many milliseconds?")?)?;
        let cluster = self.cluster()?;
        cluster.now = cluster.now.after(Duration::from_millis(millis));
        Ok(())
    }

    /// The node's timer fires and all messages arrive, until it leads and all is still.
    fn elect(&mut self, words: &[&str]) -> Parsed<()> {
        let id = parse::node(words.first().ok_or("elect whom?")?)?;
        self.timer(id);
        self.deliver(&[])?;
        if self.cluster()?.raft(id).is_leader() { Ok(()) } else { Err("it did not win".into()) }
    }

    /// `propose n1 [COUNT [BYTES]]`; `accept` is the same without the end of the wake-up.
    fn propose(&mut self, words: &[&str], with_flush: bool) -> Parsed<()> {
        let id = parse::node(words.first().ok_or("to whom?")?)?;
        let count = words.get(1).map_or(Ok(1), |word| parse::number(word))?;
        let bytes = words.get(2).map_or(Ok(100), |word| parse::number(word))?;
        let bytes = u32::try_from(bytes).map_err(|error| error.to_string())?;
        for _ in 0..count {
            let outcome = self.cluster()?.propose(id, bytes);
            let line = match outcome {
                Ok(entry) => format!("{id}: proposed {}", self.origin.id(entry)),
                Err(error) => format!("{id}: refused: {error}"),
            };
            self.told();
            self.lines.push(line);
        }
        if with_flush {
            self.wake(id, Input::Flush);
        }
        Ok(())
    }

    /// `take n1 BYTES [HASH]`: a snapshot of what is executed.
    fn take(&mut self, words: &[&str]) -> Parsed<()> {
        let id = parse::node(words.first().ok_or("who?")?)?;
        let bytes = parse::number(words.get(1).ok_or("of how many bytes?")?)?;
        let hash = words.get(2).map_or(Ok(0xa11), |word| parse::number(word))?;
        let hash = u128::from(hash) << 96;
        let taken = self.cluster()?.take_snapshot(id, bytes, hash);
        let taken = taken.ok_or("there is nothing that the newest lacks")?;
        self.told();
        self.lines.push(format!("{id}: snapshot {}", self.origin.snapshot(taken)));
        self.world().flush(id);
        Ok(())
    }

    /// `compact n1`: the log gives up what it may.
    fn compact(&mut self, words: &[&str]) -> Parsed<()> {
        let id = parse::node(words.first().ok_or("whose log?")?)?;
        let base = self.cluster()?.compact(id);
        let line = base.map_or_else(
            || format!("{id}: nothing to give up"),
            |base| format!("{id}: the log begins after {}", self.origin.id(base)),
        );
        self.lines.push(line);
        self.settle_disk(id);
        Ok(())
    }

    /// `store n1 [COUNT]`: the store does what waits.
    fn store(&mut self, words: &[&str]) -> Parsed<()> {
        let (id, rest) = words.split_first().ok_or("whose store?")?;
        let id = parse::node(id)?;
        let count = rest.first().map_or(Ok(u64::MAX), |word| parse::number(word))?;
        let cluster = self.cluster()?;
        cluster.complete_store(id, usize::try_from(count).unwrap_or(usize::MAX));
        cluster.flush(id);
        self.settle_disk(id);
        Ok(())
    }

    /// `reject n1`: what it receives is not what it claims to be.
    fn reject(&mut self, words: &[&str]) -> Parsed<()> {
        let id = parse::node(words.first().ok_or("who?")?)?;
        if !self.cluster()?.reject_snapshot(id) {
            return Err("it receives nothing".to_owned());
        }
        self.world().flush(id);
        Ok(())
    }

    /// The files of the snapshots that a node sends cannot be read any more.
    fn spoil(&mut self, words: &[&str]) -> Parsed<()> {
        let id = parse::node(words.first().ok_or("whose?")?)?;
        for snapshot in self.cluster()?.raft(id).snapshots_in_use() {
            self.world().input(id, Input::SnapshotUnreadable(snapshot));
        }
        self.world().flush(id);
        Ok(())
    }

    /// What of snapshots is on a disk, and what of it is in use.
    fn snapshots(&mut self, words: &[&str]) -> Parsed<()> {
        let id = parse::node(words.first().ok_or("whose?")?)?;
        let origin = self.origin;
        let node = &self.cluster()?.nodes[&id];
        // What the playing begins with belongs to no script.
        let is_shown = |id: &&SnapshotId| id.last != origin.0;
        let whole = node.disk.snapshots.iter().filter(is_shown);
        let whole = whole.map(|id| origin.snapshot(*id).to_string());
        let mut said: Vec<String> = whole.collect();
        let partial = node.disk.partial.iter();
        said.extend(partial.map(|(id, stored)| format!("{stored} of {}", origin.snapshot(*id))));
        let in_use = node.alive.as_ref().map_or_else(Vec::new, |it| it.raft.snapshots_in_use());
        let in_use: Vec<String> =
            in_use.iter().filter(is_shown).map(|id| origin.id(id.last).to_string()).collect();
        let list = |of: Vec<String>| if of.is_empty() { "none".into() } else { of.join(", ") };
        self.lines.push(format!("{id}: {}; in use {}", list(said), list(in_use)));
        Ok(())
    }

    /// `read n1 7`; `ask` is the same without the end of the wake-up.
    fn read(&mut self, words: &[&str], with_flush: bool) -> Parsed<()> {
        let id = parse::node(words.first().ok_or("where?")?)?;
        let read = parse::number(words.get(1).ok_or("under which number?")?)?;
        let cluster = self.cluster()?;
        cluster.read(id, read);
        if with_flush {
            cluster.flush(id);
        }
        Ok(())
    }

    /// `deliver [LINK [COUNT]]`: what is under way on the link, or all until nothing is.
    fn deliver(&mut self, words: &[&str]) -> Parsed<()> {
        let Some(word) = words.first() else {
            for _ in 0..LIMIT {
                let Some(envelope) = self.cluster()?.wire.pop_front() else { return Ok(()) };
                self.arrive(envelope);
            }
            return Err("messages beget messages".to_owned());
        };
        let count = words.get(1).map_or(Ok(u64::MAX), |word| parse::number(word))?;
        for envelope in self.take_from_wire(Link::parse(word)?, count)? {
            self.arrive(envelope);
        }
        Ok(())
    }

    fn take_from_wire(&mut self, link: Link, count: u64) -> Parsed<VecDeque<Envelope>> {
        let wire = &mut self.cluster()?.wire;
        let mut left = count;
        let (taken, rest): (VecDeque<_>, VecDeque<_>) = wire.drain(..).partition(|envelope| {
            let is_taken = left > 0 && link.covers(envelope.from, envelope.to);
            left -= u64::from(is_taken);
            is_taken
        });
        *wire = rest;
        if taken.is_empty() { Err("nothing is under way there".to_owned()) } else { Ok(taken) }
    }

    /// A message arrives, unless its link is cut or nobody is there.
    fn arrive(&mut self, envelope: Envelope) {
        self.told();
        let Envelope { from, to, .. } = envelope;
        let is_there = self.world().nodes.get(&to).is_some_and(|node| node.alive.is_some());
        if self.cut.contains(&(from, to)) || !is_there {
            self.lines.push(format!("lost {}", short(&envelope)));
            return;
        }
        self.lines.push(format!("-> {}", short(&envelope)));
        self.world().deliver(envelope);
        self.wake(to, Input::Flush);
    }

    fn lose(&mut self, words: &[&str]) -> Parsed<()> {
        let link = Link::parse(words.first().ok_or("on which link?")?)?;
        let count = words.get(1).map_or(Ok(u64::MAX), |word| parse::number(word))?;
        for envelope in self.take_from_wire(link, count)? {
            self.lines.push(format!("lost {}", short(&envelope)));
        }
        Ok(())
    }

    fn duplicate(&mut self, words: &[&str]) -> Parsed<()> {
        let copies = self.under_way(words.first().ok_or("on which link?")?)?;
        self.cluster()?.wire.extend(copies);
        Ok(())
    }

    /// `keep NAME LINK`: a copy for later; what is under way stays so.
    fn keep(&mut self, words: &[&str]) -> Parsed<()> {
        let [name, link] = words else { return Err("keep NAME LINK".to_owned()) };
        let copies = self.under_way(link)?;
        self.kept.insert((*name).to_owned(), copies);
        Ok(())
    }

    fn under_way(&mut self, link: &str) -> Parsed<Vec<Envelope>> {
        let link = Link::parse(link)?;
        let wire = self.cluster()?.wire.iter();
        let copies: Vec<Envelope> =
            wire.filter(|envelope| link.covers(envelope.from, envelope.to)).cloned().collect();
        if copies.is_empty() { Err("nothing is under way there".to_owned()) } else { Ok(copies) }
    }

    fn replay(&mut self, words: &[&str]) -> Parsed<()> {
        let name = words.first().ok_or("which copy?")?;
        let copies = self.kept.get(*name).ok_or("no such copy was kept")?.clone();
        copies.into_iter().for_each(|envelope| self.arrive(envelope));
        Ok(())
    }

    /// `refuse LINK`: the transport cannot send the oldest message and says so.
    fn refuse(&mut self, words: &[&str]) -> Parsed<()> {
        let link = Link::parse(words.first().ok_or("on which link?")?)?;
        for envelope in self.take_from_wire(link, 1)? {
            self.lines.push(format!("not sent {}", short(&envelope)));
            let Envelope { from, to, request, .. } = envelope;
            self.wake(from, Input::SendDropped { to, request });
        }
        Ok(())
    }

    /// `forge n3->n1 [b2] [#1.5] t3 MESSAGE`: what no correct node sends arrives.
    fn forge(&mut self, words: &[&str]) -> Parsed<()> {
        let (link, rest) = words.split_first().ok_or("on which link?")?;
        let link = Link::parse(link)?;
        let (from, to) = link.from.zip(link.to).ok_or("a forged message has two ends")?;
        let mut boot = BootCounter(1);
        let mut request = RequestId::before_first(boot).next();
        let mut term = Term::ZERO;
        let mut at = 0;
        for word in rest {
            if let Some(number) = word.strip_prefix('b') {
                boot = BootCounter(parse::number(number)?);
            } else if word.starts_with('#') {
                request = parse::request(word)?;
            } else if word.starts_with('t') {
                term = self.origin.parse_term(word)?;
            } else {
                break;
            }
            at += 1;
        }
        let message = self.origin.parse_message(&rest[at..])?;
        self.cluster()?.checked = false;
        self.arrive(Envelope { from, boot, to, term, request, message });
        Ok(())
    }

    /// `cut n1 n2` both ways, `cut n1->n2` one way; `join` undoes it.
    fn links(&mut self, words: &[&str], is_cut: bool) -> Parsed<()> {
        let ends = match words {
            [one] => {
                let link = Link::parse(one)?;
                vec![link.from.zip(link.to).ok_or("a link has two ends")?]
            }
            [a, b] => {
                let (a, b) = (parse::node(a)?, parse::node(b)?);
                vec![(a, b), (b, a)]
            }
            _ => return Err("one link or two nodes".to_owned()),
        };
        for end in ends {
            if is_cut {
                self.cut.insert(end);
            } else {
                self.cut.remove(&end);
            }
        }
        Ok(())
    }

    fn isolate(&mut self, id: NodeId) {
        let ids = self.world().ids();
        self.cut.extend(ids.iter().flat_map(|peer| [(*peer, id), (id, *peer)]));
    }

    /// `connected n1 n2`: a handshake of n1 with n2 succeeded, or `closed n1 n2`: n2 closed.
    fn connection(&mut self, name: &str, words: &[&str]) -> Parsed<()> {
        let [id, peer] = words else { return Err("who, and with whom?".to_owned()) };
        let (id, peer) = (parse::node(id)?, parse::node(peer)?);
        let boot = self.cluster()?.nodes[&peer].disk.boot;
        let input = if name == "closed" {
            Input::PeerClosed(peer)
        } else {
            Input::PeerConnected { peer, boot }
        };
        self.wake(id, input);
        Ok(())
    }

    /// `due n1 150`: whether its deadline comes within so many milliseconds.
    fn due(&mut self, words: &[&str]) -> Parsed<()> {
        let [id, millis] = words else { return Err("due NODE MILLISECONDS".to_owned()) };
        let (id, millis) = (parse::node(id)?, parse::number(millis)?);
        let cluster = self.cluster()?;
        let limit = cluster.now.after(Duration::from_millis(millis));
        let is_due = cluster.raft(id).next_deadline().is_some_and(|at| at <= limit);
        let answer = if is_due { "due" } else { "not due" };
        self.lines.push(format!("{id}: {answer} within {millis} ms"));
        Ok(())
    }

    fn status(&mut self, words: &[&str]) -> Parsed<()> {
        let ids = if words.is_empty() { self.cluster()?.alive() } else { Vec::new() };
        let named: Parsed<Vec<NodeId>> = words.iter().map(|word| parse::node(word)).collect();
        for id in ids.into_iter().chain(named?) {
            let status = self.cluster()?.raft(id).status();
            let line = self.origin.status(&status).to_string();
            self.lines.push(line);
        }
        Ok(())
    }

    /// What a leader knows of its peers.
    fn peers(&mut self, words: &[&str]) -> Parsed<()> {
        let id = parse::node(words.first().ok_or("of whom?")?)?;
        let status = self.cluster()?.raft(id).status();
        let peers = self.origin.status(&status).peers;
        self.lines.extend(peers.iter().map(|peer| format!("{id}: {peer}")));
        Ok(())
    }

    /// Turns what happened since the last call into lines.
    fn told(&mut self) {
        let Some(journal) = self.cluster.as_mut().and_then(|cluster| cluster.journal.as_mut())
        else {
            return;
        };
        for event in std::mem::take(journal) {
            let origin = self.origin;
            match event {
                Event::Effect(id, effect) => {
                    self.lines.push(format!("{id}: {}", origin.effect(&effect)));
                }
                Event::Sent(envelope) => self.lines.push(origin.envelope(&envelope).to_string()),
                Event::Held(send) if self.slow.contains(&send.envelope.from) => {
                    self.lines.push(format!("held {}", origin.send(&send)));
                }
                Event::Held(_) => {}
                Event::Persisted(id, token) => self.lines.push(format!("{id}: persisted {token}")),
            }
        }
    }
}

/// A message that was shown in full when it was sent.
fn short(envelope: &Envelope) -> String {
    let Envelope { from, to, request, message, .. } = envelope;
    let name = match message {
        Message::RequestVote(vote) if vote.pre_vote => "PreVote",
        Message::RequestVote(_) => "RequestVote",
        Message::VoteReply(vote) if vote.pre_vote => "PreVoteReply",
        Message::VoteReply(_) => "VoteReply",
        Message::Append(_) => "Append",
        Message::AppendReply(_) => "AppendReply",
        Message::ReadIndex => "ReadIndex",
        Message::ReadIndexReply(_) => "ReadIndexReply",
        Message::OfferSnapshot(_) => "OfferSnapshot",
        Message::SnapshotChunk(_) => "SnapshotChunk",
        Message::SnapshotReply(_) => "SnapshotReply",
    };
    format!("{from}->{to} #{}.{} {name}", request.boot().get(), request.within_boot())
}
