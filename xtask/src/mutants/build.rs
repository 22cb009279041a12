//! The code with the deliberate bugs compiled in, in a target directory of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::list::Test;

/// Settings that build what is not ours fast: it is a small part of what the tests do.
const CHEAP: &[&str] = &[
    "profile.dev.debug=0",
    "profile.dev.package.'*'.opt-level=0",
    "profile.dev.package.crc32c.opt-level=2",
    "profile.dev.package.xxhash-rust.opt-level=2",
];

/// The code with the mutants compiled in.
#[derive(Debug)]
pub(super) struct Build {
    pub(super) root: PathBuf,
    pub(super) target: PathBuf,
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
    pub(super) fn example(&self) -> Result<PathBuf, String> {
        let messages =
            self.cargo(&["build", "--package", "quorate-sim", "--example", "mutants"])?;
        let found = messages.lines().find_map(|line| {
            let artifact = Artifact::read(line)?;
            (artifact.target == "mutants").then_some(artifact.executable)
        });
        found.ok_or_else(|| "cargo built no example mutants".to_owned())
    }

    /// The test programs of these tests, by package and target.
    pub(super) fn tests(
        &self,
        tests: &[&Test],
    ) -> Result<BTreeMap<(String, String), PathBuf>, String> {
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
}
