//! The deliberate bugs, as the program that has them compiled in lists them.

use std::fmt;
use std::path::Path;
use std::process::Command;

/// One deliberate bug, as the example `mutants` lists it.
#[derive(Clone, Debug)]
pub(super) struct Mutant {
    pub(super) id: String,
    pub(super) is_core: bool,
    pub(super) caught: String,
    pub(super) test: Test,
    pub(super) breaks: String,
}

/// A written test.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Test {
    pub(super) package: String,
    pub(super) target: String,
    pub(super) name: String,
    /// The golden scenario that it plays alone, where it is one.
    pub(super) scenario: Option<String>,
}

pub(super) fn list(example: &Path) -> Result<Vec<Mutant>, String> {
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

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    fn a_mutant_is_read_from_its_line() {
        let mutant =
            read_mutant("M1\tcore\tworlds\tp\tit\tt\ta/b\tbreaks").expect("it is complete");
        assert!(mutant.is_core);
        assert_eq!(mutant.test.to_string(), "scenario a/b");
        assert!(read_mutant("M1\tcore").is_none());
    }
}
