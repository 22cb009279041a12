//! Checks of the house rules, long runs and code generation.
//!
//! `cargo xtask` lists the tasks. Nothing but `fix`, `generate`, `curves`, `instructions --record` and
//! `soak` writes to the checkout, apart from `target`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod curves;
mod generate;
mod instructions;
mod mutants;
mod soak;
mod tidy;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "\
Usage: cargo xtask TASK

  tidy                 check the house rules that a compiler does not
  ci                   run the whole gate, as .ci/run does, without installing anything
  generate [--check]   make quorate-proto's code from its .proto files, or compare
  fix                  format the code
  mutants [--scenarios] prove that deliberate bugs are noticed, by written tests or by seeds
  curves [NAME..]      measure how speed grows with servers, clients, values and keys, and draw it
  instructions [--record]
                       count the instructions of a write and a read, compare with the record
  soak NAME            run what is too long for CI, resumable; the record goes to docs/soak
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = root();
    let result = match arguments.as_slice() {
        ["tidy"] => tidy(&root),
        ["ci"] => command(&root, "bash", &[".ci/run", "--no-install"]),
        ["generate"] => generate::run(false),
        ["generate", "--check"] => generate::run(true),
        ["fix"] => command(&root, "cargo", &["fmt", "--all"]),
        ["instructions", rest @ ..] => instructions::run(&root, rest),
        ["mutants", rest @ ..] => mutants::run(&root, rest),
        ["curves", rest @ ..] => curves::run(&root, rest),
        ["soak", rest @ ..] => soak::run(&root, rest.first().copied()),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the checkout.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask lies in the root of the checkout").to_owned()
}

fn tidy(root: &Path) -> Result<(), String> {
    let findings = tidy::run(root)?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(format!("tidy: {count} findings")),
    }
}

fn command(root: &Path, program: &str, arguments: &[&str]) -> Result<(), String> {
    let status = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .status()
        .map_err(|error| format!("{program}: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{program} {}: {status}", arguments.join(" "))),
    }
}
