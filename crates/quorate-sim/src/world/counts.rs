//! How often everything happened in a world.

use std::collections::BTreeMap;

/// Counts by name; those that rise with every step have a place of their own.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) events: u64,
    pub(super) frames: u64,
    pub(super) frame_bytes: u64,
    pub(super) persisted: u64,
    others: BTreeMap<&'static str, u64>,
}

impl Counts {
    pub(super) fn add(&mut self, what: &'static str) {
        *self.others.entry(what).or_default() += 1;
    }

    pub(super) fn add_many(&mut self, what: &'static str, times: u64) {
        *self.others.entry(what).or_default() += times;
    }

    pub(super) fn of(&self, what: &str) -> u64 {
        self.often()
            .find(|(name, _)| *name == what)
            .map_or_else(|| self.others.get(what).copied().unwrap_or_default(), |(_, count)| count)
    }

    /// All of them; what never happened is not among them.
    pub(super) fn all(&self) -> BTreeMap<&'static str, u64> {
        let mut all = self.others.clone();
        all.extend(self.often().filter(|(_, count)| *count > 0));
        all
    }

    fn often(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("event", self.events),
            ("frame", self.frames),
            ("frame bytes", self.frame_bytes),
            ("persisted", self.persisted),
        ]
        .into_iter()
    }
}
