//! The log against a naive model, with random jobs and random crashes.

use proptest::prelude::*;
use quorate_core::Index;
use quorate_log::fault::{Fault, FaultFs, Loss};
use quorate_log::{Compact, Write};

use crate::support::{Ghost, Step, append, entries, founded, id, open, state, write};

#[derive(Clone, Debug)]
enum Act {
    Append { count: u64, size: usize, together: u64 },
    Truncate { back: u64, then: u64 },
    Compact { back: u64 },
    Replace { ahead: u64 },
    Vote,
    Fence,
    Prepare,
    Restart { seed: u64 },
    Crash { after: u64 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (1..6_u64, 0..1200_usize, 1..4_u64)
            .prop_map(|(count, size, together)| Act::Append { count, size, together }),
        3 => (0..12_u64, 0..3_u64).prop_map(|(back, then)| Act::Truncate { back, then }),
        2 => (0..6_u64).prop_map(|back| Act::Compact { back }),
        1 => (1..9_u64).prop_map(|ahead| Act::Replace { ahead }),
        1 => Just(Act::Vote),
        1 => Just(Act::Fence),
        1 => Just(Act::Prepare),
        1 => any::<u64>().prop_map(|seed| Act::Restart { seed }),
        2 => (1..40_u64).prop_map(|after| Act::Crash { after }),
    ]
}

/// The jobs of an act, given what the log holds.
fn jobs(act: &Act, ghost: &Ghost, token: &mut u64) -> Vec<Step> {
    let (contents, hard_state) = ghost.after.last().unwrap();
    let last = contents.last();
    let term = hard_state.term.0;
    let mut next = || {
        *token += 1;
        *token
    };
    match *act {
        Act::Append { count, size, together } => {
            let writes = (0..together).map(|part| {
                let first = last.index.0 + 1 + part * count;
                Write { commit: Index(first), ..append(next(), entries(first, count, term, size)) }
            });
            vec![Step::Writes(writes.collect())]
        }
        Act::Truncate { back, then } => {
            let from = (last.index.0 + 1).saturating_sub(back).max(contents.base.index.0 + 1);
            let entries = (then > 0).then(|| entries(from, then, term + 1, 77));
            vec![Step::Writes(vec![Write {
                hard_state: Some(state(term + 1, 0)),
                truncate_from: Some(Index(from)),
                entries: entries.into_iter().collect(),
                ..write(next())
            }])]
        }
        Act::Compact { back } => {
            let index = Index(last.index.0.saturating_sub(back));
            let held = contents.entries.get(&index);
            held.map_or_else(Vec::new, |(held, _)| {
                vec![Step::Compact(Compact { base: id(index.0, held.0), meta: vec![1; 9] })]
            })
        }
        Act::Replace { ahead } => {
            let base = id(last.index.0 + ahead, term);
            vec![Step::Compact(Compact { base, meta: vec![2; 700] })]
        }
        Act::Vote => {
            let hard_state = Some(state(term + 1, 0xB0 + term));
            vec![Step::Writes(vec![Write { hard_state, ..write(next()) }])]
        }
        Act::Fence => vec![Step::Fence],
        Act::Prepare => vec![Step::Prepare],
        Act::Restart { .. } | Act::Crash { .. } => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").map_or(3000, |cases| cases.parse().unwrap()), ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_naive_model_through_crashes(
        acts in proptest::collection::vec(act(), 1..60)
    ) {
        let fs = FaultFs::new();
        let mut recovered = founded(fs.another());
        let mut ghost = Ghost::founded();
        let mut token = 10;
        for act in &acts {
            if let Act::Crash { after } = *act {
                fs.fail_at(fs.operations() + after, Fault::CrashAfter);
                continue;
            }
            let steps = jobs(act, &ghost, &mut token);
            let alive = ghost.run(&mut recovered.log, &steps).is_ok();
            prop_assert_eq!(alive, !fs.has_crashed());
            let seed = match *act {
                Act::Restart { seed } => Some(seed),
                _ if !alive => Some(token),
                _ => None,
            };
            if let Some(seed) = seed {
                let boot = recovered.boot;
                drop(recovered);
                fs.crash(&Loss::Seeded(seed));
                recovered = open(fs.reboot()).expect("what a crash left behind opens");
                prop_assert!(recovered.boot > boot);
                ghost.check(&mut recovered);
            }
        }
    }
}
