//! What lies between two looks at a server, and what a network looks like in words.

use quorate_sim::world::trace::{SnapshotStep, Span};

use super::server::Server;
use super::*;

fn seen(inside: Option<Inside>, state: (u64, bool)) -> Seen {
    Seen { state, inside, applied: None }
}

fn inside(role: RoleName, term: u64, terms: &[u64]) -> Inside {
    Inside { role, term, vote: None, commit: 0, base: (0, 0), terms: terms.to_vec() }
}

/// A server that is up, as it is when it starts.
fn server(inside: Option<Inside>) -> Server {
    let mut server = Server::default();
    server.probe = Some(Arc::new(|| None));
    server.starts(1, seen(inside, (0, false)));
    server
}

fn look(server: &mut Server, seen: Seen) -> Vec<String> {
    let mut events = Vec::new();
    server.is_seen(1, seen, &mut events);
    events.iter().map(ToString::to_string).collect()
}

#[test]
fn what_a_server_tells_becomes_what_changed() {
    let mut server = server(Some(inside(RoleName::Follower, 0, &[])));
    let mut now = inside(RoleName::Candidate, 2, &[1, 1, 2]);
    now.vote = Some(0);
    server.saved = Some(17);
    let told = look(&mut server, seen(Some(now.clone()), (2, false)));
    let expected = [
        "n1 writes its vote for n1 in t2",
        "n1 is candidate in t2",
        "n1 appends 1..2@1, 3@2",
        "n1 saves 17 bytes",
        "n1 has up to 3 on disk",
    ];
    assert_eq!(told, expected);
    assert_eq!(look(&mut server, seen(Some(now.clone()), (2, false))), [""; 0]);
    // Another leader's entries take the place of its own.
    let mut later = Inside { role: RoleName::Follower, term: 3, ..now };
    (later.terms, later.commit) = (vec![1, 3], 2);
    later.vote = None;
    let told = look(&mut server, seen(Some(later.clone()), (3, false)));
    let expected =
        ["n1 is follower in t3", "n1 cuts its log from 2", "n1 appends 2@3", "n1 commits up to 2"];
    assert_eq!(told, expected);
    // A snapshot takes the place of all.
    (later.base, later.terms) = ((5, 3), vec![3]);
    let told = look(&mut server, seen(Some(later), (3, false)));
    assert_eq!(told, ["n1 has a log that begins after 5@3", "n1 appends 6@3"]);
}

#[test]
fn of_a_server_that_tells_nothing_the_rest_is_guessed() {
    let mut server = server(None);
    assert_eq!(look(&mut server, seen(None, (1, false))), ["n1 is follower in t1"]);
    server.campaigns = true;
    assert_eq!(look(&mut server, seen(None, (2, false))), ["n1 is candidate in t2"]);
    assert_eq!(look(&mut server, seen(None, (2, true))), ["n1 is leader in t2"]);
    let mut events = Vec::new();
    server.promises(1, 1, 2, &mut events);
    server.promises(1, 2, 2, &mut events);
    server.applies(1, 1, Some(2), &mut events);
    server.applies(1, 2, Some(3), &mut events);
    let told: Vec<String> = events.iter().map(ToString::to_string).collect();
    let expected = [
        "n1 appends 1@2",
        "n1 appends 2@2",
        "n1 commits up to 1",
        "n1 applies up to 1",
        "n1 appends 2@3",
        "n1 commits up to 2",
        "n1 applies up to 2",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_server_that_starts_has_what_a_snapshot_stands_for() {
    let mut told = inside(RoleName::Follower, 4, &[4, 4]);
    told.base = (10, 3);
    let mut server = Server::default();
    let TraceEvent::Starts { log, base, boot, .. } = server.starts(1, seen(Some(told), (4, false)))
    else {
        panic!("it starts")
    };
    let spans = [Span { first: 1, last: 10, term: 3 }, Span { first: 11, last: 12, term: 4 }];
    assert_eq!((log.as_slice(), base, boot), (spans.as_slice(), 10, 1));
    assert_eq!(SnapshotStep::LogBegins.to_string(), "has a log that begins after");
}

#[test]
fn cuts_are_told_by_groups() {
    let apart =
        |pairs: &[(usize, usize)]| pairs.iter().flat_map(|&(a, b)| [(a, b), (b, a)]).collect();
    assert_eq!(shape(3, &BTreeSet::new()), "whole");
    assert_eq!(shape(3, &apart(&[(0, 1), (0, 2)])), "cut into n0 | n1 n2");
    assert_eq!(shape(3, &apart(&[(0, 1), (0, 2), (1, 2)])), "cut into n0 | n1 | n2");
    let one_way = BTreeSet::from([(0, 1)]);
    assert_eq!(shape(3, &one_way), "cut in 1 directions");
}
