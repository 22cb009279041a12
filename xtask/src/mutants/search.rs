//! Random search: seeds of whole worlds, and where none notices a mutant, random lives of the protocol.
//!
//! What was found is kept in a file for each mutant, so that a search that was stopped goes on. Only
//! what a mutant did is kept: a search that the system killed has shown nothing, and is an error.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use super::build::Build;
use super::list::{Mutant, Test};
use super::written::{ABORTED, PATIENCE, start_test, within};

/// Seeds of worlds that half of the mutants may take to be noticed, at most.
const MOST_SEEDS: u64 = 50;

/// Looks for a seed that notices each mutant, in worlds and then in random lives of the protocol.
pub(super) fn search(
    build: &Build,
    example: &Path,
    mutants: &[Mutant],
    seeds: u64,
) -> Result<(), String> {
    let folder = build.target.join("found");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let lives = Test {
        package: "quorate-core".to_owned(),
        target: "it".to_owned(),
        name: "property::cluster::no_life_breaks_a_rule_and_every_life_recovers".to_owned(),
        scenario: None,
    };
    let programs = build.tests(&[&lives])?;
    let program = programs.into_values().next().ok_or("quorate-core has no tests")?;
    let (mut counts, mut survivors, mut open) = (Vec::new(), Vec::new(), Vec::new());
    for mutant in mutants {
        print!("{:5} {}: ", mutant.id, mutant.breaks);
        if mutant.caught == "worlds" {
            match find(example, &folder, &mutant.id, seeds)? {
                Found::Caught { seeds, how } => {
                    println!("{seeds} seeds: {how}");
                    counts.push(seeds);
                    continue;
                }
                Found::Survived => {
                    print!("SURVIVES {seeds} seeds of worlds; ");
                    counts.push(u64::MAX);
                }
            }
        } else {
            print!("no random world runs it; ");
        }
        match life(&program, &lives, mutant)? {
            Life::Noticed(seed) => println!("random lives from seed {seed}"),
            Life::Clean => {
                println!("not by random search, but by {}", mutant.test);
                survivors.push(mutant.id.as_str());
            }
            Life::NotDecided => {
                println!("random lives have not decided it in {} s", PATIENCE.as_secs());
                open.push(mutant.id.as_str());
            }
        }
    }
    counts.sort_unstable();
    if let Some(median) = counts.get(counts.len() / 2) {
        let found = counts.iter().filter(|count| **count < u64::MAX).count();
        println!("worlds notice {found} of the {} that they run; median {median}", counts.len());
        if counts.len() > 1 && *median > MOST_SEEDS {
            return Err(format!("half of the mutants need more than {MOST_SEEDS} seeds"));
        }
    }
    println!("by no random search, but by their written tests: {}", survivors.join(", "));
    if !open.is_empty() {
        println!("not decided by the random lives: {}", open.join(", "));
    }
    Ok(())
}

/// What the random lives of `quorate-core` showed.
#[derive(Debug, PartialEq, Eq)]
enum Life {
    /// The first seed that notices the mutant.
    Noticed(u64),
    /// All of them passed, or none runs what the mutant breaks.
    Clean,
    /// They had not ended when patience did, or something else ended them.
    NotDecided,
}

/// Lives the random lives of `quorate-core` with a mutant.
fn life(program: &Path, lives: &Test, mutant: &Mutant) -> Result<Life, String> {
    if mutant.test.package != lives.package {
        return Ok(Life::Clean);
    }
    let child = start_test(program, lives, &mutant.id)?;
    Ok(within(child, PATIENCE)?.map_or(Life::NotDecided, |output| read_life(&output.text)))
}

fn read_life(output: &str) -> Life {
    let told = output.split_once("seed ").filter(|(_, rest)| rest.contains("breaks a rule"));
    let seed = told.and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    match seed {
        Some(seed) => Life::Noticed(seed),
        None if output.contains("1 passed; 0 failed") => Life::Clean,
        None => Life::NotDecided,
    }
}

/// What a search showed.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Caught { seeds: u64, how: String },
    Survived,
}

/// Goes on where an earlier search stopped: what it found is in a file of its own.
fn find(example: &Path, folder: &Path, id: &str, seeds: u64) -> Result<Found, String> {
    const STRIDE: u64 = 50;
    let file = folder.join(id);
    // What other code showed says nothing about this.
    let modified = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    let is_recent = modified(&file) > modified(example);
    let record = fs::read_to_string(&file).ok().filter(|_| is_recent).unwrap_or_default();
    let (mut tried, found) = read_found(&record);
    if let Some(found) = found {
        return Ok(found);
    }
    while tried < seeds {
        let end = (tried + STRIDE).min(seeds);
        let text = match seeds_of(example, id, tried, end)? {
            Ended::Said(text) => text,
            Ended::Aborted => aborting(example, id, tried, end)?,
        };
        tried = end;
        let record = format!("{tried}\t{text}");
        fs::write(&file, &record).map_err(|error| format!("{}: {error}", file.display()))?;
        if let (_, Some(found)) = read_found(&record) {
            return Ok(found);
        }
    }
    Ok(Found::Survived)
}

/// How a program that ran seeds ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// With words.
    Said(String),
    /// By an abort of its own: a panic while it panicked, a stack that overflowed. It does not say
    /// with which seed.
    Aborted,
}

fn seeds_of(example: &Path, id: &str, first: u64, end: u64) -> Result<Ended, String> {
    let output = Command::new(example)
        .args(["find", id, &first.to_string(), &end.to_string()])
        .stderr(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", example.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ended(output.status, text).map_err(|why| format!("{id}, seeds {first}..{end}: {why}"))
}

/// Whatever ended the program from outside says nothing about the mutant.
fn ended(status: ExitStatus, text: String) -> Result<Ended, String> {
    let has_words = text.starts_with("caught\t") || text.starts_with("survived");
    match status.signal() {
        Some(ABORTED) => Ok(Ended::Aborted),
        None if status.success() && has_words => Ok(Ended::Said(text)),
        _ => Err(format!("the search ended without a result ({status}); run it again")),
    }
}

/// Runs again, one by one, seeds of which one aborted: the first that is noticed, in words.
fn aborting(example: &Path, id: &str, first: u64, end: u64) -> Result<String, String> {
    for seed in first..end {
        match seeds_of(example, id, seed, seed + 1)? {
            Ended::Aborted => return Ok(format!("caught\t{seed}\tthe process aborted")),
            Ended::Said(text) if text.starts_with("caught") => return Ok(text),
            Ended::Said(_) => {}
        }
    }
    Err(format!("{id}, seeds {first}..{end}: aborted together, and not one by one"))
}

/// How many seeds were tried, and what caught the mutant if something did.
fn read_found(record: &str) -> (u64, Option<Found>) {
    let mut fields = record.trim_end().splitn(4, '\t');
    let tried = fields.next().and_then(|tried| tried.parse().ok()).unwrap_or(0);
    let caught = fields.next() == Some("caught");
    let seed: Option<u64> = fields.next().and_then(|seed| seed.parse().ok());
    let how = fields.next().unwrap_or_default().to_owned();
    let found = seed.filter(|_| caught).map(|seed| Found::Caught { seeds: seed + 1, how });
    (tried, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_goes_on_where_it_stopped() {
        assert_eq!(read_found(""), (0, None));
        assert_eq!(read_found("50\tsurvived\n"), (50, None));
        let found = Found::Caught { seeds: 8, how: "log matching: x".to_owned() };
        assert_eq!(read_found("50\tcaught\t7\tlog matching: x\n"), (50, Some(found)));
    }
    #[test]
    fn only_an_abort_of_its_own_is_noticed_without_words() {
        let status = |raw| ExitStatus::from_raw(raw);
        assert_eq!(ended(status(6), String::new()), Ok(Ended::Aborted));
        let said = Ended::Said("survived\n".to_owned());
        assert_eq!(ended(status(0), "survived\n".to_owned()), Ok(said));
        // Killed by the system, interrupted, gone without a word, left with an exit code.
        for raw in [9, 2, 0, 1 << 8] {
            assert!(ended(status(raw), String::new()).is_err(), "{raw}");
        }
        assert!(ended(status(9), "survived\n".to_owned()).is_err());
    }

    #[test]
    fn lives_that_did_not_end_decide_nothing() {
        let output = "thread panicked: seed 30 breaks a rule: x\ntest result: FAILED. 0 passed";
        assert_eq!(read_life(output), Life::Noticed(30));
        assert_eq!(read_life("test result: ok. 1 passed; 0 failed; 0 ignored"), Life::Clean);
        assert_eq!(read_life("running 1 test\n"), Life::NotDecided);
        assert_eq!(read_life(""), Life::NotDecided);
    }
}
