//! `cargo xtask soak NAME`: runs what is too long for CI, in rounds, and records it for `docs/`.
//!
//! A soak is a list of rounds; each runs one command with a seed of its own and prints lines that
//! start with `soak:`. What a finished round printed goes to `target/soak/NAME.state` before the next
//! one starts, so that a soak that was stopped goes on where it was. When all rounds are done the
//! record is written to `docs/soak/NAME.md`; a failed round stops the soak and keeps its output.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Marks the lines of a round that are worth keeping.
const MARK: &str = "soak:";

/// One soak run.
struct Soak {
    name: &'static str,
    about: &'static str,
    rounds: u32,
    /// Seeds of one round, where rounds are made of seeds.
    seeds: u64,
    /// Arguments of `cargo`; `{round}` stands for the number of the round, `{from}` and `{to}` for
    /// its seeds, the end left out.
    cargo: &'static [&'static str],
    /// More of them.
    more: &'static [&'static str],
    /// Environment of each round, with the same stand-in.
    env: &'static [(&'static str, &'static str)],
}

const SOAKS: &[Soak] = &[
    Soak {
        name: "kill",
        about: "Sixteen writers while random nodes get SIGKILL (20 a round), all three at once twice a round.",
        rounds: 25,
        seeds: 0,
        cargo: &["test", "--test", "e2e", "--", "--exact", "--nocapture", KILL_TEST],
        more: &[],
        env: &[
            ("QUORATE_KILL_SEED", "{round}"),
            ("QUORATE_KILLS", "20"),
            ("QUORATE_KILLS_OF_ALL", "2"),
        ],
    },
    Soak {
        name: "sim",
        about: "20,000 simulated worlds with all faults, every invariant checked after every step.",
        rounds: 40,
        seeds: 500,
        cargo: WORLDS,
        more: &[],
        env: &[],
    },
    Soak {
        name: "sim-twice",
        about: "1,000 simulated worlds, each run twice: the hashes of everything that happened are equal.",
        rounds: 4,
        seeds: 250,
        cargo: WORLDS,
        more: &["--twice"],
        env: &[],
    },
];

/// Worlds of a round's seeds.
const WORLDS: &[&str] = &[
    "run",
    "-q",
    "--profile",
    "soak",
    "-p",
    "quorate-cli",
    "--",
    "sim",
    "--soak",
    "--seeds",
    "{from}..{to}",
];

const KILL_TEST: &str = "kill::no_acknowledged_write_is_lost_while_nodes_are_killed";

/// Runs or resumes a soak.
///
/// # Errors
///
/// When the name is unknown, a round fails, or the record cannot be written.
pub(crate) fn run(root: &Path, name: Option<&str>) -> Result<(), String> {
    let Some(soak) = SOAKS.iter().find(|soak| Some(soak.name) == name) else {
        let known: Vec<String> =
            SOAKS.iter().map(|soak| format!("  {:10} {}", soak.name, soak.about)).collect();
        return Err(format!("name one of the soaks:\n{}", known.join("\n")));
    };
    let folder = root.join("target/soak");
    fs::create_dir_all(&folder).map_err(|error| describe(&folder, &error))?;
    let state = folder.join(format!("{}.state", soak.name));
    let mut record = fs::read_to_string(&state).unwrap_or_default();
    let done = rounds_in(&record);
    for round in done + 1..=soak.rounds {
        eprintln!("soak {}: round {round} of {}", soak.name, soak.rounds);
        let started = Instant::now();
        let lines = run_round(root, soak, round)?;
        let seconds = started.elapsed().as_secs();
        let text = format!("### round {round} ({seconds} s)\n\n{lines}\n");
        append(&state, &text)?;
        record.push_str(&text);
    }
    write_record(root, soak, &record)?;
    fs::remove_file(&state).map_err(|error| describe(&state, &error))
}

/// Number of the last round that a record holds.
fn rounds_in(record: &str) -> u32 {
    let rounds = record
        .lines()
        .filter_map(|line| line.strip_prefix("### round ")?.split(' ').next()?.parse::<u32>().ok());
    rounds.max().unwrap_or(0)
}

/// Runs one round, showing everything and returning the marked lines.
fn run_round(root: &Path, soak: &Soak, round: u32) -> Result<String, String> {
    let mut command = Command::new("cargo");
    command.current_dir(root).stdout(Stdio::piped());
    command.args(soak.cargo.iter().chain(soak.more).map(|part| fill(part, soak, round)));
    for (key, value) in soak.env {
        command.env(key, fill(value, soak, round));
    }
    let mut child = command.spawn().map_err(|error| format!("cargo: {error}"))?;
    let output = child.stdout.take().expect("standard output was asked for as a pipe");
    let mut kept = String::new();
    let mut tests = 0;
    for line in BufReader::new(output).lines() {
        let line = line.map_err(|error| format!("cargo: {error}"))?;
        println!("{line}");
        if let Some((_, text)) = line.split_once(MARK) {
            kept.push_str(&format!("- {}\n", text.trim()));
        }
        tests += passed_tests(&line);
    }
    let status = child.wait().map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err(format!(
            "round {round} of {} failed ({status}); its output is above",
            soak.name
        ));
    }
    if tests == 0 && kept.is_empty() {
        return Err(format!(
            "round {round} of {} ran no test and said nothing: is its name still right?",
            soak.name
        ));
    }
    Ok(kept)
}

/// Puts the round and its seeds in their places.
fn fill(part: &str, soak: &Soak, round: u32) -> String {
    let to = u64::from(round) * soak.seeds;
    let from = to - soak.seeds;
    part.replace("{round}", &round.to_string())
        .replace("{from}", &from.to_string())
        .replace("{to}", &to.to_string())
}

/// Number of tests in a closing line of the test runner.
fn passed_tests(line: &str) -> u32 {
    let count = line.strip_prefix("test result: ok. ").and_then(|rest| rest.split(' ').next());
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn append(state: &Path, text: &str) -> Result<(), String> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(state)
        .map_err(|error| describe(state, &error))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_data())
        .map_err(|error| describe(state, &error))
}

fn write_record(root: &Path, soak: &Soak, record: &str) -> Result<(), String> {
    let folder = root.join("docs/soak");
    fs::create_dir_all(&folder).map_err(|error| describe(&folder, &error))?;
    let path: PathBuf = folder.join(format!("{}.md", soak.name));
    let head = format!(
        "# Soak: {}\n\n{}\n\nMade by `cargo xtask soak {}` in {} rounds.\n\n",
        soak.name, soak.about, soak.name, soak.rounds
    );
    let text = format!("{}\n", (head + record).trim_end());
    fs::write(&path, text).map_err(|error| describe(&path, &error))?;
    eprintln!("soak {}: all rounds passed, recorded in {}", soak.name, path.display());
    Ok(())
}

fn describe(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soak_goes_on_after_the_last_round_that_finished() {
        assert_eq!(rounds_in(""), 0);
        assert_eq!(rounds_in("### round 1 (3 s)\n\n- a\n\n### round 2 (4 s)\n\n- b\n"), 2);
    }

    #[test]
    fn rounds_of_seeds_leave_none_out() {
        let soak = SOAKS.iter().find(|soak| soak.name == "sim").unwrap();
        assert_eq!(fill("{from}..{to}", soak, 1), "0..500");
        assert_eq!(fill("{from}..{to}", soak, 40), "19500..20000");
        assert_eq!(fill("{round}", &SOAKS[0], 3), "3");
    }

    #[test]
    fn a_run_without_tests_is_told_from_one_with_tests() {
        assert_eq!(passed_tests("test result: ok. 1 passed; 0 failed; 0 ignored"), 1);
        assert_eq!(passed_tests("running 0 tests"), 0);
    }
}
