//! Nodes by hand: what a step asks for, and what damaged or late messages do to one.

use quorate_sim::rng::Rng;

use super::*;

const SETUP: NodeSetup =
    NodeSetup { me: 0, peers: 3, timing: Timing::brisk(), seed: 1, now: Duration::ZERO };

/// Nodes that hear each other at once, and what each has saved.
struct Nodes {
    nodes: Vec<LabNode>,
    saved: Vec<Saved>,
    applied: Vec<Vec<ApplyMsg>>,
    now: Duration,
    /// Requests that were sent, by their methods.
    sent: Vec<(usize, &'static str)>,
}

impl Nodes {
    fn new() -> Self {
        let node = |(me, seed)| LabNode::new(NodeSetup { me, seed, ..SETUP }, &[], &[]);
        let nodes = (0..3).zip(0..3).map(|setup| node(setup).unwrap()).collect();
        let nothing = Saved { state: Vec::new(), snapshot: None };
        let (saved, applied) = (vec![nothing; 3], vec![Vec::new(); 3]);
        Self { nodes, saved, applied, now: Duration::ZERO, sent: Vec::new() }
    }

    /// Carries out what a node asks for, and what follows from that.
    fn settle(&mut self) {
        let mut quiet = false;
        while !quiet {
            quiet = true;
            for me in 0..3 {
                let outputs = self.nodes[me].drain();
                if let Some(saved) = outputs.save {
                    let snapshot = saved.snapshot.or_else(|| self.saved[me].snapshot.take());
                    self.saved[me] = Saved { state: saved.state, snapshot };
                }
                self.applied[me].extend(outputs.apply);
                for request in outputs.requests {
                    quiet = false;
                    self.sent.push((request.peer, request.method));
                    let reply =
                        self.nodes[request.peer].handle(self.now, request.method, &request.args);
                    if let Some(ticket) = request.ticket {
                        self.nodes[me].answered(self.now, ticket, Some(&reply));
                    }
                }
                if self.nodes[me].wants_flush() {
                    quiet = false;
                    self.nodes[me].flush(self.now);
                }
            }
        }
    }

    fn elect(&mut self) -> usize {
        loop {
            if let Some(leader) = self.nodes.iter().position(|node| node.state().1) {
                return leader;
            }
            self.now = self.nodes.iter().map(LabNode::next_deadline).min().unwrap();
            for me in 0..3 {
                self.nodes[me].tick(self.now);
            }
            self.settle();
        }
    }
}

#[test]
fn several_starts_are_one_save_and_one_request_per_peer() {
    let mut nodes = Nodes::new();
    let leader = nodes.elect();
    nodes.sent.clear();
    for number in 1..=12_u8 {
        let start = nodes.nodes[leader].start(nodes.now, &[number]).unwrap();
        assert_eq!((start.index, start.term), (number.into(), 1));
    }
    let outputs = nodes.nodes[leader].drain();
    assert!(outputs.save.is_none() && outputs.requests.is_empty(), "they wait for the flush");
    nodes.nodes[leader].flush(nodes.now);
    let outputs = nodes.nodes[leader].drain();
    assert!(outputs.save.is_some());
    assert_eq!(outputs.requests.len(), 2);
    let sizes: Vec<_> = outputs.requests.iter().map(|request| request.args.len()).collect();
    assert_eq!(sizes, [3 + 12 * 2; 2]);
}

#[test]
fn what_is_committed_is_told_once_and_only_where_a_service_sees_it() {
    let mut nodes = Nodes::new();
    let leader = nodes.elect();
    let appends = |nodes: &Nodes| {
        nodes.sent.iter().filter(|(_, method)| *method == messages::APPEND_ENTRIES).count()
    };
    assert_eq!(appends(&nodes), 2, "the entry that opens the term, and no notice of it");
    nodes.nodes[leader].start(nodes.now, b"x").unwrap();
    nodes.settle();
    assert_eq!(appends(&nodes), 6, "an entry and a notice to each");
    let command = ApplyMsg::Command { data: b"x".to_vec(), index: 1, term: 1 };
    assert!(nodes.applied.iter().all(|applied| *applied == [command.clone()]));
}

#[test]
fn what_was_saved_comes_back() {
    let mut nodes = Nodes::new();
    let leader = nodes.elect();
    for number in 1..=5_u8 {
        nodes.nodes[leader].start(nodes.now, &[number]).unwrap();
        nodes.settle();
    }
    nodes.nodes[leader].snapshot(nodes.now, 3, b"three");
    nodes.settle();
    for me in 0..3 {
        let saved = nodes.saved[me].clone();
        let snapshot = saved.snapshot.unwrap_or_default();
        assert_eq!(snapshot.is_empty(), me != leader);
        let setup = NodeSetup { me, now: nodes.now, ..SETUP };
        let again = LabNode::new(setup, &saved.state, &snapshot).unwrap();
        assert_eq!(again.state(), (1, false));
        assert_eq!(again.replica().last(), nodes.nodes[me].replica().last());
        assert_eq!(again.handed, if me == leader { 3 } else { 0 });
        assert_eq!(again.committed(4), None, "it is not known to be committed yet");
        nodes.nodes[me] = again;
        nodes.applied[me].clear();
    }
    nodes.elect();
    nodes.settle();
    let indices = |me: usize| -> Vec<_> {
        let index = |msg: &ApplyMsg| match msg {
            ApplyMsg::Command { index, .. } | ApplyMsg::Snapshot { index, .. } => *index,
        };
        nodes.applied[me].iter().map(index).collect()
    };
    for me in 0..3 {
        let expected = if me == leader { vec![4, 5] } else { vec![1, 2, 3, 4, 5] };
        assert!(expected.starts_with(&indices(me)), "{me}: {:?}", indices(me));
    }
}

#[test]
fn a_state_with_twenty_live_commands_stays_below_two_thousand_bytes() {
    let mut nodes = Nodes::new();
    let leader = nodes.elect();
    let mut most = 0;
    for number in 1..=200_u64 {
        let command = format!("{:020}", number);
        nodes.nodes[leader].start(nodes.now, command.as_bytes()).unwrap();
        nodes.settle();
        most = most.max(nodes.saved.iter().map(|saved| saved.state.len()).max().unwrap());
        if number % 20 == 0 {
            for me in 0..3 {
                // Its followers learn of the last command's commitment with the next one.
                nodes.nodes[me].snapshot(nodes.now, number - 1, &[7; 3000]);
            }
            nodes.settle();
        }
    }
    assert!(most < 1000, "{most} bytes");
}

#[test]
fn a_peer_that_needs_what_is_gone_gets_a_snapshot_by_time_alone() {
    let mut nodes = Nodes::new();
    let leader = nodes.elect();
    let away = (leader + 1) % 3;
    let now = nodes.now;
    for number in 1..=100_u64 {
        nodes.nodes[leader].start(now, &number.to_le_bytes()).unwrap();
        nodes.nodes[leader].flush(now);
        for request in nodes.nodes[leader].drain().requests {
            if request.peer != away {
                let peer = &mut nodes.nodes[request.peer];
                let reply = peer.handle(now, request.method, &request.args);
                if let Some(ticket) = request.ticket {
                    nodes.nodes[leader].answered(now, ticket, Some(&reply));
                }
            }
        }
    }
    nodes.nodes[leader].snapshot(now, 100, b"all hundred");
    let mut offered = Vec::new();
    for _ in 0..40 {
        nodes.now = nodes.nodes[leader].next_deadline();
        let now = nodes.now;
        nodes.nodes[leader].tick(now);
        for request in nodes.nodes[leader].drain().requests {
            if request.method == messages::INSTALL_SNAPSHOT {
                offered.push(now);
            }
            // The first five snapshots are lost, and nobody ever says so.
            let is_lost = request.method == messages::INSTALL_SNAPSHOT && offered.len() <= 5;
            if !is_lost {
                let reply = nodes.nodes[request.peer].handle(now, request.method, &request.args);
                if let Some(ticket) = request.ticket {
                    nodes.nodes[leader].answered(now, ticket, Some(&reply));
                }
            }
        }
    }
    assert_eq!(offered.len(), 6, "once with each heartbeat, and no more when it is there");
    let every = offered.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(every.into_iter().all(|every| every <= 2 * SETUP.timing.heartbeat));
    let outputs = nodes.nodes[away].drain();
    let saved = outputs.save.expect("it is saved");
    assert_eq!(saved.snapshot.as_deref(), Some(b"all hundred".as_slice()), "in one save");
    State::decode(&saved.state, b"all hundred").expect("they go together");
    let data = b"all hundred".to_vec();
    assert_eq!(outputs.apply[0], ApplyMsg::Snapshot { data, term: 1, index: 100 });
    assert_eq!(nodes.nodes[away].replica().last(), nodes.nodes[leader].replica().last());
}

#[test]
fn damaged_requests_and_answers_do_no_harm() {
    let mut rng = Rng::new(9);
    let mut nodes = Nodes::new();
    let leader = nodes.elect();
    for number in 0..2_000_u64 {
        nodes.nodes[leader].start(nodes.now, &number.to_le_bytes());
        nodes.nodes[leader].flush(nodes.now);
        for mut request in nodes.nodes[leader].drain().requests {
            let target = &mut nodes.nodes[request.peer];
            if rng.chance(300_000) {
                // A damaged request may look like a real one: it goes to a copy of the peer.
                let saved = target.state.encode();
                let setup = NodeSetup { me: request.peer, now: nodes.now, ..SETUP };
                let mut copy = LabNode::new(setup, &saved, &target.snapshot).unwrap();
                let at = rng.index(request.args.len());
                request.args[at] ^= 1 << rng.range(0..8_u64);
                if rng.coin() {
                    request.args.truncate(at);
                }
                copy.handle(nodes.now, request.method, &request.args);
                continue;
            }
            let reply = target.handle(nodes.now, request.method, &request.args);
            if let Some(ticket) = request.ticket {
                nodes.nodes[leader].answered(nodes.now, ticket, Some(&[]));
                nodes.nodes[leader].answered(nodes.now, ticket, Some(&[0xff, 0xff]));
                nodes.nodes[leader].answered(nodes.now, ticket, Some(&reply));
                nodes.nodes[leader].answered(nodes.now, ticket, Some(&reply));
                nodes.nodes[leader].answered(nodes.now, ticket, None);
            }
        }
        nodes.now += Duration::from_millis(60);
        nodes.nodes[leader].tick(nodes.now);
    }
    assert!(nodes.nodes[leader].state().1 && nodes.nodes[leader].halted().is_none());
    assert!(nodes.nodes[leader].handed > 1_900);
}

#[test]
fn a_peer_that_lost_what_it_acknowledged_stops_and_says_so() {
    let mut nodes = Nodes::new();
    let leader = nodes.elect();
    let forgetful = (leader + 1) % 3;
    for number in 1..=5_u8 {
        nodes.nodes[leader].start(nodes.now, &[number]).unwrap();
        nodes.settle();
    }
    let setup = NodeSetup { me: forgetful, now: nodes.now, ..SETUP };
    nodes.nodes[forgetful] = LabNode::new(setup, &[], &[]).unwrap();
    for _ in 0..3 {
        nodes.now = nodes.nodes[leader].next_deadline();
        let now = nodes.now;
        nodes.nodes[leader].tick(now);
        nodes.settle();
    }
    let why = nodes.nodes[forgetful].halted().expect("it halted");
    assert!(why.contains("LostDurability"), "{why}");
    assert_eq!(
        nodes.nodes[forgetful].handle(nodes.now, messages::APPEND_ENTRIES, &[0, 1, 1]),
        Vec::<u8>::new()
    );
}
