//! Every kind of fault, by hand: it strikes, and what it must not do it does not do.

mod clients;
mod disk;
mod network;
mod process;

use quorate_sim::world::Fault;

use super::steps::recovers;

/// A kind that is missing here does not compile: each has a script.
fn script_of(fault: Fault) -> fn() -> Struck {
    match fault {
        Fault::Drop => network::lost_messages_are_sent_again,
        Fault::Duplicate => network::a_message_that_comes_twice_counts_once,
        Fault::Reorder => network::messages_that_overtake_change_no_order,
        Fault::HeavyTail => network::messages_that_linger_hold_nobody_up,
        Fault::Corrupt => network::damaged_messages_are_dropped,
        Fault::Fragment => network::frames_in_pieces_are_frames_or_nothing,
        Fault::Swizzle => network::nodes_that_go_one_by_one_come_back_to_one_leader,
        Fault::Reset => network::connections_that_break_lose_nothing,
        Fault::Replay => network::messages_of_the_past_change_nothing,
        Fault::Split => network::a_leader_that_is_cut_off_serves_nothing_and_steps_down,
        Fault::OneWay => network::a_leader_that_hears_nobody_steps_down,
        Fault::Bridge => network::both_sides_of_a_bridge_follow_one_leader,
        Fault::Ring => network::a_ring_follows_one_leader,
        Fault::Chain => network::a_chain_follows_one_leader,
        Fault::Flap => network::a_flapping_link_deposes_nobody,
        Fault::SlowLink => network::a_slow_link_holds_up_one_follower_alone,
        Fault::Bandwidth => network::a_narrow_link_holds_up_one_follower_alone,
        Fault::Clog => network::what_a_link_held_back_arrives_and_does_no_harm,
        Fault::CrashAtEffect => process::a_crash_before_any_effect_loses_nothing_acknowledged,
        Fault::Crash => process::a_dead_leader_is_replaced_and_returns_with_its_log,
        Fault::CrashInRecovery => process::a_recovery_that_dies_at_any_step_begins_again,
        Fault::CrashAll => process::what_was_acknowledged_survives_power_failure_everywhere,
        Fault::Pause => process::a_paused_leader_serves_nothing_stale_and_steps_down,
        Fault::SlowNode => process::a_slow_follower_holds_up_nobody,
        Fault::Drift => process::clocks_of_any_speed_serve_nothing_stale,
        Fault::ClockJump => process::a_clock_that_jumps_serves_nothing_stale,
        Fault::LateTimer => process::late_timers_stop_nothing,
        Fault::ApplyPanic => process::a_machine_that_panics_stops_its_node_alone,
        Fault::Unsynced => disk::what_was_torn_was_never_acknowledged,
        Fault::WriteError => disk::a_failed_write_stops_the_node,
        Fault::ShortWrite => disk::a_short_write_stops_the_node,
        Fault::SyncError => disk::a_failed_sync_stops_the_node,
        Fault::DiskFull => disk::a_full_disk_stops_its_node_and_loses_nothing,
        Fault::SlowDisk => disk::a_slow_disk_of_the_leader_holds_up_no_commit,
        Fault::StuckDisk => disk::a_stuck_disk_of_the_leader_ends_its_lead,
        Fault::SnapshotRot => disk::a_node_whose_snapshot_rots_refuses_until_it_is_put_back,
        Fault::Sizes => clients::commands_of_any_size_up_to_the_limit_are_taken,
        Fault::ImpatientClients => clients::a_call_given_up_may_still_take_effect_once,
        Fault::Resend => clients::a_call_of_a_session_counts_once_however_often_it_is_sent,
        Fault::RetryStorm => clients::a_storm_of_retries_is_survived,
    }
}

/// A world after its fault.
enum Struck {
    /// A scripted one; how often it struck is among its counts, and it must recover.
    Scripted(Box<quorate_sim::world::script::Scripted>),
    /// How often it struck in a world that was judged already.
    Times(u64),
}

#[test]
fn every_kind_of_fault_strikes_by_hand_and_does_what_it_may() {
    for fault in Fault::ALL {
        println!("{fault}");
        let times = match script_of(fault)() {
            Struck::Scripted(mut world) => {
                let times = world.count_of(fault.name());
                recovers(&mut world);
                times
            }
            Struck::Times(times) => times,
        };
        println!("{fault}: struck {times} times");
        assert!(times > 0, "{fault} did not strike");
    }
}
