//! A network that loses nothing and takes no time.

use std::time::Duration;

use super::Fate;

/// Next to nothing, so that a caller who tries again at once does not stop the time.
pub(super) const REFUSAL: Duration = Duration::from_millis(1);

pub(super) const fn fate() -> Fate {
    Fate::Arrives { after: Duration::ZERO, answer_after: Duration::ZERO, is_answer_lost: false }
}
