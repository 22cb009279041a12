//! Golden scenarios: each says what it shows, and every reference to one leads somewhere.

use super::{Finding, SourceFile};

const FOLDER: &str = "crates/quorate-core/tests/scenarios/";
/// Written apart, so that this file holds no reference.
const REFERENCE: &str = concat!("scenario", ": ");

pub(super) fn check(sources: &[SourceFile], findings: &mut Vec<Finding>) {
    for source in sources.iter().filter(|source| is_scenario(source)) {
        let head = source.text.as_deref().and_then(|text| text.lines().next()).unwrap_or_default();
        if head.strip_prefix('#').is_none_or(|rest| rest.trim().is_empty()) {
            let what = "a scenario starts with a `#` comment that says what it shows";
            findings.push(Finding::new(&source.path, 1, what));
        }
    }
    for source in sources.iter().filter(|source| source.is_rust()) {
        for (row, line) in source.text.iter().flat_map(|text| text.lines().enumerate()) {
            for name in references(line) {
                let path = format!("{FOLDER}{name}.txt");
                if !sources.iter().any(|source| source.path == path) {
                    let what = format!("there is no scenario {path}");
                    findings.push(Finding::new(&source.path, row + 1, what));
                }
            }
        }
    }
}

fn is_scenario(source: &SourceFile) -> bool {
    source.path.starts_with(FOLDER) && source.path.ends_with(".txt")
}

/// The `theme/name`s that a comment refers to.
fn references(line: &str) -> Vec<String> {
    let Some((_, comment)) = line.split_once("//") else { return Vec::new() };
    let mut names = Vec::new();
    for (at, _) in comment.match_indices(REFERENCE) {
        let rest = comment[at + REFERENCE.len()..].trim_start_matches('`');
        let name: String = rest.chars().take_while(|symbol| is_path(*symbol)).collect();
        let theme_and_name = name.split_once('/');
        if theme_and_name.is_some_and(|(theme, name)| !theme.is_empty() && !name.is_empty()) {
            names.push(name);
        }
    }
    names
}

fn is_path(symbol: char) -> bool {
    symbol.is_ascii_alphanumeric() || matches!(symbol, '_' | '/' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_to_a_missing_scenario_is_found() {
        let code = format!("//! Head.\n// {REFERENCE}election/split\nfn a() {{}}\n");
        let sources = [SourceFile::for_test("a.rs", &code)];
        let mut found = Vec::new();
        check(&sources, &mut found);
        assert_eq!(found[0].line, 2);

        let there = SourceFile::for_test(&format!("{FOLDER}election/split.txt"), "# It splits.\n");
        let mut found = Vec::new();
        check(&[SourceFile::for_test("a.rs", &code), there], &mut found);
        assert!(found.is_empty());
    }

    #[test]
    fn a_scenario_without_a_heading_is_found() {
        let mut found = Vec::new();
        let bare = SourceFile::for_test(&format!("{FOLDER}election/split.txt"), "start 3\n");
        check(&[bare], &mut found);
        assert_eq!(found.len(), 1);
    }
}
