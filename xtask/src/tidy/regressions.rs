//! Bugs of others: what the table in `docs/testing.md` names exists, and names the bug in turn.

use super::{Finding, SourceFile};

const TABLE: &str = "docs/testing.md";
const SCENARIOS: &str = "crates/quorate-core/tests/scenarios/";

pub(super) fn check(sources: &[SourceFile], findings: &mut Vec<Finding>) {
    let table = sources.iter().find(|source| source.path == TABLE);
    let rows = table.and_then(|source| source.text.as_deref()).unwrap_or_default().lines();
    for (line, row) in rows.enumerate() {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let (Some(id), Some(_), Some(tests)) = (cells.next(), cells.next(), cells.next()) else {
            continue;
        };
        if !id.starts_with("R-") {
            continue;
        }
        let mut finding = |what| findings.push(Finding::new(TABLE, line + 1, what));
        let mut is_told = false;
        for name in tests.split('`').skip(1).step_by(2) {
            match sources.iter().find(|source| holds(source, name)) {
                Some(source) => is_told |= names(source, id),
                None => finding(format!("there is no test or scenario {name}")),
            }
        }
        if !is_told {
            finding(format!("no test of this row says that it is {id}"));
        }
    }
}

/// Whether a file has the test, or is the scenario `theme/name`.
fn holds(source: &SourceFile, name: &str) -> bool {
    if name.contains('/') {
        return source.path.strip_prefix(SCENARIOS) == Some(&format!("{name}.txt"));
    }
    let declared = format!("fn {name}(");
    source.is_rust() && source.text.as_deref().is_some_and(|text| text.contains(&declared))
}

/// Whether a file names the bug: the id, and not the beginning of another one.
fn names(source: &SourceFile, id: &str) -> bool {
    source.text.as_deref().is_some_and(|text| {
        text.match_indices(id).any(|(at, _)| {
            !text[at + id.len()..].starts_with(|symbol: char| symbol.is_ascii_digit())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(table: &str, code: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        let sources =
            [SourceFile::for_test(TABLE, table), SourceFile::for_test("crates/a/src/a.rs", code)];
        check(&sources, &mut findings);
        findings
    }

    #[test]
    fn a_row_whose_test_is_gone_or_says_nothing_is_found() {
        let table = "# Tests\n\n| R-ST1 | lost | `it_is_kept` |\n";
        assert_eq!(found(table, "/// R-ST1.\nfn it_is_kept() {}\n"), []);
        assert_eq!(found(table, "/// R-ST10.\nfn it_is_kept() {}\n").len(), 1);
        assert_eq!(found(table, "/// R-ST1.\nfn it_was_kept() {}\n").len(), 2);
        assert_eq!(found(table, "fn it_is_kept() {}\n")[0].line, 3);
    }
}
