//! The whole language against the naive model.

use proptest::prelude::*;
use quorate::Codec;
use quorate_kv::{Command, Event, EventKind, Range, Reply, Revision, Store, View};

use crate::commands::{command, range};
use crate::model::{Model, Plain, Version, plain};

/// What one revision changed, read off two states of the model.
fn changes(model: &Model, revision: i64) -> Vec<(Vec<u8>, Option<Version>, Option<Version>)> {
    let at = usize::try_from(revision).unwrap();
    let (before, after) = (&model.states[at - 1], &model.states[at]);
    let mut keys: Vec<_> = before.keys().chain(after.keys()).cloned().collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .map(|key| (before.get(&key).cloned(), after.get(&key).cloned(), key))
        .filter(|(before, after, _)| before != after)
        .map(|(before, after, key)| (key, before, after))
        .collect()
}

fn seen(events: &[Event]) -> Vec<(Vec<u8>, Option<Version>, Option<Version>)> {
    let mut seen: Vec<_> = events
        .iter()
        .map(|event| {
            let before = event.previous.as_ref().map(Version::from);
            let after = (event.kind == EventKind::Put).then(|| Version::from(&event.kv));
            (event.kv.key().to_vec(), before, after)
        })
        .collect();
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    seen
}

fn check_view(view: &View, model: &Model, ranges: &[Range]) -> Result<(), TestCaseError> {
    prop_assert_eq!(view.revision().get(), model.revision());
    prop_assert_eq!(view.compact_revision().map_or(0, Revision::get), model.compacted);
    for range in ranges {
        let read = view.range(range).map(|reply| Plain::from(&reply));
        prop_assert_eq!(read, model.range(range), "{:?}", range);
    }
    let latest = model.states.last().unwrap();
    prop_assert_eq!(view.stats().keys, latest.len() as u64);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1200))]

    #[test]
    fn the_store_answers_as_the_model_does_and_views_keep_their_moment(
        commands in prop::collection::vec((command(), prop::bool::weighted(0.15)), 1..70),
        ranges in prop::collection::vec(range(), 24),
    ) {
        let mut store = Store::default();
        let mut model = Model::default();
        let mut kept = Vec::new();
        let mut events = Vec::new();
        for (command, keep) in commands {
            let mut bytes = Vec::new();
            command.encode(&mut bytes).unwrap();
            prop_assert_eq!(&Command::decode(&bytes).unwrap(), &command);

            let before = model.revision();
            let expected = model.apply(&command);
            let valid = command.validate();
            let reply = store.apply(command, &mut events);
            prop_assert_eq!(plain(&reply), expected);
            if let Err(error) = valid {
                prop_assert_eq!(&reply.result, &Err(error), "refusing early gives the same error");
            }
            if model.revision() > before {
                prop_assert_eq!(seen(&events), changes(&model, model.revision()));
            } else {
                prop_assert!(events.is_empty());
            }
            events.clear();

            bytes.clear();
            reply.encode(&mut bytes).unwrap();
            prop_assert_eq!(Reply::decode(&bytes).unwrap(), reply);
            if keep {
                kept.push((store.view(), model.clone()));
            }
        }
        kept.push((store.view(), model));
        for (view, model) in kept {
            check_view(&view, &model, &ranges)?;
            for revision in model.compacted.max(1)..=model.revision() {
                let all = Range::new(quorate_kv::KeyRange::prefix(b"")).at(Revision(revision));
                let read = view.range(&all).map(|reply| Plain::from(&reply));
                prop_assert_eq!(read, model.range(&all), "at revision {}", revision);
            }
        }
    }
}
