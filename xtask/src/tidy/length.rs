//! Lines per file and per function, with a ratchet.
//!
//! A file has at most [`FILE_LINES`] lines without its tests, a function at most [`FUNCTION_LINES`]
//! lines between its braces. `xtask/ratchet.toml` names what is longer, with its exact length: such an
//! entry may only shrink, and it goes when it is not needed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::rust::Code;
use super::{Finding, SourceFile};

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;
const RATCHET: &str = "xtask/ratchet.toml";

pub(super) fn check(
    root: &Path,
    sources: &[SourceFile],
    findings: &mut Vec<Finding>,
) -> Result<(), String> {
    let ratchet = fs::read_to_string(root.join(RATCHET))
        .map_err(|error| format!("{RATCHET}: {error}"))
        .and_then(|text| parse(&text))?;
    compare(&measure(sources), ratchet, findings);
    Ok(())
}

/// Length, limit and line of everything measured, by the name it has in the ratchet.
type Measured = BTreeMap<String, (usize, usize, usize)>;

fn measure(sources: &[SourceFile]) -> Measured {
    let mut measured = Measured::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        let Some(text) = &source.text else { continue };
        let code = Code::new(text);
        if !source.is_test() {
            measured.insert(source.path.clone(), (code.lines_without_tests(), FILE_LINES, 0));
        }
        for function in code.functions() {
            let name = format!("{}::{}", source.path, function.name);
            let longest = measured.get(&name).map_or(0, |(length, ..)| *length);
            if function.body_lines > longest {
                measured.insert(name, (function.body_lines, FUNCTION_LINES, function.line));
            }
        }
    }
    measured
}

fn compare(measured: &Measured, mut ratchet: BTreeMap<String, usize>, into: &mut Vec<Finding>) {
    for (name, &(length, limit, line)) in measured {
        let place = name.split("::").next().unwrap_or(name);
        let known = ratchet.remove(name);
        let what = match known {
            None if length > limit => {
                format!("{name} has {length} lines, the limit is {limit}: split it")
            }
            Some(known) if length > known => {
                format!("{name} grew from {known} to {length} lines: split it (limit {limit})")
            }
            Some(_) if length <= limit => {
                format!("{name} is within the limit: remove it from {RATCHET}")
            }
            Some(known) if length < known => {
                format!("{name} shrank: set it to {length} in {RATCHET}, so that it stays so")
            }
            None | Some(_) => continue,
        };
        into.push(Finding::new(place, line, what));
    }
    for name in ratchet.keys() {
        into.push(Finding::new(RATCHET, 0, format!("{name} does not exist: remove it")));
    }
}

/// Reads lines of the form `"name" = length`.
fn parse(text: &str) -> Result<BTreeMap<String, usize>, String> {
    let mut entries = BTreeMap::new();
    for (row, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line.starts_with('[') {
            continue;
        }
        let entry = line.split_once('=').and_then(|(name, length)| {
            let name = name.trim().strip_prefix('"')?.strip_suffix('"')?;
            Some((name.to_owned(), length.trim().parse().ok()?))
        });
        let (name, length) =
            entry.ok_or_else(|| format!("{RATCHET}:{}: expected \"name\" = length", row + 1))?;
        entries.insert(name, length);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(body_lines: usize, ratchet: &str) -> Vec<String> {
        let text = format!("fn long() {{\n{}}}\n", "    work();\n".repeat(body_lines));
        let source = SourceFile::for_test("a.rs", &text);
        let mut found = Vec::new();
        compare(&measure(&[source]), parse(ratchet).unwrap(), &mut found);
        found.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_long_function_is_found_unless_the_ratchet_knows_its_length() {
        assert!(findings(70, "").is_empty());
        assert!(findings(71, "")[0].contains("the limit is 70"));
        assert!(findings(71, "\"a.rs::long\" = 71").is_empty());
    }

    #[test]
    fn the_ratchet_only_shrinks() {
        assert!(findings(80, "\"a.rs::long\" = 75")[0].contains("grew"));
        assert!(findings(72, "\"a.rs::long\" = 75")[0].contains("shrank"));
        assert!(findings(60, "\"a.rs::long\" = 75")[0].contains("remove it"));
        assert!(findings(1, "\"b.rs::gone\" = 75")[0].contains("does not exist"));
        assert!(parse("nonsense").is_err());
    }

    #[test]
    fn a_long_file_is_found_but_its_tests_do_not_count() {
        let mut text = "//! Head.\n".to_owned() + &"const A: u8 = 0;\n".repeat(599);
        text += "#[cfg(test)]\nmod tests {\n}\n";
        let length = |text: &str| measure(&[SourceFile::for_test("a.rs", text)])["a.rs"].0;
        assert_eq!(length(&text), 600);
    }
}
