//! Faults of clients.

use core::time::Duration;

use quorate::sessions::{SessionFault, SessionId, SessionRequest};
use quorate_sim::store::{Store, StoreWorkload};
use quorate_sim::world::script::Scripted;
use quorate_sim::world::workload::Workload;
use quorate_sim::world::{COMMAND_BYTES, Fault, Setup, World};

use super::super::course::slow_heartbeats;
use super::super::steps::{ELECTION, ended, led, millis, others, pick_mutant};
use super::Struck;

/// The largest command is taken and one byte more is refused before it is proposed, from the
/// leader and from a follower.
pub(super) fn commands_of_any_size_up_to_the_limit_are_taken() -> Struck {
    let (mut world, _) = led(3);
    // The version, and a length of three bytes.
    let most = COMMAND_BYTES - 4;
    let mut taken = 0;
    for node in 0..3 {
        for letters in [0, 1, most - 1, most, most + 1] {
            let last = world.executed_by(0);
            let call = world.call(node, &"x".repeat(letters));
            let answer = ended(&mut world, call, 2 * ELECTION);
            if letters <= most {
                assert_eq!(answer, format!("replied {}", last + 1), "{letters} letters");
                taken += 1;
            } else {
                assert_eq!(answer, "refused", "{letters} letters");
            }
            world.wait_until("all have it", ELECTION, |w| {
                (0..3).all(|n| w.executed_by(n) == taken + 1)
            });
        }
    }
    Struck::Times(taken)
}

/// Clients of a store, five requests each per second.
fn with_clients(nodes: usize) -> World<Store, StoreWorkload> {
    pick_mutant();
    let setup = Setup::scripted(nodes).with_raft(slow_heartbeats());
    let setup = Setup { clients: 5, request_every: millis(40), ..setup };
    let mut world = World::new(&setup, StoreWorkload::new(false));
    world.wait_until("somebody leads", 10 * ELECTION, |world| world.leader().is_some());
    world
}

fn judge(mut world: World<Store, StoreWorkload>) {
    world.heal();
    world.let_pass(Duration::from_secs(5));
    world.stop_clients();
    world.let_pass(Duration::from_secs(25));
    assert!(world.has_converged(), "{}", world.describe());
    world.workload().verdict().unwrap_or_else(|what| panic!("{what}"));
}

/// Leaders vanish while clients wait for them; who gave up learns nothing, and no command takes
/// effect twice: what the clients saw is linearizable.
pub(super) fn a_call_given_up_may_still_take_effect_once() -> Struck {
    let mut world = with_clients(3);
    world.make_clients_impatient(true);
    for _ in 0..10 {
        if let Some(leader) = world.leader() {
            world.isolate(leader);
            world.let_pass(4 * ELECTION);
            world.reconnect(leader);
        }
        world.let_pass(2 * ELECTION);
    }
    let gave_up = world.count_of("client gave up");
    assert!(world.count_of(Fault::ImpatientClients.name()) > 0);
    judge(world);
    Struck::Times(gave_up)
}

/// R-CL1: a call whose answer was lost is sent again, through another node, after a change of the
/// leader, and after all nodes have died: it is applied once, and always answered alike.
pub(super) fn a_call_of_a_session_counts_once_however_often_it_is_sent() -> Struck {
    let (mut world, old) = led(3);
    let follower = others(&world, old)[0];
    let open = SessionRequest::Open { ttl_ms: 600_000 };
    let asked = world.ask_session(follower, SessionId::NONE, open);
    world.wait_until("it is opened", ELECTION, |w| w.session_of(asked).is_some());
    let session = world.session_of(asked).expect("it was just seen");
    let send = |world: &mut Scripted, node, command: &str, sequence, acknowledged| {
        let stamp = (sequence, acknowledged);
        world.call_in_session(node, &command.to_owned(), session, stamp)
    };
    let first = send(&mut world, old, "first", 1, 0);
    assert_eq!(ended(&mut world, first, ELECTION), "replied 2");
    // The leader dies when it has executed it and before anybody hears of it.
    let lost = send(&mut world, follower, "second", 2, 0);
    world.wait_until("the leader executes it", ELECTION, |w| w.executed(old, 3).is_some());
    world.take_down(old);
    assert_eq!(ended(&mut world, lost, 2 * ELECTION), "unknown");
    world.wait_until("another leads", 10 * ELECTION, |w| w.leader().is_some());
    for node in others(&world, old) {
        for (command, sequence, reply) in [("second", 2, "replied 3"), ("first", 1, "replied 2")] {
            let again = send(&mut world, node, command, sequence, 0);
            assert_eq!(ended(&mut world, again, 4 * ELECTION), reply, "through {node}");
        }
    }
    world.cut_all_power();
    (0..3).for_each(|node| world.restart(node));
    world.wait_until("somebody leads", 20 * ELECTION, |w| w.leader().is_some());
    for node in 0..3 {
        let again = send(&mut world, node, "second", 2, 0);
        assert_eq!(ended(&mut world, again, 8 * ELECTION), "replied 3", "after the power");
    }
    let third = send(&mut world, old, "third", 3, 2);
    assert_eq!(ended(&mut world, third, ELECTION), "replied 4");
    let late = send(&mut world, follower, "second", 2, 0);
    assert_eq!(ended(&mut world, late, ELECTION), "refused");
    assert_eq!(world.fault_of(late), Some(SessionFault::Acknowledged));
    world.let_pass(ELECTION);
    for node in 0..3 {
        let commands: Vec<&str> = world.machine(node).expect("it runs").commands().collect();
        assert_eq!(commands, ["begin", "first", "second", "third"]);
    }
    Struck::Times(world.count_of(Fault::Resend.name()))
}

/// A session that was not heard of for its time is gone: what comes then is an error.
#[test]
fn a_session_that_expired_executes_nothing_more() {
    let (mut world, leader) = led(3);
    let open = SessionRequest::Open { ttl_ms: 1_000 };
    let asked = world.ask_session(leader, SessionId::NONE, open);
    world.wait_until("it is opened", ELECTION, |w| w.session_of(asked).is_some());
    let session = world.session_of(asked).expect("it was just seen");
    let first = world.call_in_session(leader, &"first".to_owned(), session, (1, 0));
    assert_eq!(ended(&mut world, first, ELECTION), "replied 2");
    world.let_pass(millis(900));
    let again = world.call_in_session(leader, &"first".to_owned(), session, (1, 0));
    assert_eq!(ended(&mut world, again, ELECTION), "replied 2", "it was heard of in between");
    world.let_pass(millis(1_100));
    let late = world.call_in_session(leader, &"first".to_owned(), session, (1, 0));
    assert_eq!(ended(&mut world, late, ELECTION), "refused");
    assert_eq!(world.fault_of(late), Some(SessionFault::Expired));
    let commands: Vec<&str> = world.machine(leader).expect("it runs").commands().collect();
    assert_eq!(commands, ["begin", "first"]);
}

pub(super) fn a_storm_of_retries_is_survived() -> Struck {
    let mut world = with_clients(3);
    let (term, leader) = (world.highest_term(), world.leader());
    for _ in 0..10 {
        world.start_retry_storm();
        world.let_pass(ELECTION);
    }
    assert_eq!((world.highest_term(), world.leader()), (term, leader), "it keeps leading");
    let times = world.count_of(Fault::RetryStorm.name());
    judge(world);
    Struck::Times(times)
}

/// A scripted world is also one where nothing happens unless asked for.
#[test]
fn a_scripted_world_is_calm() {
    let (mut world, leader): (Scripted, usize) = led(5);
    let term = world.highest_term();
    world.let_pass(Duration::from_secs(600));
    assert_eq!(world.leaders(), [(leader, term)]);
    for fault in Fault::ALL {
        assert_eq!(world.count_of(fault.name()), 0, "{fault}");
    }
}
