//! Deliberate bugs, to prove that the tests notice them. A normal build has none.
//!
//! `RUSTFLAGS="--cfg quorate_mutants"` compiles them all, and `pick` switches one on for the whole
//! process. In every other build `mutant!(Name)` is the constant `false`: what it guards is no
//! code. `docs/testing.md` says how they are run; each names the written test that catches it.

/// Whether a deliberate bug is switched on; `false`, as a constant, in a normal build.
#[cfg(not(quorate_mutants))]
#[doc(hidden)]
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        false
    };
}

/// Whether a deliberate bug is switched on; `false`, as a constant, in a normal build.
#[cfg(quorate_mutants)]
#[doc(hidden)]
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutant::is_picked($crate::mutant::Mutant::$name)
    };
}

#[cfg(quorate_mutants)]
pub use self::picked::{Case, Caught, Mutant, Place, is_picked, pick};

#[cfg(quorate_mutants)]
mod picked {
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A bit for each that is switched on.
    static PICKED: AtomicU64 = AtomicU64::new(0);

    /// Switches on the mutants with these ids, parted by commas, and every other off, for the whole
    /// process.
    ///
    /// # Panics
    ///
    /// When there is none with such an id.
    pub fn pick(ids: &str) {
        let bit = |id: &str| {
            let at = Mutant::CASES.iter().position(|case| case.id == id);
            1_u64 << at.unwrap_or_else(|| panic!("there is no mutant {id}"))
        };
        let ids = ids.split(',').filter(|id| !id.is_empty());
        PICKED.store(ids.map(bit).fold(0, |all, one| all | one), Ordering::Relaxed);
    }

    /// Whether this one is switched on.
    #[must_use]
    pub fn is_picked(mutant: Mutant) -> bool {
        PICKED.load(Ordering::Relaxed) >> mutant as u64 & 1 == 1
    }

    /// What is known of a mutant.
    #[derive(Clone, Copy, Debug)]
    pub struct Case {
        /// Its short name, as reports and documents have it.
        pub id: &'static str,
        /// Its place in the code: `mutant!(NAME)`.
        pub name: &'static str,
        /// Whether every run of the gate proves that it is caught.
        pub is_core: bool,
        /// Whether the seeds of whole worlds run the code that it breaks.
        pub caught: Caught,
        /// What it does, as the rule that it breaks.
        pub breaks: &'static str,
        /// Where the test is that catches it.
        pub place: Place,
        /// The test, or the golden scenario.
        pub test: &'static str,
    }

    /// Who can catch a mutant.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Caught {
        /// Its test, and random worlds.
        Worlds,
        /// Its test alone: no random world runs the code that it breaks.
        Test,
        /// It breaks a checker: its test plants what the checker must see, and with it misses.
        Checker,
    }

    /// Where a test is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Place {
        /// A golden scenario of `quorate-core`.
        Scenario,
        /// Another integration test of `quorate-core`.
        Core,
        /// The integration tests of `quorate-log`.
        Log,
        /// The unit tests of `quorate`.
        Node,
        /// The integration tests of `quorate-sim`.
        World,
        /// The unit tests of `quorate-sim`.
        Check,
    }

    macro_rules! mutants {
        ($($id:ident $name:ident $set:ident $caught:ident $place:ident $test:literal $breaks:literal;)*) => {
            /// Every deliberate bug.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            #[allow(missing_docs, reason = "the table says what each one does")]
            pub enum Mutant { $($name,)* }

            impl Mutant {
                /// What is known of each, in the order of the enum.
                pub const CASES: &'static [Case] = &[$(Case {
                    id: stringify!($id),
                    name: stringify!($name),
                    is_core: mutants!(@$set),
                    caught: Caught::$caught,
                    breaks: $breaks,
                    place: Place::$place,
                    test: $test,
                },)*];
            }
        };
        (@core) => { true };
        (@soak) => { false };
    }

    // id, name, set, who catches it, its written test, what it does.
    mutants! {
        // Elections.
        M1 VoteBeforeDurable core Worlds Scenario "election/vote_waits_for_disk"
            "an answer to a candidate leaves before term and vote are durable";
        M2 TermWithoutVote core Worlds Scenario "election/one_vote_per_term_across_boots"
            "the term is written without the vote";
        M3 VoteForAnyLog core Worlds Scenario "election/shorter_log_loses"
            "a vote does not ask how long the candidate's log is";
        M4 LengthBeforeTerm core Worlds Scenario "election/shorter_log_loses"
            "the longer log wins, whatever its last term";
        M6 UnionElects core Test Scenario "membership/joint_election_needs_both_halves"
            "a majority of both halves taken together elects";
        M7 PreVotesElect soak Worlds Scenario "election/late_vote_elects_nobody"
            "promises of a dry run and votes of earlier campaigns count as votes";
        M8 AppendReplyTermIgnored soak Worlds Scenario "election/higher_term_is_learned_from_any_reply"
            "a later term in an answer to an append is ignored";
        M9 HalfIsQuorum core Worlds Scenario "election/split_vote"
            "half of the voters are a quorum";
        M10 LearnersCount core Test Scenario "membership/learner_never_counts"
            "learners count in elections, reads and checks";
        M11a NoCheckQuorum soak Worlds Scenario "election/check_quorum_step_down"
            "a leader that no quorum answers goes on leading";
        M11b NoStickiness soak Worlds Scenario "election/pre_vote_after_isolation"
            "a live leader is no reason to refuse a candidate";
        M56 SlowElections soak Worlds Core "paper::followers::a_follower_campaigns_when_its_election_timeout_passes"
            "election timeouts are thirty times as long as they should be";
        M54 RequestBeforeOwnVote core Worlds Scenario "election/vote_request_waits_for_own_vote"
            "a request for votes leaves before the own vote is durable";

        // Replication.
        M12 EarlierTermsCommit core Worlds Scenario "replication/figure_8"
            "entries of earlier terms are committed by counting";
        M13 RefusalCounts core Worlds Scenario "replication/stale_reject"
            "a refused append counts as acknowledged";
        M15 CommitUnverified core Worlds Scenario "replication/commit_no_further_than_verified"
            "a follower commits to the end of its log, not of what the append verified";
        M16 CutWithoutConflict core Worlds Scenario "replication/late_append_cuts_nothing"
            "an append cuts what follows it, although nothing conflicts";
        M17 StaleTailStays soak Worlds Scenario "replication/conflict_is_cut"
            "what a conflict cuts in memory stays on disk";
        M18 PrevByIndexAlone core Worlds Scenario "replication/conflict_is_cut"
            "the entry before an append is compared by index alone";
        M19 CompactedIsMissing soak Test Scenario "base/append_below_the_base"
            "what lies below the base is taken for missing";
        M21 MatchesUnsorted core Worlds Scenario "replication/own_count_waits_for_own_disk"
            "the commit index is taken from matches that are not sorted";
        M22 OwnCountUnsynced core Worlds Scenario "replication/own_count_waits_for_own_disk"
            "a leader counts itself before its own disk is done";
        M23 AcknowledgedUnsynced core Worlds Scenario "replication/acknowledgement_waits_for_write"
            "a follower acknowledges before its disk is done";
        M53 BytesByIndexAlone core Worlds Node "replica::tests::safety::entries_read_back_are_attached_only_to_the_append_that_names_them"
            "bytes are attached to an append by index alone";
        M55 AppliedUnpersisted core Worlds Scenario "replication/own_count_waits_for_own_disk"
            "an entry is executed before it is durable here";

        // Membership.
        M26 MembershipNotOnAppend core Test Scenario "membership/in_force_from_append"
            "a membership is not in force from its append";
        M27 MembershipNotRolledBack core Test Scenario "membership/in_force_from_append_and_rolled_back"
            "a membership stays in force when its entry is cut";
        M29 JointCommitByOneHalf soak Test Scenario "membership/joint_commit_needs_both_halves"
            "the incoming half alone commits";
        M30 MembershipOfBase soak Test Scenario "membership/in_force_from_append_and_rolled_back"
            "a restart takes the membership of the base, not of the log";

        // Snapshots.
        M33 SnapshotEndsTooEarly core Worlds Node "replica::tests::snapshots::a_snapshot_says_where_it_ends"
            "a snapshot is said to end with the entry before its last";
        M35 SuffixOfAnotherTermKept soak Worlds Scenario "snapshot/conflicting_log_is_replaced"
            "what follows a snapshot's last entry stays, although that is of another term here";
        M38 SnapshotMembershipIgnored core Test Scenario "snapshot/membership_comes_along"
            "the membership of a snapshot is not put in force";

        // Reads.
        M40 ReadBeforeOpening core Worlds Scenario "read/read_waits_for_opening_entry"
            "a read is indexed before the leader's first entry is committed";
        M44 DuplicatesAtProposeOnly core Worlds Node "applier::tests::a_command_of_a_session_is_executed_once_whatever_leader_proposes_it"
            "a command that is sent again is recognised where it is proposed, and not where it is executed";

        // Storage and identity.
        M36 PrefixGoneTooEarly core Worlds Log "crash::a_crash_at_every_operation_loses_nothing_acknowledged"
            "old segments go before the file that names the base is durable";
        M46 FirstBadChecksumCuts core Test Log "damage::a_bit_flip_anywhere_in_what_was_acknowledged_is_never_cut_silently"
            "the log is cut at the first bad checksum, wherever it is";
        M48 TornSegmentReused soak Worlds Log "crash::a_batch_that_was_cut_never_rejoins_behind_another_life"
            "a segment with a torn tail takes more batches";
        M49 OneHardStateCopy soak Worlds Log "crash::a_torn_vote_leaves_the_one_before"
            "term and vote have one copy, written in place";
        M50 FailedSyncForgiven core Worlds Log "running::the_first_failure_is_final_wherever_it_strikes"
            "after a failed sync the log goes on";
        M51a AnyNodeAtAddress soak Test Node "transport::handshake::tests::the_dialer_checks_who_answered"
            "whoever answers at an address counts as the voter who lived there";
        M51b RolledBackGoesOn soak Test Scenario "replication/lost_durability_halts"
            "a node that lost what it had acknowledged goes on";
        M52a AnyCluster soak Test Node "transport::handshake::tests::another_cluster_is_refused_with_both_ids"
            "the handshake does not compare clusters";
        M52b AnyBoot soak Test Node "transport::handshake::tests::an_older_boot_than_remembered_is_refused"
            "the handshake does not compare boots";

        // Checkers.
        K1 LogsNotCompared soak Checker Check "invariants::tests::logs_with_one_entry_in_common_have_one_past"
            "two entries of one index and term are not compared";
        K2 OneNodeIsEvidence soak Checker Check "invariants::tests::what_is_committed_is_durable_on_a_quorum"
            "one node that holds an entry is evidence enough for its commitment";
        K3 RealTimeIgnored soak Checker World "report::the_report_of_a_stale_read_reads_well"
            "an operation that had ended may come after one that began later";
        K4 UnknownIsFailed soak Checker World "report::a_counter_with_many_unknown_additions_is_decided"
            "an operation of unknown outcome is taken for one without effect";
        K6 RestartsForgiven soak Checker Check "invariants::tests::a_vote_holds_over_a_restart"
            "the votes of a node are forgotten when it restarts";
        K7 SampledInvariants soak Checker World "mutants::a_leader_that_counts_what_is_not_durable_is_noticed"
            "nodes are looked at after every thousandth event";
        K8 EndlessPatience soak Checker World "mutants::elections_that_take_too_long_are_noticed"
            "a mended cluster has a hundred times as long to recover";
    }
}
