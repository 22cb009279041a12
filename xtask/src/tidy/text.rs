//! Rules that look at one line at a time: heads, marks, spaces, sizes, the change log.

use super::{Finding, SourceFile};

const LARGEST_FILE_BYTES: u64 = 100 * 1024;
/// Written apart, so that this file passes its own rule.
const MARKS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

pub(super) fn check(sources: &[SourceFile], findings: &mut Vec<Finding>) {
    for source in sources {
        check_size(source, findings);
        if source.is_generated() || source.is_fixture() {
            continue;
        }
        let Some(text) = &source.text else { continue };
        check_lines(source, text, findings);
        if source.is_rust() && !text.starts_with("//!") {
            findings.push(Finding::new(
                &source.path,
                1,
                "a module starts with `//!`: what it decides, what it does not",
            ));
        }
    }
    check_change_log(sources, findings);
}

fn check_size(source: &SourceFile, findings: &mut Vec<Finding>) {
    let exempt = source.is_generated() || source.is_fixture();
    if source.bytes > LARGEST_FILE_BYTES && !exempt {
        let what = format!("{} bytes, the limit is {LARGEST_FILE_BYTES}", source.bytes);
        findings.push(Finding::new(&source.path, 0, what));
    }
}

fn check_lines(source: &SourceFile, text: &str, findings: &mut Vec<Finding>) {
    for (row, line) in text.lines().enumerate() {
        if line.ends_with([' ', '\t']) {
            findings.push(Finding::new(&source.path, row + 1, "trailing space"));
        }
        for mark in MARKS {
            if has_bare(line, mark) {
                let what = format!("a bare {mark}: give it a number, {mark}(#12), or do it");
                findings.push(Finding::new(&source.path, row + 1, what));
            }
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        let rows = text.lines().count();
        findings.push(Finding::new(&source.path, rows, "the last line does not end"));
    }
}

/// Whether a line holds the mark as a word without a number.
fn has_bare(line: &str, mark: &str) -> bool {
    line.match_indices(mark).any(|(at, _)| {
        let before = line[..at].chars().next_back().unwrap_or(' ');
        let after = &line[at + mark.len()..];
        let is_word = !before.is_alphanumeric() && !after.starts_with(char::is_alphanumeric);
        let numbered = after.strip_prefix("(#").is_some_and(|rest| {
            let number = rest.split(')').next().unwrap_or_default();
            rest.contains(')') && number.parse::<u32>().is_ok()
        });
        is_word && !numbered
    })
}

fn check_change_log(sources: &[SourceFile], findings: &mut Vec<Finding>) {
    let log = sources.iter().find(|source| source.path == "CHANGELOG.md");
    let text = log.and_then(|source| source.text.as_deref()).unwrap_or_default();
    if !text.lines().any(|line| line.starts_with("## [Unreleased]")) {
        findings.push(Finding::new("CHANGELOG.md", 0, "there is no `## [Unreleased]` section"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let log = SourceFile::for_test("CHANGELOG.md", "## [Unreleased]\n");
        let mut found = Vec::new();
        check(&[log, SourceFile::for_test(path, text)], &mut found);
        found.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_module_without_a_head_is_found() {
        assert!(findings("a.rs", "//! Head.\n").is_empty());
        assert!(findings("a.rs", "fn a() {}\n")[0].contains("starts with"));
    }

    #[test]
    fn bare_marks_are_found_and_numbered_ones_are_not() {
        let mark = MARKS[0];
        assert_eq!(findings("a.md", &format!("{mark}: later\n")).len(), 1);
        assert_eq!(findings("a.md", &format!("{mark}(#x): later\n")).len(), 1);
        assert!(findings("a.md", &format!("{mark}(#12): later\n")).is_empty());
        assert!(findings("a.md", &format!("mis{mark}ne\n")).is_empty());
    }

    #[test]
    fn spaces_sizes_and_unended_lines_are_found() {
        assert_eq!(findings("a.md", "x \n"), ["trailing space"]);
        assert_eq!(findings("a.md", "x"), ["the last line does not end"]);
        let large = "x\n".repeat(60 * 1024);
        assert!(findings("a.md", &large)[0].contains("the limit is"));
        assert!(findings("tests/fixtures/a.md", &large).is_empty());
    }

    #[test]
    fn a_change_log_without_a_place_for_changes_is_found() {
        let mut found = Vec::new();
        check(&[SourceFile::for_test("CHANGELOG.md", "# Changes\n")], &mut found);
        assert_eq!(found.len(), 1);
    }
}
