//! Random search: seeds of whole worlds, and where none notices a mutant, random lives of the protocol.
//!
//! What was found is kept in a file for each mutant, so that a search that was stopped goes on.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::build::Build;
use super::list::{Mutant, Test};
use super::written::{PATIENCE, start_test, within};

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
    let (mut counts, mut survivors) = (Vec::new(), Vec::new());
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
            Some(seed) => println!("random lives from seed {seed}"),
            None => {
                println!("not by random search, but by {}", mutant.test);
                survivors.push(mutant.id.as_str());
            }
        }
    }
    counts.sort_unstable();
    if let Some(median) = counts.get(counts.len() / 2) {
        let found = counts.iter().filter(|count| **count < u64::MAX).count();
        println!("worlds notice {found} of the {} that they run; median {median}", counts.len());
    }
    println!("by no random search, but by their written tests: {}", survivors.join(", "));
    Ok(())
}

/// The first seed of the random lives of `quorate-core` that notices a mutant.
fn life(program: &Path, lives: &Test, mutant: &Mutant) -> Result<Option<u64>, String> {
    if mutant.test.package != lives.package {
        return Ok(None);
    }
    let child = start_test(program, lives, &mutant.id)?;
    let output = within(child, PATIENCE)?.unwrap_or_default();
    let told = output.split_once("seed ").filter(|(_, rest)| rest.contains("breaks a rule"));
    Ok(told.and_then(|(_, rest)| rest.split(' ').next()?.parse().ok()))
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
        let output = Command::new(example)
            .args(["find", id, &tried.to_string(), &end.to_string()])
            .stderr(Stdio::null())
            .output()
            .map_err(|error| format!("{}: {error}", example.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // A search that says nothing ended by an abort of its own, which is noticed, too.
        let text =
            if text.is_empty() { format!("caught\t{tried}\tthe process ended") } else { text };
        tried = end;
        let record = format!("{tried}\t{text}");
        fs::write(&file, &record).map_err(|error| format!("{}: {error}", file.display()))?;
        if let (_, Some(found)) = read_found(&record) {
            return Ok(found);
        }
    }
    Ok(Found::Survived)
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
}
