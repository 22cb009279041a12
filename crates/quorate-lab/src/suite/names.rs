//! Finds suites and scenarios by name, and what a wrong name may have meant.

use std::collections::BTreeSet;
use std::fmt;

use super::{ALL, Entry, Suite};

/// Names that are shown beside a wrong one.
const SHOWN: usize = 5;

/// A name that no suite and no scenario has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    /// The name.
    pub name: String,
    /// Whether a suite was named, or a scenario.
    pub kind: &'static str,
    /// Names that are near it, the nearest first.
    pub nearest: Vec<&'static str>,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no {} `{}`", self.kind, self.name)?;
        if self.nearest.is_empty() {
            return Ok(());
        }
        write!(f, "; the nearest names are {}", self.nearest.join(", "))
    }
}

impl std::error::Error for UnknownName {}

/// What is meant by a suite's name and by a scenario's: both, either, or everything. A scenario is
/// named by its id, or by any name that a document has for it; its case does not matter.
///
/// # Errors
///
/// When no suite or no scenario in it has that name.
pub fn find(
    suite: Option<&str>,
    scenario: Option<&str>,
) -> Result<Vec<(&'static Suite, &'static Entry)>, UnknownName> {
    let suites: Vec<&'static Suite> = match suite {
        None => ALL.iter().collect(),
        Some(name) => {
            let found = ALL.iter().find(|suite| suite.name.eq_ignore_ascii_case(name));
            let found = found.ok_or_else(|| {
                unknown(name, "suite", ALL.iter().map(|suite| suite.name).collect())
            })?;
            vec![found]
        }
    };
    let all = suites.into_iter().flat_map(|suite| suite.entries.iter().map(move |e| (suite, e)));
    let all: Vec<(&'static Suite, &'static Entry)> = all.collect();
    let Some(name) = scenario else { return Ok(all) };
    let is_meant = |entry: &Entry| {
        let names = [entry.name, entry.also, entry.scenario.id()];
        names.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    let found: Vec<_> = all.iter().copied().filter(|(_, entry)| is_meant(entry)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let names = all.iter().flat_map(|(_, entry)| [entry.word(), entry.scenario.id()]);
    Err(unknown(name, "scenario", names.collect()))
}

fn unknown(name: &str, kind: &'static str, known: BTreeSet<&'static str>) -> UnknownName {
    let wanted = name.to_lowercase();
    let mut nearest: Vec<(bool, usize, &'static str)> = known
        .into_iter()
        .map(|known| {
            let lower = known.to_lowercase();
            // Part of a name is near it, however long the rest is.
            let is_part = wanted.len() > 2 && lower.contains(&wanted);
            (!is_part, distance(&wanted, &lower), known)
        })
        .collect();
    nearest.sort_unstable();
    // What has next to nothing in common is no help.
    nearest.retain(|(is_other, distance, known)| {
        !is_other || *distance <= 2 + wanted.len().max(known.len()) / 2
    });
    let nearest = nearest.into_iter().take(SHOWN).map(|(_, _, known)| known).collect();
    UnknownName { name: name.to_owned(), kind, nearest }
}

/// Letters to insert, delete or replace (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_is_answered_with_the_nearest() {
        let wrong = find(None, Some("test_initial_electoin")).unwrap_err();
        assert_eq!(wrong.nearest[0], "test_initial_election");
        assert!(wrong.to_string().starts_with(
            "there is no scenario `test_initial_electoin`; the nearest names are test_initial_election,"
        ));
        let wrong = find(None, Some("figure")).unwrap_err();
        assert!(wrong.nearest.contains(&"test_figure8"), "{wrong}");
        let wrong = find(Some("2b"), Some("count2b")).unwrap_err();
        assert_eq!(wrong.nearest[0], "TestCount2B");
        let wrong = find(Some("2E"), None).unwrap_err();
        assert!(wrong.nearest.contains(&"2A"), "{wrong}");
        assert!(find(None, Some("zzzzzzzzzzzzzz")).unwrap_err().nearest.is_empty());
    }

    #[test]
    fn scenarios_are_found_by_id_and_by_every_name() {
        let by_id = find(None, Some("e1")).unwrap();
        let suites: Vec<_> = by_id.iter().map(|(suite, _)| suite.name).collect();
        assert_eq!(suites, ["async-rust", "2A", "dss-2A"]);
        assert_eq!(find(Some("2b"), None).unwrap().len(), 8);
        assert_eq!(find(None, Some("TestRPCBytes2B")).unwrap()[0].1.name, "RPC byte count");
        assert_eq!(find(None, Some("rpc byte count")).unwrap().len(), 1);
        assert!(find(Some("2A"), Some("R1")).is_err());
    }

    #[test]
    fn distances_are_those_of_letters() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
