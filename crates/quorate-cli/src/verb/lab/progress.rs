//! How far a run of many scenarios is: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

const DRAW_EVERY: Duration = Duration::from_millis(100);
/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
const WIDTH: usize = 30;

/// The progress of a run.
#[derive(Debug)]
pub(super) struct Progress {
    total: u64,
    done: u64,
    shown: Instant,
    terminal: bool,
}

impl Progress {
    pub(super) fn new(total: u64) -> Self {
        Self { total, done: 0, shown: Instant::now(), terminal: stderr().is_terminal() }
    }

    /// One more run is done, of the scenario with this name.
    pub(super) fn add(&mut self, name: &str) {
        self.done += 1;
        let every = if self.terminal { DRAW_EVERY } else { LINE_EVERY };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        if self.terminal {
            eprint!("\r{}\x1b[K", self.line(name));
            // Nobody misses a bar.
            drop(stderr().flush());
        } else {
            eprintln!("{}", self.line(name));
        }
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
            drop(stderr().flush());
        }
    }

    fn line(&self, name: &str) -> String {
        let text = format!("{}/{} runs, {name}", self.done, self.total);
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
    fn a_line_says_how_far() {
        let mut progress = Progress { total: 10, done: 5, shown: Instant::now(), terminal: false };
        assert_eq!(progress.line("test_backup"), "5/10 runs, test_backup");
        progress.terminal = true;
        let bar = format!("[{}{}] 5/10 runs, speed", "#".repeat(15), "-".repeat(15));
        assert_eq!(progress.line("speed"), bar);
    }
}
