//! Counts, by the definition that the labs' budgets are written in.

/// What a network counted.
///
/// Answers count as no request. A method's name counts as no byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that were made, whatever became of them.
    pub requests: u64,
    /// Requests that each server began to execute.
    pub received: Vec<u64>,
    /// Bytes of all requests when they were made, and of all answers that arrived.
    pub bytes: u64,
}

impl Counts {
    pub(super) fn new(servers: usize) -> Self {
        Self { requests: 0, received: vec![0; servers], bytes: 0 }
    }

    pub(super) fn make_room(&mut self) {
        self.received.push(0);
    }

    /// Requests that all servers together began to execute.
    #[must_use]
    pub fn total_received(&self) -> u64 {
        self.received.iter().sum()
    }

    pub(super) const fn called(&mut self, bytes: usize) {
        self.requests += 1;
        self.bytes += bytes as u64;
    }

    pub(super) fn received(&mut self, server: usize) {
        self.received[server] += 1;
    }

    pub(super) const fn answered(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }
}
