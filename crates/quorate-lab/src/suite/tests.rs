//! That the table holds every name of every document.

use std::collections::BTreeSet;

use super::*;

fn count(names: &[&str]) -> usize {
    names.iter().map(|name| find(Some(name), None).unwrap().len()).sum()
}

#[test]
fn every_document_has_all_its_names() {
    assert_eq!(count(&["async-rust"]), 25);
    assert_eq!(count(&["2A", "2B"]), 10);
    assert_eq!(count(&["dss-2A", "dss-2B", "2C", "2D"]), 23);
    assert_eq!(count(&["3A", "3B"]), 21);
    assert_eq!(count(&["3A-tight"]), count(&["3A"]));
    assert_eq!(count(&["RSM"]), 8);
    assert_eq!(count(&["own"]), 2);
}

#[test]
fn every_scenario_is_in_a_suite_and_no_name_stands_for_two() {
    let all = find(None, None).unwrap();
    let scenarios: BTreeSet<Scenario> = all.iter().map(|(_, entry)| entry.scenario).collect();
    assert_eq!(scenarios.len(), Scenario::ALL.len());
    assert_eq!(Scenario::ALL.len(), 36 + 22 + 8 + 2);
    let names: BTreeSet<&str> = all.iter().map(|(_, entry)| entry.word()).collect();
    assert_eq!(names.len(), all.len(), "two entries have one name");
    assert!(names.iter().all(|name| !name.contains(' ')));
}

#[test]
fn substrings_expand_as_the_async_rust_lab_counts_them() {
    let with = |part: &str| {
        let all = find(Some("async-rust"), None).unwrap();
        all.iter().filter(|(_, entry)| entry.name.contains(part)).count()
    };
    assert_eq!((with("test_persist"), with("test_partition")), (6, 5));
}

#[test]
fn timing_and_network_are_those_of_the_document() {
    let settings = |name| {
        let (suite, entry) = find(None, Some(name)).unwrap()[0];
        suite.settings(entry, Pauses::Short)
    };
    let brisk = settings("test_figure8");
    assert_eq!((brisk.manner, brisk.model), (Manner::Process, Model::Proxy));
    assert_eq!((brisk.limit.as_secs(), brisk.timing), (480, Timing::brisk()));
    let dss = settings("test_figure_8_2c");
    assert_eq!((dss.manner, dss.model), (Manner::Course, Model::LabRpc(Lost::Late)));
    assert_eq!((dss.limit.as_secs(), dss.timing), (120, Timing::course()));
    assert_eq!(settings("TestBackup2B").model, Model::LabRpc(Lost::Soon));
    assert_eq!(settings("test_basic_agree_2b").peers, Some(5));
    // At most ten heartbeats in a second.
    assert!(Timing::course().heartbeat >= Duration::from_millis(100));
}
