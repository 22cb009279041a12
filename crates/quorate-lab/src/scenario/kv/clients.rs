//! What the clients of a scenario do, and what has to be true of the values afterwards.

use std::sync::{Arc, Mutex};

use quorate_sim::{Checker, ClientId, History, KeyValue, KeyValueOp, KeyValueOutput, Verdict};

use super::PACE;
use super::plan::Done;
use crate::harness::{Failure, World, ensure};
use crate::raft::LabRaft;
use crate::service::Clerk;

/// Configurations that the check of one key may remember; a history that needs more counts as
/// explained, as the documents have it after a second.
const STATES: u64 = 200_000;

/// The key that a client has to itself.
pub(super) fn own_key(client: usize) -> String {
    client.to_string()
}

/// The text of one append.
pub(super) fn mark(client: usize, number: usize) -> String {
    format!("x {client} {number} y")
}

/// Every append of a client is in the value once, and they are in the order in which it did them.
pub(super) fn require_appends(value: &str, client: usize, count: usize) -> Result<(), Failure> {
    let mut before = None;
    for number in 0..count {
        let text = mark(client, number);
        let mut places = value.match_indices(&text).map(|(place, _)| place);
        let Some(place) = places.next() else {
            return Err(Failure::new(format!("{text:?} was acknowledged and is not in {value:?}")));
        };
        ensure!(places.next().is_none(), "{text:?} was appended once and is twice in {value:?}");
        ensure!(before < Some(place), "{text:?} stands before an earlier append in {value:?}");
        before = Some(place);
    }
    Ok(())
}

/// Pauses as a client does between two operations.
pub(super) async fn pace<R: LabRaft>(world: &World<R>) {
    let twice = u64::try_from(PACE.as_micros()).expect("a pause is short") * 2;
    world.sleep(std::time::Duration::from_micros(world.below(twice + 1))).await;
}

/// Appends to its own key or reads it, until the end; answers how often it appended.
pub(super) async fn appending<R: LabRaft>(
    world: &World<R>,
    clerk: &Clerk,
    client: usize,
    end: &Done,
) -> usize {
    let key = own_key(client);
    let mut expected = String::new();
    let mut appends = 0;
    clerk.put(&key, "").await;
    while !end.is_set() {
        pace(world).await;
        if world.chance(500) {
            let text = mark(client, appends);
            clerk.append(&key, &text).await;
            expected.push_str(&text);
            appends += 1;
        } else {
            let value = clerk.get(&key).await;
            if value != expected {
                let what = format!("client {client} read {value:?} where it had {expected:?}");
                world.report(Failure::new(what));
                break;
            }
        }
    }
    appends
}

/// Puts to random keys, appends to them, reads them, until the end, and records it all.
pub(super) async fn asking<R: LabRaft>(
    world: &World<R>,
    clerk: &Clerk,
    client: usize,
    clients: usize,
    record: &Record,
    end: &Done,
) -> usize {
    let mut done = 0;
    while !end.is_set() {
        pace(world).await;
        let key = world.any(clients).to_string();
        let value = mark(client, done);
        let chance = world.below(1000);
        let operation = match chance {
            0..500 => KeyValueOp::append(&key, &value),
            500..600 => KeyValueOp::put(&key, &value),
            _ => KeyValueOp::get(&key),
        };
        let id = record.invoke(client, operation, world);
        let output = match chance {
            0..500 => {
                clerk.append(&key, &value).await;
                KeyValueOutput::Done
            }
            500..600 => {
                clerk.put(&key, &value).await;
                KeyValueOutput::Done
            }
            _ => {
                let value = clerk.get(&key).await;
                KeyValueOutput::value(Some(value.as_str()).filter(|text| !text.is_empty()))
            }
        };
        record.returned(id, output, world);
        done += 1;
    }
    done
}

type Events = History<KeyValueOp, KeyValueOutput>;

/// What clients did and were told.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    history: Arc<Mutex<Events>>,
}

impl Record {
    fn with<T>(&self, change: impl FnOnce(&mut Events) -> T) -> T {
        change(&mut self.history.lock().expect("nobody panics while recording"))
    }

    fn invoke<R: LabRaft>(
        &self,
        client: usize,
        operation: KeyValueOp,
        world: &World<R>,
    ) -> quorate_sim::OperationId {
        let client = ClientId(u32::try_from(client).expect("clients are few"));
        self.with(|history| history.invoke(client, operation, world.context().now()))
    }

    fn returned<R: LabRaft>(
        &self,
        id: quorate_sim::OperationId,
        output: KeyValueOutput,
        world: &World<R>,
    ) {
        self.with(|history| history.returned(id, output, world.context().now()));
    }

    /// Some order of the operations explains every answer.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.with(|history| match Checker::new(KeyValue).max_states(STATES).check(history) {
            Verdict::Broken(violation) => Err(Failure::new(violation.to_string())),
            Verdict::Linearizable(_) | Verdict::Undecided(_) => Ok(()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_that_are_missing_twice_there_or_out_of_order_are_told() {
        let marks = |numbers: &[usize]| -> String {
            numbers.iter().map(|number| mark(7, *number)).collect()
        };
        assert_eq!(require_appends(&marks(&[0, 1, 2]), 7, 3), Ok(()));
        let what = |numbers: &[usize]| require_appends(&marks(numbers), 7, 3).unwrap_err().what;
        assert!(what(&[0, 2]).contains("\"x 7 1 y\" was acknowledged"));
        assert!(what(&[0, 1, 2, 1]).contains("twice"));
        assert!(what(&[0, 2, 1]).contains("before an earlier append"));
    }
}
