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

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const USAGE: &str = "\
Usage: cargo xtask mutants [--scenarios | --checkers] [--core] [--only ID] [--seeds COUNT]

  --scenarios    run each mutant's written test, with it and without
  --checkers     the same for mutants of the checkers
  --core         the mutants of the core set only
  --only ID      this mutant only
  --seeds COUNT  seeds to try for each mutant before it counts as a survivor (2000)
";

/// A written test that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Settings that build what is not ours fast: it is a small part of what the tests do.
const CHEAP: &[&str] = &[
    "profile.dev.debug=0",
    "profile.dev.package.'*'.opt-level=0",
    "profile.dev.package.crc32c.opt-level=2",
    "profile.dev.package.xxhash-rust.opt-level=2",
];

/// What was asked for.
#[derive(Debug)]
struct Wanted {
    scenarios: bool,
    checkers: bool,
    core: bool,
    only: Option<String>,
    seeds: u64,
}

/// One deliberate bug, as the example `mutants` lists it.
#[derive(Clone, Debug)]
struct Mutant {
    id: String,
    is_core: bool,
    caught: String,
    test: Test,
    breaks: String,
}

/// A written test.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Test {
    package: String,
    target: String,
    name: String,
    /// The golden scenario that it plays alone, where it is one.
    scenario: Option<String>,
}

/// How a run of a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
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
    let mut mutants = list(&example)?;
    mutants.retain(|mutant| (mutant.caught == "checker") == wanted.checkers);
    mutants.retain(|mutant| !wanted.core || mutant.is_core);
    mutants.retain(|mutant| wanted.only.as_ref().is_none_or(|only| *only == mutant.id));
    if mutants.is_empty() {
        return Err("there is no such mutant".to_owned());
    }
    if wanted.scenarios || wanted.checkers {
        scenarios(&build, &mutants)
    } else {
        search(&build, &example, &mutants, wanted.seeds)
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

/// The code with the mutants compiled in.
#[derive(Debug)]
struct Build {
    root: PathBuf,
    target: PathBuf,
}

impl Build {
    fn cargo(&self, arguments: &[&str]) -> Result<String, String> {
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        let output = Command::new("cargo")
            .args(arguments)
            .args(["--locked", "--quiet", "--message-format=json-render-diagnostics"])
            .args(CHEAP.iter().flat_map(|setting| ["--config", setting]))
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("RUSTFLAGS", format!("{flags} --cfg quorate_mutants"))
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cargo: {error}"))?;
        if !output.status.success() {
            return Err("the code with the mutants does not build".to_owned());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The program that lists mutants and looks for seeds.
    fn example(&self) -> Result<PathBuf, String> {
        let messages =
            self.cargo(&["build", "--package", "quorate-sim", "--example", "mutants"])?;
        let found = messages.lines().find_map(|line| {
            let artifact = Artifact::read(line)?;
            (artifact.target == "mutants").then_some(artifact.executable)
        });
        found.ok_or_else(|| "cargo built no example mutants".to_owned())
    }

    /// The test programs of these tests, by package and target.
    fn tests(&self, tests: &[&Test]) -> Result<BTreeMap<(String, String), PathBuf>, String> {
        let mut messages = String::new();
        for kind in [&["--lib"][..], &["--test", "it"][..]] {
            let is_wanted = |test: &&&Test| (test.target == "it") == (kind[0] == "--test");
            let packages = tests.iter().filter(is_wanted).map(|test| test.package.as_str());
            let packages: BTreeSet<&str> = packages.collect();
            if packages.is_empty() {
                continue;
            }
            let mut arguments = vec!["test", "--no-run", "--no-default-features"];
            arguments.extend(kind);
            arguments.extend(packages.into_iter().flat_map(|package| ["--package", package]));
            messages.push_str(&self.cargo(&arguments)?);
        }
        let artifacts = messages.lines().filter_map(Artifact::read);
        Ok(artifacts.map(|found| ((found.package, found.target), found.executable)).collect())
    }
}

/// A program that cargo made.
#[derive(Debug, PartialEq, Eq)]
struct Artifact {
    package: String,
    target: String,
    executable: PathBuf,
}

impl Artifact {
    /// Reads one of cargo's messages; nothing where it tells of no program.
    fn read(line: &str) -> Option<Self> {
        let executable = string(line, "executable")?;
        let id = string(line, "package_id")?;
        let package = id.rsplit('/').next()?.split(['#', '@']).next()?;
        let target = string(&line[line.find("\"target\"")?..], "name")?;
        let (package, target) = (package.to_owned(), target.to_owned());
        Some(Self { package, target, executable: PathBuf::from(executable) })
    }
}

/// The first string with this key in a line of JSON.
fn string<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("\"{key}\":\""))?;
    rest.split('"').next()
}

fn list(example: &Path) -> Result<Vec<Mutant>, String> {
    let output = Command::new(example).arg("list").output();
    let output = output.map_err(|error| format!("{}: {error}", example.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mutants: Option<Vec<Mutant>> = text.lines().map(read_mutant).collect();
    mutants
        .filter(|mutants| !mutants.is_empty())
        .ok_or_else(|| format!("no list of mutants: {text}"))
}

fn read_mutant(line: &str) -> Option<Mutant> {
    let fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
    let [id, set, caught, package, target, name, scenario, breaks] = fields.try_into().ok()?;
    let scenario = Some(scenario).filter(|scenario| scenario != "-");
    let test = Test { package, target, name, scenario };
    Some(Mutant { id, is_core: set == "core", caught, test, breaks })
}

/// Runs each test without a mutant and with its own.
fn scenarios(build: &Build, mutants: &[Mutant]) -> Result<(), String> {
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

fn start_test(program: &Path, test: &Test, mutant: &str) -> Result<Child, String> {
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
    if output.contains("1 passed; 0 failed") {
        Ok(Verdict::Passed)
    } else if output.contains("0 passed; 1 failed") || !output.contains("test result") {
        Ok(Verdict::Failed)
    } else {
        Err(format!("{test} was not run: is its name still right?"))
    }
}

/// What a program printed, where it ended in time.
fn within(mut child: Child, patience: Duration) -> Result<Option<String>, String> {
    let began = Instant::now();
    let output = child.stdout.take().expect("standard output was asked for as a pipe");
    let reader = thread::spawn(move || std::io::read_to_string(output));
    while child.try_wait().map_err(|error| error.to_string())?.is_none() {
        if began.elapsed() > patience {
            child.kill().map_err(|error| error.to_string())?;
            child.wait().map_err(|error| error.to_string())?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(5));
    }
    let text = reader.join().expect("reading does not panic").map_err(|error| error.to_string())?;
    Ok(Some(text))
}

/// Looks for a seed that notices each mutant, in worlds and then in random lives of the protocol.
fn search(build: &Build, example: &Path, mutants: &[Mutant], seeds: u64) -> Result<(), String> {
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

impl std::fmt::Display for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.scenario {
            Some(scenario) => write!(f, "scenario {scenario}"),
            None => write!(f, "{} in {}", self.name, self.package),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_in_what_cargo_says() {
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///x/crates/quorate-log#0.1.0","target":{"kind":["test"],"name":"it"},"executable":"/t/it-1"}"#;
        let expected = Artifact {
            package: "quorate-log".to_owned(),
            target: "it".to_owned(),
            executable: PathBuf::from("/t/it-1"),
        };
        assert_eq!(Artifact::read(line), Some(expected));
        assert_eq!(Artifact::read(r#"{"package_id":"a#1","executable":null}"#), None);
    }

    #[test]
    fn a_search_goes_on_where_it_stopped() {
        assert_eq!(read_found(""), (0, None));
        assert_eq!(read_found("50\tsurvived\n"), (50, None));
        let found = Found::Caught { seeds: 8, how: "log matching: x".to_owned() };
        assert_eq!(read_found("50\tcaught\t7\tlog matching: x\n"), (50, Some(found)));
    }

    #[test]
    fn a_mutant_is_read_from_its_line() {
        let mutant =
            read_mutant("M1\tcore\tworlds\tp\tit\tt\ta/b\tbreaks").expect("it is complete");
        assert!(mutant.is_core);
        assert_eq!(mutant.test.to_string(), "scenario a/b");
        assert!(read_mutant("M1\tcore").is_none());
    }
}
