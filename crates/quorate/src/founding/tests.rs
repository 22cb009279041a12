//! The rules of founding one by one; their interleavings are in `explore`.

use super::*;

fn id(number: u64) -> NodeId {
    NodeId::new(number).expect("tests use numbers above zero")
}

fn member(number: u64) -> Member {
    Member {
        id: id(number),
        name: format!("n{number}"),
        peer_address: format!("h{number}:1"),
        client_urls: Vec::new(),
    }
}

fn list(own: u64, of: &[u64]) -> PeerList {
    let member = member(own);
    let listed = of.iter().map(|number| Listed::at(format!("h{number}:1")));
    PeerList::new(&member.name, &member.peer_address, listed).unwrap()
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn founding(own: u64, of: &[u64]) -> Founding {
    Founding::new(at(0), member(own), list(own, of), ClusterId(1000 + own), None).unwrap()
}

fn record(cluster: u64, of: &[u64]) -> FoundingRecord {
    let roster = Roster::of_voters(of.iter().copied().map(member)).unwrap();
    FoundingRecord { cluster: ClusterId(cluster), roster }
}

fn empty(number: u64, of: &[u64]) -> Answer {
    let listed = list(number, of).addresses().map(str::to_owned).collect();
    Answer { member: member(number), listed, cluster: ClusterId::ZERO, record: None }
}

fn holder(number: u64, record: &FoundingRecord) -> Answer {
    let mut answer = empty(number, &[number]);
    answer.cluster = record.cluster;
    answer.record = Some(record.clone());
    answer
}

fn answered(number: u64, answer: Answer) -> Input {
    answered_at(0, number, answer)
}

fn answered_at(asked: u64, number: u64, answer: Answer) -> Input {
    Input::Answered { address: format!("h{number}:1"), asked: at(asked), answer }
}

fn ask(asked: u64, number: u64) -> Action {
    Action::Ask { address: format!("h{number}:1"), asked: at(asked) }
}

const ALL: [u64; 3] = [1, 2, 3];

#[test]
fn a_single_node_founds_at_once_and_starts_when_the_record_is_durable() {
    let mut node = founding(7, &[7]);
    let expected = record(1007, &[7]);
    assert_eq!(node.handle(at(0), Input::Timer), [Action::Persist(expected.clone())]);
    assert_eq!(node.record(), None);
    assert_eq!(node.answer().record, None, "nothing shows before it is durable");
    assert!(!node.answer().is_empty(), "but nobody counts it as empty any more");
    assert_eq!(node.handle(at(1), Input::Persisted), [Action::Founded(expected.clone())]);
    assert_eq!(node.record(), Some(&expected));
    assert_eq!(node.next_deadline(), None, "nobody is left to ask");
    assert_eq!(node.handle(at(2), Input::Persisted), [], "a second report means nothing");
}

#[test]
fn the_lowest_id_makes_the_record_when_everybody_has_answered_empty() {
    let mut node = founding(1, &ALL);
    let asks = node.handle(at(0), Input::Timer);
    assert_eq!(asks, [ask(0, 2), ask(0, 3)]);
    assert_eq!(node.handle(at(1), answered(2, empty(2, &ALL))), []);
    assert!(matches!(node.waiting(at(1)), Some(Waiting::Silent { .. })));
    let expected = record(1001, &ALL);
    let made = node.handle(at(2), answered(3, empty(3, &ALL)));
    assert_eq!(made, [Action::Persist(expected.clone())]);
    let offer = |number: u64| Action::Offer {
        address: format!("h{number}:1"),
        to: id(number),
        record: expected.clone(),
    };
    let handed = node.handle(at(3), Input::Persisted);
    assert_eq!(handed, [Action::Founded(expected.clone()), offer(2), offer(3)]);
    assert_eq!(node.unconfirmed(), [id(2), id(3)]);
    assert_eq!(node.handle(at(4), answered(2, holder(2, &expected))), []);
    assert_eq!(node.handle(at(4), answered(3, empty(3, &ALL))), [offer(3)]);
    assert_eq!(node.handle(at(5), Input::Confirmed(id(3))), []);
    assert_eq!((node.unconfirmed(), node.next_deadline()), (vec![], None));
}

#[test]
fn a_higher_id_waits_for_the_maker_and_takes_its_record() {
    let mut node = founding(2, &ALL);
    node.handle(at(0), answered(1, empty(1, &ALL)));
    assert_eq!(node.handle(at(0), answered(3, empty(3, &ALL))), []);
    let waiting = node.waiting(at(0)).unwrap();
    assert_eq!(waiting, Waiting::Maker { node: id(1), address: "h1:1".to_owned() });
    let offered = record(9, &ALL);
    let taken = node.handle(at(1), Input::Offered(offered.clone()));
    assert_eq!(taken, [Action::Persist(offered.clone())]);
    assert_eq!(node.handle(at(1), Input::Offered(offered)), [], "the same once more");
    let other = node.handle(at(1), Input::Offered(record(10, &ALL)));
    let refusal = RecordRefusal::OtherCluster { held: ClusterId(9), offered: ClusterId(10) };
    assert_eq!(other, [Action::Refused(refusal)], "also while the first is being written");
    node.handle(at(2), Input::Persisted);
    let other = node.handle(at(2), Input::Offered(record(10, &ALL)));
    assert_eq!(other, [Action::Refused(refusal)]);
}

#[test]
fn a_record_is_also_taken_from_an_answer_that_shows_it() {
    let mut node = founding(3, &ALL);
    let held = record(9, &ALL);
    let taken = node.handle(at(0), answered(2, holder(2, &held)));
    assert_eq!(taken, [Action::Persist(held)]);
}

#[test]
fn a_wiped_directory_is_a_stranger_and_says_so() {
    // Node 1 came back as node 4 at the same address.
    let of_cluster = record(9, &ALL);
    let mut me = member(4);
    me.peer_address = "h1:1".to_owned();
    let mut node = Founding::new(at(0), me, list(1, &ALL), ClusterId(5), None).unwrap();
    assert_eq!(node.handle(at(0), answered(2, holder(2, &of_cluster))), []);
    let text = node.waiting(at(0)).unwrap().to_string();
    assert!(text.contains("h2:1 (n2) belongs to cluster c9"), "{text}");
    assert!(text.contains("n4") && text.contains("bring back the directory"), "{text}");
    let refused = node.handle(at(1), Input::Offered(of_cluster.clone()));
    let refusal = RecordRefusal::NotListed { node: id(4), offered: ClusterId(9) };
    assert_eq!(refused, [Action::Refused(refusal)]);
    // The cluster's member does not hand it the record either, whatever its address.
    let mut member_2 =
        Founding::new(at(0), member(2), list(2, &ALL), ClusterId(6), Some(of_cluster)).unwrap();
    assert_eq!(member_2.handle(at(0), answered(1, node.answer())), []);
    assert_eq!(member_2.unconfirmed(), [id(1), id(3)]);
}

#[test]
fn two_wiped_directories_found_nothing_while_the_third_is_silent_or_a_member() {
    let mut node = founding(1, &ALL);
    node.handle(at(0), answered(2, empty(2, &ALL)));
    let unreachable =
        Input::Unreachable { address: "h3:1".to_owned(), reason: "connection refused".to_owned() };
    assert_eq!(node.handle(at(0), unreachable), []);
    let text = node.waiting(at(0)).unwrap().to_string();
    assert!(text.contains("waits for 1 of 3 listed nodes: h3:1 (connection refused)"), "{text}");
    assert_eq!(node.handle(at(1), answered(3, holder(3, &record(9, &[7, 8, 3])))), []);
    assert!(matches!(node.waiting(at(1)), Some(Waiting::NotAMember { .. })));
}

#[test]
fn an_answer_that_is_too_old_counts_for_nothing() {
    let mut node = founding(1, &ALL);
    node.handle(at(0), answered(2, empty(2, &ALL)));
    let late = answered_at(5000, 3, empty(3, &ALL));
    assert_eq!(node.handle(at(5001), late), []);
    let text = node.waiting(at(5001)).unwrap().to_string();
    assert!(text.contains("h2:1 (stopped answering)"), "{text}");
    let slow = answered_at(1, 2, empty(2, &ALL));
    assert_eq!(node.handle(at(5002), slow), [], "the age counts from the question");
    let made = node.handle(at(5003), answered_at(4000, 2, empty(2, &ALL)));
    assert!(matches!(made[..], [Action::Persist(_)]));
}

#[test]
fn a_node_that_is_about_to_belong_to_a_cluster_is_not_empty() {
    let mut node = founding(1, &ALL);
    node.handle(at(0), answered(2, empty(2, &ALL)));
    let mut writing = empty(3, &ALL);
    writing.cluster = ClusterId(9);
    assert_eq!(node.handle(at(0), answered(3, writing)), []);
    assert!(matches!(node.waiting(at(0)), Some(Waiting::Joining { .. })));
}

#[test]
fn contradictions_among_the_listed_nodes_stop_the_founding() {
    let attempt = |answer: Answer| {
        let mut node = founding(1, &ALL);
        node.handle(at(0), answered(2, empty(2, &ALL)));
        assert_eq!(node.handle(at(0), answered(3, answer)), []);
        node.waiting(at(0)).unwrap()
    };
    assert!(matches!(attempt(empty(3, &[2, 3])), Waiting::OtherList { .. }));
    let mut twin = empty(3, &ALL);
    twin.member.id = id(2);
    assert!(matches!(attempt(twin), Waiting::SameNode { .. }));
    let mut twin = empty(3, &ALL);
    twin.member.id = id(1);
    assert!(matches!(attempt(twin), Waiting::SameNode { .. }), "the address leads to ourselves");
    let mut namesake = empty(3, &ALL);
    namesake.member.name = "n1".to_owned();
    assert!(matches!(attempt(namesake), Waiting::SameName { .. }));
    let mut elsewhere = empty(3, &ALL);
    elsewhere.member.peer_address = "h9:1".to_owned();
    let text = attempt(elsewhere).to_string();
    assert!(text.contains("h3:1 calls h9:1 its peer address"), "{text}");
}

#[test]
fn a_record_of_another_directory_is_refused_at_the_start() {
    let held = Some(record(9, &[2, 3]));
    let error = Founding::new(at(0), member(1), list(1, &ALL), ClusterId(5), held).unwrap_err();
    assert_eq!(error, ForeignRecord::Unlisted { node: id(1), cluster: ClusterId(9) });
    assert!(error.to_string().contains("copied from another node"), "{error}");
}

#[test]
fn a_directory_of_another_member_is_refused_at_the_start() {
    let start = |change: fn(&mut Member), voters: &[u64]| {
        let mut me = member(1);
        change(&mut me);
        let held = Some(record(9, voters));
        Founding::new(at(0), me, list(1, &[1]), ClusterId(5), held).map(drop)
    };
    assert_eq!(start(|_| {}, &ALL), Ok(()));
    let renamed = |me: &mut Member| me.name = "n2".to_owned();
    let moved = |me: &mut Member| me.peer_address = "h2:1".to_owned();
    let changes: [fn(&mut Member); 2] = [renamed, moved];
    for change in changes {
        let error = start(change, &ALL).unwrap_err();
        assert!(error.to_string().contains("founded as n1 at h1:1"), "{error}");
        assert_eq!(start(change, &[1]), Ok(()), "a node without peers may move");
    }
}

#[test]
fn a_holder_asks_the_voters_it_misses_ever_more_seldom() {
    let held = Some(record(9, &ALL));
    let mut node = Founding::new(at(0), member(1), list(1, &[1]), ClusterId(5), held).unwrap();
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert_eq!(node.handle(now, Input::Timer).len(), 2);
        for number in [2, 3] {
            let (address, reason) = (format!("h{number}:1"), "refused".to_owned());
            node.handle(now, Input::Unreachable { address, reason });
        }
        let next = node.next_deadline().unwrap();
        pauses.push(next.since(now).as_millis());
        now = next;
    }
    assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
}

#[test]
fn a_question_that_nobody_reports_on_is_asked_again() {
    let mut node = founding(1, &[1, 2]);
    assert_eq!(node.handle(at(0), Input::Timer).len(), 1);
    assert_eq!(node.handle(at(9_999), Input::Timer), []);
    assert_eq!(node.handle(at(10_000), Input::Timer).len(), 1);
}
