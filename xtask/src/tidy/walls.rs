//! The walls between crates: who may use whom, checked with each crate's own `cargo tree`.
//!
//! The table is the one of `ARCHITECTURE.md`. It is checked over everything that a crate reaches, not
//! only over what it names, so that no feature can let an async runtime into the pure crates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use super::Finding;

/// What one crate may use.
struct Wall {
    name: &'static str,
    /// Extra arguments of `cargo tree`.
    features: &'static [&'static str],
    /// Crates of this workspace that it may reach.
    ours: &'static [&'static str],
    /// Dependencies from elsewhere that it may name; `None` for no limit.
    named: Option<usize>,
    /// Parts that it must never reach.
    never: &'static [&'static str],
}

/// What needs an executor, a clock or the operating system's randomness.
const RUNTIME: &[&str] =
    &["tokio", "hyper", "h2", "tonic", "axum", "mio", "rustls", "getrandom", "rand"];
const NO_FEATURES: &[&str] = &["--no-default-features"];

const WALLS: &[Wall] = &[
    Wall { name: "quorate-core", features: &[], ours: &[], named: Some(0), never: RUNTIME },
    Wall {
        name: "quorate-log",
        features: &["--all-features"],
        ours: &["quorate-core"],
        named: Some(3),
        never: RUNTIME,
    },
    Wall {
        name: "quorate",
        features: NO_FEATURES,
        ours: &["quorate-core", "quorate-log"],
        named: None,
        never: RUNTIME,
    },
    Wall {
        name: "quorate",
        features: &["--all-features"],
        ours: &["quorate-core", "quorate-log"],
        named: None,
        never: &["tonic", "prost", "axum"],
    },
    Wall {
        name: "quorate-sim",
        features: &["--all-features"],
        ours: &["quorate-core", "quorate-log", "quorate"],
        named: None,
        never: RUNTIME,
    },
    Wall {
        name: "quorate-lab",
        features: &["--all-features"],
        ours: &["quorate-core", "quorate-log", "quorate", "quorate-sim"],
        named: None,
        never: &["hyper", "h2", "tonic", "axum", "rustls"],
    },
    Wall {
        name: "quorate-kv",
        features: &[],
        ours: &["quorate-core", "quorate-log", "quorate"],
        named: None,
        never: RUNTIME,
    },
    Wall {
        name: "quorate-proto",
        features: &["--all-features"],
        ours: &[],
        named: None,
        never: &["axum"],
    },
    Wall {
        name: "quorate-client",
        features: &["--all-features"],
        ours: &["quorate-proto"],
        named: None,
        never: &["axum"],
    },
    Wall {
        name: "quorate-server",
        features: &["--all-features"],
        ours: &["quorate-core", "quorate-log", "quorate", "quorate-kv", "quorate-proto"],
        named: None,
        never: &["clap"],
    },
    Wall {
        name: "quorate-cli",
        features: &["--all-features"],
        ours: &[
            "quorate-core",
            "quorate-log",
            "quorate",
            "quorate-kv",
            "quorate-proto",
            "quorate-client",
            "quorate-server",
            "quorate-sim",
            "quorate-lab",
        ],
        named: None,
        never: &["openssl-sys", "aws-lc-sys"],
    },
    Wall { name: "xtask", features: &[], ours: &[], named: None, never: &["openssl-sys"] },
];

/// What a crate depends on: its name to the smallest number of steps to it.
type Reached = BTreeMap<String, usize>;

pub(super) fn check(root: &Path, findings: &mut Vec<Finding>) -> Result<(), String> {
    for wall in WALLS {
        if root.join("crates").join(wall.name).exists() || wall.name == "xtask" {
            compare(wall, &tree(root, wall)?, findings);
        }
    }
    let folders = fs::read_dir(root.join("crates")).map_err(|error| format!("crates: {error}"))?;
    for folder in folders {
        let name = folder.map_err(|error| error.to_string())?.file_name();
        let name = name.to_string_lossy();
        if !WALLS.iter().any(|wall| wall.name == name) {
            let what = "this crate has no line in the table of walls (xtask/src/tidy/walls.rs)";
            findings.push(Finding::new(format!("crates/{name}"), 0, what));
        }
    }
    Ok(())
}

fn tree(root: &Path, wall: &Wall) -> Result<Reached, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "depth", "--package"])
        .arg(wall.name)
        .args(wall.features)
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo tree: {error}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("cargo tree --package {}: {why}", wall.name));
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads lines of the form `2name v1.2.3 …`.
fn parse(output: &str) -> Reached {
    let mut reached = Reached::new();
    for line in output.lines() {
        let digits = line.chars().take_while(char::is_ascii_digit).count();
        let (depth, rest) = line.split_at(digits);
        let name = rest.split(' ').next().unwrap_or_default();
        if let Ok(depth) = depth.parse::<usize>()
            && !name.is_empty()
        {
            let known = reached.entry(name.to_owned()).or_insert(depth);
            *known = depth.min(*known);
        }
    }
    reached
}

fn compare(wall: &Wall, reached: &Reached, findings: &mut Vec<Finding>) {
    let variant = wall.features.join(" ");
    let place = format!("{} {variant}", wall.name).trim_end().to_owned();
    let ours: BTreeSet<&str> = WALLS.iter().map(|wall| wall.name).collect();
    let mut named = 0;
    for (name, &depth) in reached {
        let name = name.as_str();
        if name == wall.name {
            continue;
        }
        if ours.contains(name) {
            if !wall.ours.contains(&name) {
                findings.push(Finding::new(&place, 0, format!("may not use {name}")));
            }
        } else if depth == 1 {
            named += 1;
        }
        if wall.never.contains(&name) {
            findings.push(Finding::new(&place, 0, format!("must never reach {name}")));
        }
    }
    if let Some(limit) = wall.named
        && named > limit
    {
        let what = format!("names {named} dependencies from elsewhere, the limit is {limit}");
        findings.push(Finding::new(&place, 0, what));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, output: &str) -> Vec<String> {
        let wall = WALLS.iter().find(|wall| wall.name == name).unwrap();
        let mut found = Vec::new();
        compare(wall, &parse(output), &mut found);
        found.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_crate_behind_the_wall_is_found() {
        let tree = "0quorate-kv v0.1.0\n1quorate v0.1.0\n2quorate-core v0.1.0\n1rpds v1.0.0\n";
        assert!(findings("quorate-kv", tree).is_empty());
        let tree = "0quorate-kv v0.1.0\n1quorate-server v0.1.0\n";
        assert_eq!(findings("quorate-kv", tree), ["may not use quorate-server"]);
    }

    #[test]
    fn a_runtime_that_is_reached_through_others_is_found() {
        let tree = "0quorate-kv v0.1.0\n1quorate v0.1.0\n2tokio v1.0.0 (*)\n";
        assert_eq!(findings("quorate-kv", tree), ["must never reach tokio"]);
    }

    #[test]
    fn the_core_names_nothing() {
        let tree = "0quorate-core v0.1.0\n1serde v1.0.0\n";
        assert!(findings("quorate-core", tree)[0].contains("the limit is 0"));
    }
}
