//! Golden transcripts: each file under `tests/scenarios` is a script with what it must show.
//!
//! A line that begins with `> ` is a command; the lines after it are what happened. A file begins
//! with a comment that says what it shows. `UPDATE_SCENARIOS=1` rewrites the transcripts; the
//! difference is then reviewed like code. `QUORATE_SCENARIO=theme/name` plays one alone.
//! `tests/scenarios/README.md` lists the commands.
//!
//! Each script is played twice: on a log that begins at the first entry, and on one that begins at
//! a snapshot far behind it. Both must show the same, apart from where they count from.

mod parse;
mod script;
mod shift;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use quorate_core::{EntryId, Index, Term};

use self::script::Script;

/// Where the second playing begins: the end of a snapshot.
const SNAPSHOT: EntryId = EntryId::new(Index(1000), Term(10));

#[test]
fn every_scenario_shows_what_is_written() {
    let failures = failures(EntryId::ZERO, is_update());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_scenario_shows_the_same_on_a_log_that_begins_at_a_snapshot() {
    if is_update() {
        return;
    }
    let failures = failures(SNAPSHOT, false);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_scenario_says_what_it_shows() {
    let files = files();
    assert!(files.len() >= 30, "{} scenarios are too few", files.len());
    for file in files {
        let text = fs::read_to_string(&file).expect("a scenario can be read");
        assert!(text.starts_with("# "), "{} begins with no comment", file.display());
    }
}

fn is_update() -> bool {
    variable("UPDATE_SCENARIOS").is_some()
}

#[expect(clippy::disallowed_methods, reason = "a test may be told what to play and to rewrite")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn failures(origin: EntryId, is_update: bool) -> Vec<String> {
    crate::pick_mutant();
    let mut failures = Vec::new();
    let wanted = variable("QUORATE_SCENARIO").map(|name| format!("{name}.txt"));
    let files = files().into_iter();
    let files: Vec<PathBuf> =
        files.filter(|file| wanted.as_ref().is_none_or(|name| file.ends_with(name))).collect();
    assert!(!files.is_empty(), "there is no scenario {wanted:?}");
    for file in files {
        let written = fs::read_to_string(&file).expect("a scenario can be read");
        let shown = match play(&written, origin) {
            Ok(shown) => shown,
            Err(error) => {
                failures.push(format!("{}: {error}", file.display()));
                continue;
            }
        };
        if is_update {
            fs::write(&file, &shown).expect("a scenario can be written");
        } else if shown != written {
            failures.push(format!("{}:\n{}", file.display(), difference(&written, &shown)));
        }
    }
    failures
}

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files = Vec::new();
    for theme in fs::read_dir(root).expect("the scenarios are there") {
        let theme = theme.expect("a theme can be listed").path();
        if theme.is_dir() {
            for file in fs::read_dir(theme).expect("a theme can be read") {
                files.push(file.expect("a scenario can be listed").path());
            }
        }
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

/// Plays a script and writes its transcript: comments, commands, and what each showed.
fn play(text: &str, origin: EntryId) -> Result<String, String> {
    let mut script = Script::new(origin);
    let mut transcript = String::new();
    let mut line_number = 0;
    for line in text.lines() {
        line_number += 1;
        let is_kept = line.is_empty() || line.starts_with('#') || line.starts_with("> ");
        if !is_kept {
            continue;
        }
        transcript.push_str(line);
        transcript.push('\n');
        let Some(command) = line.strip_prefix("> ") else { continue };
        let outcome = catch_unwind(AssertUnwindSafe(|| script.run(command)));
        match outcome {
            Ok(Ok(lines)) => {
                for line in lines {
                    transcript.push_str(&line);
                    transcript.push('\n');
                }
            }
            Ok(Err(error)) => return Err(format!("line {line_number}: `{command}`: {error}")),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                let text = text.unwrap_or_default();
                return Err(format!("line {line_number}: `{command}` panics: {text}"));
            }
        }
    }
    Ok(transcript)
}

/// The first place where two texts part, with what comes before.
fn difference(written: &str, shown: &str) -> String {
    let (written, shown): (Vec<&str>, Vec<&str>) =
        (written.lines().collect(), shown.lines().collect());
    let same = written.iter().zip(&shown).take_while(|(a, b)| a == b).count();
    let context = written[same.saturating_sub(4)..same].join("\n    ");
    let line = |lines: &[&str]| lines.get(same).map_or("(nothing)", |line| line).to_owned();
    format!("  line {}\n    {context}\n  - {}\n  + {}", same + 1, line(&written), line(&shown))
}
