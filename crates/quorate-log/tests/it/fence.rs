//! The idle fence says what is durable, and nothing else.

use quorate_core::Index;
use quorate_log::Write;
use quorate_log::fault::{FaultFs, Loss};

use crate::support::{append, entries, founded, open, settle};

/// Found by the simulator: a fence that recorded the last durable index as committed made a
/// restarted node execute entries that no quorum held.
#[test]
fn a_fence_does_not_turn_what_is_durable_into_what_is_committed() {
    let fs = FaultFs::new();
    let mut log = founded(fs.another()).log;
    log.enqueue(Write { commit: Index(1), ..append(2, entries(1, 3, 1, 100)) });
    settle(&mut log).unwrap();
    log.fence();
    settle(&mut log).unwrap();
    drop(log);
    fs.crash(&Loss::Everything);
    let again = open(fs.reboot()).unwrap();
    assert_eq!(again.log.last().index, Index(3));
    assert_eq!(again.commit, Index(1));
}
