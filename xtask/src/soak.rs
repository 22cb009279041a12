//! `cargo xtask soak NAME`: runs what is too long for CI, in rounds, and records it for `docs/`.
//!
//! A soak is a list of rounds; each runs one command with a seed of its own and prints lines that
//! start with `soak:`. What a finished round printed goes to `target/soak/NAME.state` before the next
//! one starts, so that a soak that was stopped goes on where it was. When all rounds are done the
//! record is written to `docs/soak/NAME.md`; a failed round stops the soak and keeps its output.
//!
//! Every round builds the checkout, so that all of them must see the same one: the state begins with
//! the commit, and no round runs under another or on an edited tree (`docs` may be edited).

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Marks the lines of a round that are worth keeping.
const MARK: &str = "soak:";

/// Begins the line of a state and of a record that names the commit.
const COMMIT: &str = "Commit ";

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
        name: "once",
        about: "Counters of exactly-once clients while nodes get SIGKILL (30 a round), leaders are stopped (5 a round) and replies are lost.",
        rounds: 10,
        seeds: 0,
        cargo: &["test", "--test", "e2e", "--", "--exact", "--nocapture", ONCE_TEST],
        more: &[],
        env: &[
            ("QUORATE_ONCE_SEED", "{round}"),
            ("QUORATE_ONCE_KILLS", "30"),
            ("QUORATE_ONCE_STOPS", "5"),
        ],
    },
    Soak {
        name: "alone",
        about: "A leader alone for 24 simulated hours, its quorum check switched off: what it holds stays bounded.",
        rounds: 1,
        seeds: 0,
        cargo: &["test", "-p", "quorate", "--lib", "--", "--exact", "--nocapture", ALONE_TEST],
        more: &[],
        env: &[("QUORATE_ALONE_HOURS", "24")],
    },
    Soak {
        name: "storm",
        about: "Ten thousand callers that retry at once after every refusal while leaders are lost (5 a round).",
        rounds: 20,
        seeds: 0,
        cargo: &[
            "test",
            "-p",
            "quorate",
            "--test",
            "it",
            "--",
            "--exact",
            "--nocapture",
            STORM_TEST,
        ],
        more: &[],
        env: &[("QUORATE_STORM_LOSSES", "5")],
    },
    Soak {
        name: "away",
        about: "A follower that is away for a day while clients go on, and a leader that is alone for a day: memory, logs and disks within their bounds.",
        rounds: 3,
        seeds: 0,
        cargo: &[
            "test",
            "--profile",
            "soak",
            "-p",
            "quorate-sim",
            "--test",
            "it",
            "--",
            "--nocapture",
            "scripts::away",
        ],
        more: &[],
        env: &[("QUORATE_AWAY_HOURS", "24"), ("QUORATE_AWAY_SEED", "{round}")],
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
    Soak {
        name: "lab",
        about: "200 seeds of every scenario of the lab, in virtual time.",
        rounds: 40,
        seeds: 5,
        cargo: LAB,
        more: &["--seeds", "{from}..{to}"],
        env: &[],
    },
    Soak {
        name: "lab-real",
        about: "Ten times every scenario of the lab in real time, 24 at a time.",
        rounds: 10,
        seeds: 1,
        cargo: LAB,
        more: &["--seeds", "{from}..{to}", "--real-time", "--jobs", "24"],
        env: &[],
    },
];

/// Every scenario of the lab. All seeds take less time than to compile it for speed.
const LAB: &[&str] = &["run", "-q", "-p", "quorate-cli", "--", "lab", "--all", "--soak"];

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

const ONCE_TEST: &str = "once::every_call_of_a_session_is_carried_out_exactly_once";

const ALONE_TEST: &str = "replica::tests::bounds::\
     a_leader_alone_refuses_calls_when_too_much_waits_for_commitment";

const STORM_TEST: &str =
    "storm::ten_thousand_callers_that_retry_at_once_leave_elections_undisturbed";

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
    if record.is_empty() {
        let text = format!("{COMMIT}{}\n\n", commit(root)?);
        append(&state, &text)?;
        record.push_str(&text);
    }
    let done = rounds_in(&record);
    for round in done + 1..=soak.rounds {
        is_of(&record, &commit(root)?).map_err(|why| {
            format!("{why}; check that commit out, or begin anew: rm {}", state.display())
        })?;
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

/// The commit that is checked out.
///
/// # Errors
///
/// When there is none, or the tree holds something else.
fn commit(root: &Path) -> Result<String, String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(root).output();
        output.map_err(|error| format!("git: {error}"))
    };
    let changes = git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"])?;
    let head = git(&["rev-parse", "HEAD"])?;
    if !changes.status.success() || !head.status.success() {
        return Err("a soak is of a commit, and git names none here".to_owned());
    }
    if !changes.stdout.is_empty() {
        let changes = String::from_utf8_lossy(&changes.stdout).into_owned();
        return Err(format!("a soak is of a commit, and these files differ from it:\n{changes}"));
    }
    Ok(String::from_utf8_lossy(&head.stdout).trim().to_owned())
}

/// Whether a record was begun under this commit.
fn is_of(record: &str, commit: &str) -> Result<(), String> {
    match record.lines().find_map(|line| line.strip_prefix(COMMIT)) {
        Some(begun) if begun == commit => Ok(()),
        Some(begun) => {
            Err(format!("this soak was begun under {begun}, and {commit} is checked out"))
        }
        None => Err("this soak does not say under which commit it was begun".to_owned()),
    }
}

/// Sums what rounds of worlds say at their end, in a line; nothing where none does.
fn sums(record: &str) -> String {
    let (mut hours, mut requests) = (0.0, 0);
    for line in record.lines() {
        let Some((_, told)) = line.split_once(" clean") else { continue };
        let before = |what: &str| {
            let number = told.split_once(what)?.0.rsplit(' ').next()?;
            Some(number.replace(',', ""))
        };
        let hour = before(" simulated hours").and_then(|number| number.parse::<f64>().ok());
        hours += hour.unwrap_or_default();
        let count = before(" acknowledged requests").and_then(|number| number.parse::<u64>().ok());
        requests += count.unwrap_or_default();
    }
    if requests == 0 {
        return String::new();
    }
    format!("Together {hours:.2} simulated hours and {requests} acknowledged requests.\n\n")
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
    let text = format!("{}\n", (head + &sums(record) + record).trim_end());
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
    fn a_soak_goes_on_under_its_own_commit_alone() {
        let record = "Commit abc\n\n### round 1 (3 s)\n\n- a\n";
        assert_eq!(is_of(record, "abc"), Ok(()));
        assert!(is_of(record, "abd").unwrap_err().contains("begun under abc, and abd"));
        assert!(is_of("### round 1 (3 s)\n", "abc").is_err());
        assert_eq!(rounds_in(record), 1);
    }

    #[test]
    fn a_record_sums_what_its_rounds_simulated() {
        let record = "### round 1 (3 s)\n\n\
            - seeds 0..500 clean: 12.22 simulated hours, 800,123 acknowledged requests\n\n\
            ### round 2 (3 s)\n\n\
            - seeds 500..1000 clean, each twice with the same hash: 12.25 simulated hours, 999 acknowledged requests\n";
        assert_eq!(
            sums(record),
            "Together 24.47 simulated hours and 801122 acknowledged requests.\n\n"
        );
        assert_eq!(sums("### round 1 (3 s)\n\n- seed 15: 20 kills of one node\n"), "");
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
