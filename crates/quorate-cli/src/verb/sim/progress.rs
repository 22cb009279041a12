//! How far a run is: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Time between two drawings of the bar.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
const WIDTH: usize = 30;

/// The progress of a run.
#[derive(Debug)]
pub(super) struct Progress {
    total: u64,
    done: u64,
    simulated: Duration,
    began: Instant,
    shown: Instant,
    terminal: bool,
}

impl Progress {
    pub(super) fn new(total: u64) -> Self {
        let now = Instant::now();
        let terminal = stderr().is_terminal();
        Self { total, done: 0, simulated: Duration::ZERO, began: now, shown: now, terminal }
    }

    /// One more seed is done.
    pub(super) fn add(&mut self, simulated: Duration) {
        self.done += 1;
        self.simulated += simulated;
        let every = if self.terminal { DRAW_EVERY } else { LINE_EVERY };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        if self.terminal {
            eprint!("\r{}\x1b[K", self.line(self.began.elapsed()));
            // Nobody misses a bar.
            drop(stderr().flush());
        } else {
            eprintln!("{}", self.line(self.began.elapsed()));
        }
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
            drop(stderr().flush());
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64().max(0.001);
        let share = self.done as f64 / self.total.max(1) as f64;
        let left = seconds / share.max(1e-9) - seconds;
        let speed = self.simulated.as_secs_f64() / seconds;
        let text = format!(
            "{}/{} seeds, {speed:.0} simulated seconds per second, {left:.0} s left",
            self.done, self.total
        );
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
    fn a_line_says_how_far_how_fast_and_how_long_yet() {
        let now = Instant::now();
        let mut progress = Progress {
            total: 10,
            done: 5,
            simulated: Duration::from_secs(500),
            began: now,
            shown: now,
            terminal: false,
        };
        let text = "5/10 seeds, 100 simulated seconds per second, 5 s left";
        assert_eq!(progress.line(Duration::from_secs(5)), text);
        progress.terminal = true;
        let bar = format!("[{}{}] {text}", "#".repeat(15), "-".repeat(15));
        assert_eq!(progress.line(Duration::from_secs(5)), bar);
    }
}
