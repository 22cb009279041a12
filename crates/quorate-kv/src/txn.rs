//! Transactions in three steps: choose the branches, check what they will do, do it.
//!
//! All comparisons look at the state before the transaction, those of nested transactions too;
//! only then does the first operation run. The checks of the second step look at that state as
//! well, which is enough: a branch that writes a key twice was refused before (`validate`), so no
//! earlier operation can take away what a later one was found to need.

use core::cmp::Ordering;

use crate::command::{Compare, CompareTarget, Operation, Relation, Txn};
use crate::error::KvError;
use crate::key_value::KeyValue;
use crate::reply::{Outcome, TxnReply};
use crate::store::{Change, Store};
use crate::view::View;

/// Evaluates all comparisons. The result has an element for each transaction that will run: the
/// outer one first, then those of its chosen branch in order, each followed by its own.
pub(crate) fn choose(view: &View, txn: &Txn) -> Vec<bool> {
    let mut path = Vec::new();
    choose_into(view, txn, &mut path);
    path
}

fn choose_into(view: &View, txn: &Txn, path: &mut Vec<bool>) {
    let holds = txn.compares.iter().all(|compare| is_satisfied(view, compare));
    path.push(holds);
    for operation in branch(txn, holds) {
        if let Operation::Txn(nested) = operation {
            choose_into(view, nested, path);
        }
    }
}

fn branch(txn: &Txn, succeeded: bool) -> &[Operation] {
    if succeeded { &txn.success } else { &txn.failure }
}

fn is_satisfied(view: &View, compare: &Compare) -> bool {
    let mut kvs = view.current_in(&compare.range).peekable();
    if kvs.peek().is_none() {
        return holds_for(None, compare);
    }
    kvs.all(|kv| holds_for(Some(kv), compare))
}

/// Whether one key satisfies a comparison. An absent one has zero for every number, and no value,
/// which satisfies nothing, not even "other than".
fn holds_for(kv: Option<&KeyValue>, compare: &Compare) -> bool {
    let number = |read: fn(&KeyValue) -> i64, given: i64| kv.map_or(0, read).cmp(&given);
    let ordering = match &compare.target {
        CompareTarget::Version(given) => number(KeyValue::version, *given),
        CompareTarget::CreateRevision(given) => number(|kv| kv.create_revision().get(), *given),
        CompareTarget::ModRevision(given) => number(|kv| kv.mod_revision().get(), *given),
        CompareTarget::Lease(given) => number(|kv| kv.lease().get(), *given),
        CompareTarget::Value(given) => {
            let Some(kv) = kv else { return false };
            kv.value().cmp(given)
        }
    };
    match compare.relation {
        Relation::Equal => ordering == Ordering::Equal,
        Relation::Greater => ordering == Ordering::Greater,
        Relation::Less => ordering == Ordering::Less,
        Relation::NotEqual => ordering != Ordering::Equal,
    }
}

/// Whether every operation that will run can run.
pub(crate) fn check(
    store: &Store,
    txn: &Txn,
    path: &mut impl Iterator<Item = bool>,
) -> Result<(), KvError> {
    for operation in branch(txn, next_choice(path)) {
        match operation {
            Operation::Range(range) => store.as_view().check_readable(range.revision)?,
            Operation::Put(put) => store.check_put(put)?,
            Operation::DeleteRange(_) => {}
            Operation::Txn(nested) => check(store, nested, path)?,
        }
    }
    Ok(())
}

/// Runs a transaction that was chosen and checked.
pub(crate) fn execute(
    change: &mut Change<'_>,
    txn: Txn,
    path: &mut impl Iterator<Item = bool>,
) -> TxnReply {
    let succeeded = next_choice(path);
    let operations = if succeeded { txn.success } else { txn.failure };
    let outcomes = operations
        .into_iter()
        .map(|operation| match operation {
            Operation::Range(range) => Outcome::Range(change.view().read(&range)),
            Operation::Put(put) => Outcome::Put(change.put(put)),
            Operation::DeleteRange(delete) => Outcome::DeleteRange(change.delete_range(&delete)),
            Operation::Txn(nested) => Outcome::Txn(execute(change, nested, path)),
        })
        .collect();
    TxnReply { revision: change.revision(), succeeded, outcomes }
}

fn next_choice(path: &mut impl Iterator<Item = bool>) -> bool {
    path.next().expect("every transaction that runs was chosen")
}
