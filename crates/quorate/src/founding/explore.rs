//! Founding under crashes, wipes, delays and losses: random interleavings of three nodes, checked
//! after every step.

use super::*;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a usize")
    }
}

/// One address: the directory there, and the process on it while it runs.
struct Slot {
    id: NodeId,
    disk: Option<FoundingRecord>,
    /// A write that was asked for and is not known to be durable.
    writing: Option<FoundingRecord>,
    process: Option<Founding>,
    boot: u64,
    started: bool,
    /// When a running process at this address last counted as empty.
    empty_at: Option<Instant>,
}

enum Packet {
    Ask { from: usize, boot: u64, to: usize, asked: Instant },
    Answer { to: usize, boot: u64, from: usize, asked: Instant, answer: Answer },
    Offer { at: usize, to: NodeId, record: FoundingRecord },
}

struct World {
    now: Instant,
    rng: Rng,
    slots: Vec<Slot>,
    net: Vec<Packet>,
    wipes: usize,
    /// Every record that was ever durable in a directory.
    accepted: BTreeMap<NodeId, FoundingRecord>,
    made: usize,
    /// Prints what happens.
    loud: bool,
}

const NODES: usize = 3;

fn address(slot: usize) -> String {
    format!("h{slot}:1")
}

impl World {
    fn new(seed: u64, loud: bool) -> Self {
        let mut world = Self {
            now: Instant::ZERO,
            rng: Rng(seed),
            slots: Vec::new(),
            net: Vec::new(),
            wipes: 0,
            accepted: BTreeMap::new(),
            made: 0,
            loud,
        };
        for _ in 0..NODES {
            let slot = world.format();
            world.slots.push(slot);
        }
        world
    }

    fn format(&mut self) -> Slot {
        let id = NodeId::new(self.rng.next() | 1).expect("odd");
        Slot {
            id,
            disk: None,
            writing: None,
            process: None,
            boot: 0,
            started: false,
            empty_at: None,
        }
    }

    fn start(&mut self, at: usize) {
        let draw = ClusterId(self.rng.next() | 1);
        let slot = &mut self.slots[at];
        let me = Member {
            id: slot.id,
            name: format!("n{at}"),
            peer_address: address(at),
            client_urls: Vec::new(),
        };
        let listed = (0..NODES).map(|slot| Listed::at(address(slot)));
        let peers = PeerList::new(&me.name, &me.peer_address, listed).unwrap();
        let held = slot.disk.clone();
        slot.started = held.is_some();
        slot.process = Some(Founding::new(self.now, me, peers, draw, held).unwrap());
        slot.boot += 1;
        self.input(at, Input::Timer);
    }

    /// Ends the process; a write under way may or may not have reached the disk.
    fn crash(&mut self, at: usize) {
        let lost = self.rng.below(2) == 0;
        let slot = &mut self.slots[at];
        slot.process = None;
        if let Some(record) = slot.writing.take()
            && !lost
        {
            self.durable(at, record);
        }
    }

    fn wipe(&mut self, at: usize) {
        self.crash(at);
        let (boot, empty_at) = (self.slots[at].boot, self.slots[at].empty_at);
        self.slots[at] = Slot { boot, empty_at, ..self.format() };
        self.wipes += 1;
    }

    fn durable(&mut self, at: usize, record: FoundingRecord) {
        let slot = &mut self.slots[at];
        assert!(slot.disk.is_none(), "a directory accepts at most one record");
        assert!(record.roster.member(slot.id).is_some(), "only a listed node accepts a record");
        slot.disk = Some(record.clone());
        let before = self.accepted.insert(slot.id, record);
        assert!(before.is_none(), "an accepted record is never replaced");
    }

    fn input(&mut self, at: usize, input: Input) {
        if self.loud {
            println!("{} slot {at}: {input:?}", self.now);
        }
        let Some(process) = &mut self.slots[at].process else { return };
        for action in process.handle(self.now, input) {
            self.act(at, action);
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        let slot = &mut self.slots[at];
        match action {
            Action::Ask { address: name, asked } => {
                let to = (0..NODES).find(|slot| address(*slot) == name).expect("listed");
                self.net.push(Packet::Ask { from: at, boot: slot.boot, to, asked });
            }
            Action::Persist(record) => {
                assert!(slot.writing.is_none() && slot.disk.is_none(), "one record is written");
                let maker = record.roster.members().next().map(|member| member.id);
                let others_empty = maker == Some(slot.id);
                slot.writing = Some(record);
                if others_empty && !self.shown(at) {
                    self.check_making(at);
                }
            }
            Action::Offer { address: name, to, record } => {
                assert_eq!(slot.disk.as_ref(), Some(&record), "handed over before it is durable");
                let at = (0..NODES).find(|slot| address(*slot) == name).expect("listed");
                self.net.push(Packet::Offer { at, to, record });
            }
            Action::Founded(record) => {
                assert_eq!(slot.disk.as_ref(), Some(&record), "started before it is durable");
                assert!(!slot.started, "a node starts once");
                slot.started = true;
            }
            Action::Refused(_) => {}
        }
    }

    /// Whether the record being written at `at` was made elsewhere.
    fn shown(&self, at: usize) -> bool {
        let writing = self.slots[at].writing.as_ref();
        self.accepted.values().any(|record| Some(record) == writing)
    }

    /// A record is made only while every listed address counted as empty a moment ago.
    fn check_making(&mut self, at: usize) {
        self.made += 1;
        for (other, slot) in self.slots.iter().enumerate().filter(|(other, _)| *other != at) {
            let age = slot.empty_at.map(|empty| self.now.since(empty));
            assert!(
                age.is_some_and(|age| age <= ANSWER_VALID),
                "slot {at} makes a record although slot {other} was last empty {age:?} ago"
            );
        }
    }

    fn deliver(&mut self, packet: usize) {
        match self.net.swap_remove(packet) {
            Packet::Ask { from, boot, to, asked } => match &self.slots[to].process {
                Some(process) => {
                    let answer = process.answer();
                    if let Some(record) = &answer.record {
                        let durable = self.slots[to].disk.as_ref() == Some(record);
                        assert!(durable, "shown before it is durable");
                    }
                    self.net.push(Packet::Answer { to: from, boot, from: to, asked, answer });
                }
                None => self.unreachable(from, boot, to),
            },
            Packet::Answer { to, boot, from, asked, answer } => {
                if self.slots[to].boot == boot {
                    self.input(to, Input::Answered { address: address(from), asked, answer });
                }
            }
            // The handshake compares the node at the address with the one the record is for.
            Packet::Offer { at, to, record } => {
                if self.slots[at].id == to {
                    self.input(at, Input::Offered(record));
                }
            }
        }
    }

    fn unreachable(&mut self, from: usize, boot: u64, to: usize) {
        if self.slots[from].boot == boot {
            let reason = "connection refused".to_owned();
            self.input(from, Input::Unreachable { address: address(to), reason });
        }
    }

    fn step(&mut self, wipes: usize) {
        let at = self.rng.below(NODES);
        match self.rng.below(40) {
            0..=5 => self.written(at),
            6..=11 => _ = self.timer(),
            12..=17 if self.slots[at].process.is_none() => self.start(at),
            18 => self.crash(at),
            19 if self.wipes < wipes => self.wipe(at),
            20 if !self.net.is_empty() => {
                let packet = self.rng.below(self.net.len());
                if let Packet::Ask { from, boot, to, .. } = self.net.swap_remove(packet) {
                    self.unreachable(from, boot, to);
                }
            }
            21 => self.now = self.now.after(Duration::from_millis(500)),
            _ if !self.net.is_empty() => {
                let packet = self.rng.below(self.net.len());
                self.deliver(packet);
            }
            _ => {}
        }
        self.look();
    }

    /// Notes who is empty, then checks what must hold after every step.
    fn look(&mut self) {
        for slot in &mut self.slots {
            if slot.process.as_ref().is_some_and(|process| process.answer().is_empty()) {
                slot.empty_at = Some(self.now);
            }
        }
        self.check();
    }

    fn check(&self) {
        let records: Vec<&FoundingRecord> = self.accepted.values().collect();
        let mut with_majority = BTreeSet::new();
        for record in &records {
            let count = records.iter().filter(|other| other.cluster == record.cluster).count();
            if count * 2 > record.roster.members().len() {
                with_majority.insert(record.cluster);
            }
        }
        if self.wipes <= 1 {
            assert!(with_majority.len() <= 1, "two clusters, each with a majority of its voters");
        }
        if self.wipes == 0 {
            let clusters: BTreeSet<_> = records.iter().map(|record| record.cluster).collect();
            assert!(clusters.len() <= 1, "without a wipe there is one record ever");
        }
    }

    /// Lets everything run undisturbed for long.
    fn settle(&mut self) {
        for at in 0..NODES {
            if self.slots[at].process.is_none() {
                self.start(at);
            }
        }
        let end = self.now.after(Duration::from_secs(20));
        while self.now < end {
            if !self.net.is_empty() {
                let packet = self.rng.below(self.net.len());
                self.deliver(packet);
            } else if let Some(at) = (0..NODES).find(|at| self.slots[*at].writing.is_some()) {
                self.written(at);
            } else if !self.timer() {
                return;
            }
            self.look();
        }
    }

    fn written(&mut self, at: usize) {
        if let Some(record) = self.slots[at].writing.take() {
            self.durable(at, record);
            self.input(at, Input::Persisted);
        }
    }

    /// Moves to the earliest deadline of all, if anybody has one.
    fn timer(&mut self) -> bool {
        let deadline = |slot: &Slot| slot.process.as_ref().and_then(Founding::next_deadline);
        let due = |at: &usize| deadline(&self.slots[*at]).map(|deadline| (deadline, *at));
        let Some((deadline, at)) = (0..NODES).filter_map(|at| due(&at)).min() else { return false };
        self.now = self.now.max(deadline);
        self.input(at, Input::Timer);
        true
    }
}

fn run_once(seed: u64, wipes: usize, loud: bool) -> World {
    let mut world = World::new(seed, loud);
    for _ in 0..200 {
        world.step(wipes);
    }
    world.settle();
    world
}

/// Runs a seed; a failing one runs again and prints the way to its failure.
fn run(seed: u64, wipes: usize) -> World {
    std::panic::catch_unwind(|| run_once(seed, wipes, false)).unwrap_or_else(|_| {
        println!("seed {seed}, {wipes} wipes allowed:");
        run_once(seed, wipes, true)
    })
}

#[test]
fn without_wipes_every_node_ends_in_the_one_cluster() {
    for seed in 0..1_000 {
        let world = run(seed, 0);
        let first = world.slots[0].disk.as_ref();
        assert!(first.is_some(), "seed {seed}: nothing was founded");
        assert!(world.slots.iter().all(|slot| slot.disk.as_ref() == first), "seed {seed}");
        assert!(world.slots.iter().all(|slot| slot.started), "seed {seed}");
        let settled = |slot: &Slot| {
            slot.process.as_ref().is_some_and(|process| process.unconfirmed().is_empty())
        };
        assert!(world.slots.iter().all(settled), "seed {seed}: a holder still asks");
    }
}

#[test]
fn one_wipe_never_makes_two_majorities_and_never_brings_the_wiped_node_in() {
    let mut strangers = 0;
    for seed in 0..1_500 {
        let world = run(seed, 1);
        let holders = world.slots.iter().filter(|slot| slot.disk.is_some()).count();
        assert!(holders > 0, "seed {seed}: nothing was founded");
        strangers += usize::from(holders == NODES - 1);
    }
    assert!(strangers > 100, "the runs must show strangers, {strangers} did");
}

#[test]
fn any_number_of_wipes_leaves_every_directory_with_at_most_one_record() {
    let mut made_again = 0;
    for seed in 0..1_500 {
        let world = run(seed, 8);
        let all_empty = world.slots.iter().all(|slot| slot.disk.is_none());
        assert!(!all_empty, "seed {seed}: all are empty and reachable, and nothing was founded");
        made_again += usize::from(world.made > 1);
    }
    assert!(made_again > 100, "the runs must show refounding, {made_again} did");
}
