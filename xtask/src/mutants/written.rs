//! The written tests: each must pass as the code is, and fail with its mutant.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::build::Build;
use super::list::{Mutant, Test};

/// A written test that takes longer hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How a run of a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
}

/// Runs each test without a mutant and with its own.
pub(super) fn scenarios(build: &Build, mutants: &[Mutant]) -> Result<(), String> {
    let began = Instant::now();
    let mut tests: Vec<&Test> = mutants.iter().map(|mutant| &mutant.test).collect();
    tests.sort();
    tests.dedup();
    let programs = build.tests(&tests)?;
    println!("built in {} s", began.elapsed().as_secs());
    let run = |test: &Test, mutant: &str| -> Result<Verdict, String> {
        let key = (test.package.clone(), test.target.clone());
        let program = programs.get(&key);
        let program =
            program.ok_or_else(|| format!("{} has no tests {}", test.package, test.target))?;
        run_test(program, test, mutant)
    };
    for test in &tests {
        if run(test, "")? != Verdict::Passed {
            return Err(format!("{test} fails without any mutant"));
        }
    }
    let mut survivors = Vec::new();
    for mutant in mutants {
        let verdict = run(&mutant.test, &mutant.id)?;
        let shown = if verdict == Verdict::Failed { "caught by" } else { "MISSED by" };
        println!("{:5} {}: {shown} {}", mutant.id, mutant.breaks, mutant.test);
        if verdict == Verdict::Passed {
            survivors.push(mutant.id.as_str());
        }
    }
    let (count, seconds) = (mutants.len(), began.elapsed().as_secs());
    if survivors.is_empty() {
        println!(
            "{count} mutants, each caught by its test, which passes without it, in {seconds} s"
        );
        return Ok(());
    }
    Err(format!("their tests miss {}", survivors.join(", ")))
}

pub(super) fn start_test(program: &Path, test: &Test, mutant: &str) -> Result<Child, String> {
    let mut command = Command::new(program);
    command.args(["--exact", &test.name]).env("QUORATE_MUTANT", mutant);
    if let Some(scenario) = &test.scenario {
        command.env("QUORATE_SCENARIO", scenario);
    }
    // Cargo runs tests in the folder of their package.
    let folder = Path::new("crates").join(&test.package);
    command.current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().map_err(|error| format!("{}: {error}", program.display()))
}

fn run_test(program: &Path, test: &Test, mutant: &str) -> Result<Verdict, String> {
    let child = start_test(program, test, mutant)?;
    let Some(output) = within(child, PATIENCE)? else {
        return Err(format!("{test} does not end with mutant {mutant:?}"));
    };
    let Output { status, text } = output;
    if text.contains("1 passed; 0 failed") {
        Ok(Verdict::Passed)
    } else if text.contains("0 passed; 1 failed") || status.signal() == Some(ABORTED) {
        Ok(Verdict::Failed)
    } else if text.contains("test result") {
        Err(format!("{test} was not run: is its name still right?"))
    } else {
        Err(format!("{test} ended with {status} and shows nothing"))
    }
}

/// The signal of a process that aborts: a panic where none can be caught.
pub(super) const ABORTED: i32 = 6;

/// How a program ended, and what it printed.
pub(super) struct Output {
    pub(super) status: ExitStatus,
    pub(super) text: String,
}

/// How a program ended, where it did in time.
pub(super) fn within(mut child: Child, patience: Duration) -> Result<Option<Output>, String> {
    let began = Instant::now();
    let output = child.stdout.take().expect("standard output was asked for as a pipe");
    let reader = thread::spawn(move || std::io::read_to_string(output));
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        if began.elapsed() > patience {
            child.kill().map_err(|error| error.to_string())?;
            child.wait().map_err(|error| error.to_string())?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(5));
    };
    let text = reader.join().expect("reading does not panic").map_err(|error| error.to_string())?;
    Ok(Some(Output { status, text }))
}
