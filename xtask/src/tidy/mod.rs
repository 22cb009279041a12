//! `cargo xtask tidy`: the house rules that a compiler does not check.
//!
//! Each rule lives in a file of its own and returns what it found as [`Finding`]s; nothing here edits
//! a file. The rules also run as an ordinary test, so that `cargo test` alone shows a broken one.
//!
//! - [`walls`]: which crate may use which, by each crate's own `cargo tree`.
//! - [`length`]: lines per file and per function, with a ratchet that may only shrink.
//! - [`text`]: module heads, bare task marks, trailing spaces, file sizes, the change log.
//! - [`regressions`]: the tests of bugs that others shipped exist and say so.
//! - [`shown`]: the tests that tables of the docs name exist.
//! - [`scenarios`]: golden scenarios have a heading, and references to them exist.

mod files;
mod length;
mod regressions;
mod rust;
mod scenarios;
mod shown;
mod text;
mod walls;

use std::fmt;
use std::path::Path;

use files::SourceFile;

/// One broken rule, at one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Path from the root of the checkout, or the name of a crate.
    pub(crate) place: String,
    /// Line, counted from 1; zero when the whole file or crate is meant.
    pub(crate) line: usize,
    /// What is wrong and what to do.
    pub(crate) what: String,
}

impl Finding {
    fn new(place: impl Into<String>, line: usize, what: impl Into<String>) -> Self {
        Self { place: place.into(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.place, self.what)
        } else {
            write!(f, "{}:{}: {}", self.place, self.line, self.what)
        }
    }
}

/// Runs every rule over the checkout at `root`.
///
/// # Errors
///
/// When files or the dependency graph cannot be read; broken rules are findings, not errors.
pub(crate) fn run(root: &Path) -> Result<Vec<Finding>, String> {
    let sources = files::list(root)?;
    let mut findings = Vec::new();
    text::check(&sources, &mut findings);
    length::check(root, &sources, &mut findings)?;
    scenarios::check(&sources, &mut findings);
    regressions::check(&sources, &mut findings);
    shown::check(&sources, &mut findings);
    walls::check(root, &mut findings)?;
    findings.sort();
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkout_is_tidy() {
        let findings = run(&crate::root()).unwrap();
        let report: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{}", report.join("\n"));
    }
}
