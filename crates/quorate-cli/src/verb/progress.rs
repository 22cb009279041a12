//! How far a run of many parts is: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Time between two drawings of the bar.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
const WIDTH: usize = 30;

/// The progress of a run.
#[derive(Debug)]
pub(in crate::verb) struct Progress {
    total: u64,
    done: u64,
    began: Instant,
    shown: Instant,
    terminal: bool,
}

impl Progress {
    pub(in crate::verb) fn new(total: u64) -> Self {
        let now = Instant::now();
        Self { total, done: 0, began: now, shown: now, terminal: stderr().is_terminal() }
    }

    /// One more part is done; `tell` has the words for it, where they are shown.
    pub(in crate::verb) fn add(&mut self, tell: impl FnOnce(&Self) -> String) {
        self.done += 1;
        let every = if self.terminal { DRAW_EVERY } else { LINE_EVERY };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        let line = self.line(&tell(self));
        if self.terminal {
            eprint!("\r{line}\x1b[K");
            // Nobody misses a bar.
            drop(stderr().flush());
        } else {
            eprintln!("{line}");
        }
    }

    /// Takes the bar away.
    pub(in crate::verb) fn clear(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
            drop(stderr().flush());
        }
    }

    /// Seconds since it began, never none.
    pub(in crate::verb) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64().max(0.001)
    }

    /// Seconds that are left, if the rest takes as long as what is done, which took `seconds`.
    pub(in crate::verb) fn left(&self, seconds: f64) -> f64 {
        let share = self.done as f64 / self.total.max(1) as f64;
        seconds / share.max(1e-9) - seconds
    }

    fn line(&self, words: &str) -> String {
        let text = format!("{}/{} {words}", self.done, self.total);
        if !self.terminal {
            return text;
        }
        let full = usize::try_from(self.done * WIDTH as u64 / self.total.max(1)).unwrap_or(WIDTH);
        format!("[{}{}] {text}", "#".repeat(full), "-".repeat(WIDTH - full.min(WIDTH)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_and_how_long_yet() {
        let mut progress = Progress::new(10);
        (progress.done, progress.terminal) = (5, false);
        assert_eq!(progress.line("runs, test_backup"), "5/10 runs, test_backup");
        assert!((progress.left(4.0) - 4.0).abs() < 1e-6);
        progress.terminal = true;
        let bar = format!("[{}{}] 5/10 runs", "#".repeat(15), "-".repeat(15));
        assert_eq!(progress.line("runs"), bar);
    }
}
