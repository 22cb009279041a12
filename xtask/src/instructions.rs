//! Counts the instructions of a write and a read, per operation, and compares them with the record.
//!
//! Times on a shared machine say little about a change of some percent; instructions under valgrind
//! are nearly the same on every run. Each figure is the difference between a long and a short run,
//! so that starting up does not count. The record is `docs/instructions.json`; `--record` writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the record is.
const RECORD: &str = "docs/instructions.json";
/// Percent above the record that fail. One source built in another directory is laid out and inlined
/// another way: that alone moved figures by up to 12 percent.
const TOLERANCE: u64 = 15;

/// What is counted: name, operation, how many together, rounds of the short run.
const CASES: [(&str, &str, u64, u64); 4] = [
    ("put, one at a time", "put", 1, 500),
    ("put, 64 together", "put", 64, 20),
    ("linearizable get, one at a time", "get", 1, 500),
    ("linearizable get, 64 together", "get", 64, 20),
];

/// Counts everything, prints it beside the record, and fails where a figure rose too far.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<(), String> {
    let is_recording = match arguments {
        [] => false,
        ["--record"] => true,
        _ => return Err("Usage: cargo xtask instructions [--record]".to_owned()),
    };
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("instructions: SKIPPED, nothing was compared: valgrind is not installed here");
        return Ok(());
    }
    let program = build(root)?;
    let path = root.join(RECORD);
    let record = if is_recording { BTreeMap::new() } else { read(&path)? };
    let mut counted = BTreeMap::new();
    let mut risen = Vec::new();
    println!(
        "{:<34} {:>10} {:>10} {:>8}",
        "instructions per operation", "recorded", "counted", "change"
    );
    for (name, operation, together, rounds) in CASES {
        let short = count(&program, operation, together, rounds)?;
        let long = count(&program, operation, together, 3 * rounds)?;
        let each = (long - short) / (2 * rounds * together);
        let before = record.get(name).copied();
        let change = before.map_or_else(String::new, |before| change(before, each));
        let shown = before.map_or_else(|| "-".to_owned(), |before| before.to_string());
        println!("{name:<34} {shown:>10} {each:>10} {change:>8}");
        if before.is_some_and(|before| each * 100 > before * (100 + TOLERANCE)) {
            risen.push(name);
        }
        if before.is_none() && !is_recording {
            return Err(format!("{RECORD} has no figure for \"{name}\": record it"));
        }
        counted.insert(name.to_owned(), each);
    }
    if is_recording {
        return fs::write(&path, show(&counted)).map_err(|error| format!("{RECORD}: {error}"));
    }
    if risen.is_empty() {
        return Ok(());
    }
    Err(format!(
        "more than {TOLERANCE} % above the record: {}; make it cheaper, or say in the commit what \
         the instructions buy and record them: cargo xtask instructions --record",
        risen.join("; ")
    ))
}

/// Change in percent, with one decimal.
fn change(before: u64, after: u64) -> String {
    let (sign, by) = if after < before { ('-', before - after) } else { ('+', after - before) };
    let tenths = by * 1000 / before.max(1);
    format!("{sign}{}.{} %", tenths / 10, tenths % 10)
}

/// Builds the benchmark; says where its program is.
fn build(root: &Path) -> Result<PathBuf, String> {
    let arguments = ["bench", "--locked", "--package", "quorate-kv", "--bench", "hot_path"];
    let output = Command::new("cargo")
        .args(arguments)
        .args(["--no-run", "--message-format", "json-render-diagnostics"])
        .current_dir(root)
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo bench --bench hot_path: {}", output.status));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    executable(&messages).ok_or_else(|| "cargo named no program of the benchmark".to_owned())
}

/// The program that cargo's messages name last.
fn executable(messages: &str) -> Option<PathBuf> {
    let (_, rest) = messages.rsplit_once("\"executable\":\"")?;
    rest.split_once('"').map(|(path, _)| PathBuf::from(path))
}

/// Instructions of one run.
fn count(program: &Path, operation: &str, together: u64, rounds: u64) -> Result<u64, String> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        // A string instruction counts once per byte there: without it, copies count as they cost.
        .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS")
        .arg(program)
        .args([operation, &together.to_string(), &rounds.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{operation} under valgrind: {}\n{said}", output.status));
    }
    collected(&said).ok_or_else(|| format!("valgrind gave no count:\n{said}"))
}

/// The count in what callgrind says.
fn collected(said: &str) -> Option<u64> {
    let (_, rest) = said.split_once("Collected :")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// The record as JSON, one figure a line.
fn show(figures: &BTreeMap<String, u64>) -> String {
    let mut text = String::from("{\n");
    for (place, (name, figure)) in figures.iter().enumerate() {
        let comma = if place + 1 < figures.len() { "," } else { "" };
        writeln!(text, "  \"{name}\": {figure}{comma}").expect("a string takes everything");
    }
    text.push_str("}\n");
    text
}

/// Reads what [`show`] wrote.
fn read(path: &Path) -> Result<BTreeMap<String, u64>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{RECORD}: {error}"))?;
    let figure = |line: &str| {
        let (name, figure) = line.trim().trim_end_matches(',').split_once("\": ")?;
        Some((name.strip_prefix('"')?.to_owned(), figure.parse().ok()?))
    };
    let lines = text.lines().filter(|line| !matches!(line.trim(), "{" | "}" | ""));
    lines
        .map(|line| figure(line).ok_or_else(|| format!("{RECORD}: not a figure: {line}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_read() {
        let figures = BTreeMap::from([("put, one".to_owned(), 12), ("get".to_owned(), 3)]);
        let path = std::env::temp_dir().join(format!("instructions-{}", std::process::id()));
        fs::write(&path, show(&figures)).unwrap();
        assert_eq!(read(&path), Ok(figures));
        fs::write(&path, "{\n  \"put\": many\n}\n").unwrap();
        assert!(read(&path).is_err());
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn figures_are_found_in_what_programs_say() {
        let said = "==1== Events    : Ir\n==1== Collected : 1234567\n==1==\n";
        assert_eq!(collected(said), Some(1_234_567));
        let messages = "{\"executable\":null}\n{\"executable\":\"/a/hot_path-1\",\"fresh\":true}\n";
        assert_eq!(executable(messages), Some(PathBuf::from("/a/hot_path-1")));
        assert_eq!(
            (change(200, 211), change(200, 190)),
            ("+5.5 %".to_owned(), "-5.0 %".to_owned())
        );
    }
}
