//! The network of the Go course lab, and its port of the dss labs: a call may take seconds to fail.

use std::time::Duration;

use super::{Conditions, Fate};
use crate::context::Context;

/// When a caller learns that an unreliable network lost a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// After the delay that the request had, up to 26 ms: the Go course lab.
    Soon,
    /// After up to 26 s: the dss labs.
    Late,
}

/// Percent of requests that are lost, and of the answers to those that are executed.
const LOSS: u64 = 10;
/// A request of an unreliable network takes less than this, in whole milliseconds.
const DELAYS: u64 = 27;
/// Share of answers that are held back.
const HELD_BACK: (u64, u64) = (2, 3);
/// They are held back for at least so long,
const HELD_BACK_LEAST: Duration = Duration::from_millis(200);
/// and for less than something that is drawn below this, in milliseconds.
const HELD_BACK_MORE: u64 = 2_000;
/// A call to nobody fails within this many milliseconds,
const REFUSALS: u64 = 100;
/// or this many where delays are long.
const LONG_REFUSALS: u64 = 7_000;

pub(super) fn fate(lost: Lost, conditions: Conditions, context: &Context) -> Fate {
    let mut after = Duration::ZERO;
    let mut is_answer_lost = false;
    if !conditions.is_reliable {
        let drawn = context.random_below(DELAYS);
        after = Duration::from_millis(drawn);
        if context.chance(LOSS) {
            return Fate::Fails(match lost {
                Lost::Soon => after,
                Lost::Late => Duration::from_secs(drawn),
            });
        }
        is_answer_lost = context.chance(LOSS);
    }
    let (part, whole) = HELD_BACK;
    let is_held_back =
        conditions.has_long_reordering && !is_answer_lost && context.random_below(whole) < part;
    let answer_after = if is_held_back {
        let most = 1 + context.random_below(HELD_BACK_MORE);
        HELD_BACK_LEAST + Duration::from_millis(context.random_below(most))
    } else {
        Duration::ZERO
    };
    Fate::Arrives { after, answer_after, is_answer_lost }
}

pub(super) fn refusal(conditions: Conditions, context: &Context) -> Duration {
    let most = if conditions.has_long_delays { LONG_REFUSALS } else { REFUSALS };
    Duration::from_millis(context.random_below(most))
}
