//! What the writers were told, and whether the nodes hold it.

use std::collections::BTreeMap;
use std::fmt;

use quorate_client::KeyValue;
use quorate_client::proto::RangeResponse;

use crate::harness::{Cluster, wait_until};

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Acknowledged { revision: i64 },
    Refused,
    Unknown,
}

/// One write; no other has its key or its value.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) outcome: Outcome,
}

impl Write {
    pub(super) fn is_acknowledged(&self) -> bool {
        matches!(self.outcome, Outcome::Acknowledged { .. })
    }

    /// Checks what a node holds for the key of this write.
    pub(super) fn check(&self, found: Option<&KeyValue>) {
        if let Some(fault) = self.fault(found) {
            panic!("{self:?} {fault}: {found:?}");
        }
    }

    /// What is wrong with what a node holds.
    fn fault(&self, found: Option<&KeyValue>) -> Option<&'static str> {
        let Some(found) = found else {
            return self.is_acknowledged().then_some("is lost");
        };
        if self.outcome == Outcome::Refused {
            return Some("is there all the same");
        }
        if found.value.as_ref() != self.value.as_bytes() {
            return Some("has another value");
        }
        if found.version != 1 || found.create_revision != found.mod_revision {
            return Some("was applied more than once");
        }
        match self.outcome {
            Outcome::Acknowledged { revision } if revision != found.mod_revision => {
                Some("was acknowledged with another revision")
            }
            _ => None,
        }
    }
}

/// Everything that was written and how it ended.
pub(super) struct History {
    pub(super) writes: Vec<Write>,
    pub(super) reads: i64,
}

impl History {
    fn count(&self, is: impl Fn(Outcome) -> bool) -> usize {
        self.writes.iter().filter(|write| is(write.outcome)).count()
    }

    /// A run in which next to nothing happened proves nothing.
    pub(super) fn check_it_shows_something(&self, kills: u64) {
        let kills = usize::try_from(kills).expect("kills are few");
        let acknowledged = self.count(|outcome| matches!(outcome, Outcome::Acknowledged { .. }));
        assert!(acknowledged > kills * 20, "only {acknowledged} writes were acknowledged");
        assert!(self.reads > 0, "no read was answered");
    }

    /// Compares every node with what the writers were told.
    pub(super) fn check(&self, cluster: &Cluster) {
        let writes: BTreeMap<&[u8], &Write> =
            self.writes.iter().map(|write| (write.key.as_bytes(), write)).collect();
        assert_eq!(writes.len(), self.writes.len(), "no key was written twice");
        let all = self.settled(cluster);
        for (at, reply) in all.iter().enumerate() {
            let held: BTreeMap<&[u8], &KeyValue> =
                reply.kvs.iter().map(|pair| (pair.key.as_ref(), pair)).collect();
            for key in held.keys() {
                assert!(writes.contains_key(key), "node {at} holds {key:?}, which nobody wrote");
            }
            for (key, write) in &writes {
                write.check(held.get(key).copied());
            }
            assert_eq!(reply.kvs, all[0].kvs, "node {at} differs from node 0");
        }
    }

    /// What each node holds, once all have come to the same revision.
    fn settled(&self, cluster: &Cluster) -> Vec<RangeResponse> {
        let mut all = Vec::new();
        wait_until("all nodes at one revision", || {
            all = (0..3).filter_map(|at| cluster.local(at).ok()).collect();
            let revision = |reply: &RangeResponse| reply.header.map(|header| header.revision);
            all.len() == 3 && all.iter().all(|reply| revision(reply) == revision(&all[0]))
        });
        all
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} writes acknowledged, {} refused, {} unknown; {} reads",
            self.count(|outcome| matches!(outcome, Outcome::Acknowledged { .. })),
            self.count(|outcome| outcome == Outcome::Refused),
            self.count(|outcome| outcome == Outcome::Unknown),
            self.reads
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(outcome: Outcome) -> Write {
        Write { key: "k".into(), value: "v".into(), outcome }
    }

    fn found(value: &'static str, create: i64, revision: i64, version: i64) -> KeyValue {
        KeyValue {
            key: "k".into(),
            value: value.into(),
            create_revision: create,
            mod_revision: revision,
            version,
            lease: 0,
        }
    }

    fn complains(outcome: Outcome, found: impl Into<Option<KeyValue>>) -> bool {
        write(outcome).fault(found.into().as_ref()).is_some()
    }

    #[test]
    fn the_comparison_notices_what_must_not_happen() {
        let acknowledged = Outcome::Acknowledged { revision: 7 };
        let right = Some(found("v", 7, 7, 1));
        assert!(!complains(acknowledged, right.clone()));
        assert!(complains(acknowledged, None), "lost");
        assert!(complains(acknowledged, Some(found("v", 8, 8, 1))), "at another revision");
        assert!(complains(acknowledged, Some(found("w", 7, 7, 1))), "another value");
        assert!(complains(acknowledged, Some(found("v", 6, 7, 2))), "applied twice");
        assert!(!complains(Outcome::Unknown, None));
        assert!(!complains(Outcome::Unknown, right.clone()));
        assert!(complains(Outcome::Unknown, Some(found("v", 6, 7, 2))), "applied twice");
        assert!(!complains(Outcome::Refused, None));
        assert!(complains(Outcome::Refused, right), "refused, and there all the same");
    }
}
