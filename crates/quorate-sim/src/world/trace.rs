//! What happened, as a hash that two runs of one seed share, and as lines when asked for.

use std::collections::VecDeque;

use super::observed::fingerprint;

/// Lines that are kept when nobody asked for all of them.
const KEPT: usize = 60;

/// The events of a run.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    recent: VecDeque<String>,
    /// Every line, when the whole trace is wanted.
    all: Option<Vec<String>>,
    /// Whether lines are made at all; the hash does not depend on it.
    lines: bool,
}

impl Trace {
    pub(crate) const fn new() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, recent: VecDeque::new(), all: None, lines: false }
    }

    /// Makes and keeps every line from here on.
    pub fn keep_all(&mut self) {
        self.lines = true;
        self.all = Some(Vec::new());
    }

    /// Makes lines from here on and keeps the latest.
    pub const fn keep_recent(&mut self) {
        self.lines = true;
    }

    /// Takes a step into the hash.
    pub(crate) fn step(&mut self, now: u64, parts: [u64; 3]) {
        for part in [now, parts[0], parts[1], parts[2]] {
            self.hash = (self.hash ^ part).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
        }
    }

    /// Makes a line, where lines are wanted.
    pub(crate) fn note(&mut self, now: u64, line: impl FnOnce() -> String) {
        if !self.lines {
            return;
        }
        let micros = now / 1000;
        let line = format!("{:>6}.{:06}s {}", micros / 1_000_000, micros % 1_000_000, line());
        if let Some(all) = &mut self.all {
            all.push(line);
        } else {
            if self.recent.len() == KEPT {
                self.recent.pop_front();
            }
            self.recent.push_back(line);
        }
    }

    /// The hash of everything that happened: equal for equal runs.
    #[must_use]
    pub fn hash(&self) -> u64 {
        fingerprint(&self.hash.to_le_bytes())
    }

    /// The lines that were kept.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.all.iter().flatten().chain(&self.recent).map(String::as_str)
    }
}
