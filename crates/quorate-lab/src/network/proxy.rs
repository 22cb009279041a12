//! The proxies of the async Rust lab: where they are unreliable, three of four calls fail, and soon.

use std::time::Duration;

use super::{Conditions, Fate};
use crate::context::Context;

/// A blocked call is refused at once. It takes a moment all the same, so that a caller who tries again
/// at once does not stop the time.
pub(super) const REFUSAL: Duration = Duration::from_millis(1);

/// Percent of requests that are lost, and of the answers to the others.
const LOSS: u64 = 50;
/// A way takes at least so long,
const LEAST: Duration = Duration::from_millis(1);
/// and up to so much more.
const MORE: Duration = Duration::from_millis(4);

pub(super) fn fate(conditions: Conditions, context: &Context) -> Fate {
    if conditions.is_reliable {
        return super::plain::fate();
    }
    let way = || LEAST + context.random_time(MORE);
    let (after, answer_after) = (way(), way());
    if context.chance(LOSS) {
        Fate::Fails(after)
    } else {
        Fate::Arrives { after, answer_after, is_answer_lost: context.chance(LOSS) }
    }
}
