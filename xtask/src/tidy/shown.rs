//! Tables that say what a test shows: every test that one names exists.

use super::{Finding, SourceFile};

/// Headings of the columns that name tests.
const HEADINGS: &[&str] = &["test", "shown by", "how it is tested"];

pub(super) fn check(sources: &[SourceFile], findings: &mut Vec<Finding>) {
    for page in sources.iter().filter(|source| is_page(&source.path)) {
        // The column that names tests, while a table has one.
        let mut column = None;
        for (row, line) in page.text.iter().flat_map(|text| text.lines().enumerate()) {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            if !line.starts_with('|') {
                column = None;
                continue;
            }
            let Some(column) = column else {
                column = Some(cells.iter().position(|cell| HEADINGS.contains(cell)).unwrap_or(0));
                continue;
            };
            let cell = cells.get(column).filter(|_| column > 0).copied().unwrap_or_default();
            for name in cell.split('`').skip(1).step_by(2).filter(|name| is_test_name(name)) {
                let declared = format!("fn {name}(");
                let has = |source: &SourceFile| {
                    source.is_rust()
                        && source.text.as_deref().is_some_and(|text| text.contains(&declared))
                };
                if !sources.iter().any(has) {
                    let what = format!("there is no test {name}");
                    findings.push(Finding::new(&page.path, row + 1, what));
                }
            }
        }
    }
}

fn is_page(path: &str) -> bool {
    path.starts_with("docs/") && path.ends_with(".md")
}

/// Tests are sentences: three words at least.
fn is_test_name(name: &str) -> bool {
    let is_word =
        |symbol: char| symbol.is_ascii_lowercase() || symbol.is_ascii_digit() || symbol == '_';
    name.chars().all(is_word) && name.matches('_').count() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(table: &str) -> Vec<usize> {
        let mut findings = Vec::new();
        let sources = [
            SourceFile::for_test("docs/a.md", table),
            SourceFile::for_test("crates/a/src/a.rs", "#[test]\nfn it_is_kept() {}\n"),
        ];
        check(&sources, &mut findings);
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_test_that_a_table_names_and_nobody_wrote_is_found() {
        let head = "| trap | test |\n|---|---|\n";
        assert!(found(&format!("{head}| lost | P1; `it_is_kept` |\n")).is_empty());
        assert_eq!(found(&format!("{head}| lost | `it_is_kept`, `it_was_kept` |\n")), [3]);
        // Other columns, shorter names, and tables that name no tests, are not meant.
        assert!(found(&format!("{head}| `it_was_kept` | `cargo test`, `is_kept` |\n")).is_empty());
        assert!(found("| trap | fix |\n|---|---|\n| lost | `it_was_kept` |\n").is_empty());
        let two = format!("| trap | fix |\n|---|---|\n\n{head}| lost | `it_was_kept` |\n");
        assert_eq!(found(&two), [6]);
    }
}
