//! Budgets on threads of the machine, where a peer may look between two commands.

use quorate_lab::context::RealTime;
use quorate_lab::course::CourseRaft;
use quorate_lab::dss::raft::DssRaft;
use quorate_lab::engine::QuorateRaft;
use quorate_lab::harness::{Pauses, World};
use quorate_lab::raft::LabRaft;
use quorate_lab::suite::find;

/// R10 by the clock, every task on any of three threads.
fn requests_are_few<R: LabRaft>() {
    let (suite, entry) = find(None, Some("TestCount2B")).expect("it is in the table")[0];
    let time = RealTime::threads(3, 1);
    let world = World::<R>::new(time.context(), suite.settings(entry, Pauses::Short));
    let inner = world.clone();
    let ended = time.block_on(async move { entry.scenario.run(&inner).await });
    assert_eq!(ended, Ok(()));
    let tally = world.end();
    assert!(tally.commits >= 12 && tally.requests <= 60, "{tally:?}");
}

#[test]
fn requests_are_few_where_peers_run_on_several_threads() {
    requests_are_few::<QuorateRaft>();
}

#[test]
fn requests_of_the_dss_labs_face_are_few_on_several_threads() {
    requests_are_few::<DssRaft>();
}

#[test]
fn requests_of_the_go_course_face_are_few_on_several_threads() {
    requests_are_few::<CourseRaft>();
}
