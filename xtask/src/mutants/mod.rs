//! `cargo xtask mutants`: proves that the tests notice deliberate bugs.
//!
//! `quorate-core/src/mutant.rs` lists the bugs, each with the written test that catches it. They are
//! compiled by one cfg into a target directory of their own, so that normal builds stay as they are.
//!
//! - `--scenarios` runs the written tests: each must pass as the code is, and fail with its mutant.
//! - `--checkers` does the same for mutants of the checkers: each must miss what its test plants.
//! - Without either, seeds of whole worlds are run for each mutant until one notices it, and where
//!   none does, the random lives of `quorate-core`. What was found is kept in
//!   `target/mutants/found`, so that a search that was stopped goes on, until the code changes.

mod build;
mod list;
mod search;
mod written;

use std::path::Path;

use self::build::Build;

const USAGE: &str = "\
Usage: cargo xtask mutants [--scenarios | --checkers] [--core] [--only ID] [--seeds COUNT]

  --scenarios    run each mutant's written test, with it and without
  --checkers     the same for mutants of the checkers
  --core         the mutants of the core set only
  --only ID      this mutant only
  --seeds COUNT  seeds to try for each mutant before it counts as a survivor (2000)
";

/// What was asked for.
#[derive(Debug)]
struct Wanted {
    scenarios: bool,
    checkers: bool,
    core: bool,
    only: Option<String>,
    seeds: u64,
}

/// Does what the arguments ask for.
///
/// # Errors
///
/// When a build fails, a test fails without a mutant, or a mutant is not caught.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<(), String> {
    let wanted = parse(arguments)?;
    let build = Build { root: root.to_owned(), target: root.join("target/mutants") };
    let example = build.example()?;
    let mut mutants = list::list(&example)?;
    mutants.retain(|mutant| (mutant.caught == "checker") == wanted.checkers);
    mutants.retain(|mutant| !wanted.core || mutant.is_core);
    mutants.retain(|mutant| wanted.only.as_ref().is_none_or(|only| *only == mutant.id));
    if mutants.is_empty() {
        return Err("there is no such mutant".to_owned());
    }
    if wanted.scenarios || wanted.checkers {
        written::scenarios(&build, &mutants)
    } else {
        search::search(&build, &example, &mutants, wanted.seeds)
    }
}

fn parse(arguments: &[&str]) -> Result<Wanted, String> {
    let mut wanted =
        Wanted { scenarios: false, checkers: false, core: false, only: None, seeds: 2000 };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match *argument {
            "--scenarios" => wanted.scenarios = true,
            "--checkers" => wanted.checkers = true,
            "--core" => wanted.core = true,
            "--only" => wanted.only = Some((*rest.next().ok_or(USAGE)?).to_owned()),
            "--seeds" => {
                let count = rest.next().and_then(|count| count.parse().ok());
                wanted.seeds = count.ok_or(USAGE)?;
            }
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(wanted)
}
