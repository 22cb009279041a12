//! Growth curves: how speed changes with servers, clients, values and keys.
//!
//! `quorate bench` measures each point against a fresh cluster of its own. The figures go to
//! `docs/performance/curves.json` and the picture beside them; a point that is there is not
//! measured again, so that a run can be interrupted.

mod plot;

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use serde_json::{Map, Value, json};

use self::plot::Series;

/// Where the figures are kept.
const FIGURES: &str = "docs/performance/curves.json";
const PICTURE: &str = "docs/performance/curves.svg";

/// What changes along a curve, with everything else as it is by default.
struct Curve {
    name: &'static str,
    about: &'static str,
    /// Flag that takes the changing number.
    flag: &'static str,
    points: &'static [u64],
    /// Flags that stay the same.
    rest: &'static [&'static str],
    operation: &'static str,
}

const CURVES: [Curve; 6] = [
    Curve {
        name: "nodes",
        about: "puts, 64 clients, by number of servers",
        flag: "--nodes",
        points: &[1, 3, 5, 7],
        rest: &["--clients", "64"],
        operation: "put",
    },
    Curve {
        name: "clients",
        about: "puts, three servers, by number of clients",
        flag: "--clients",
        points: &[1, 4, 16, 64, 256, 1000, 4000],
        rest: &[],
        operation: "put",
    },
    Curve {
        name: "clients-get",
        about: "linearizable gets, three servers, by number of clients",
        flag: "--clients",
        points: &[1, 4, 16, 64, 256, 1000, 4000],
        rest: &["--keys", "10000"],
        operation: "get",
    },
    Curve {
        name: "value-bytes",
        about: "puts, 64 clients, by bytes of a value",
        flag: "--value-bytes",
        points: &[16, 256, 4096, 65_536, 1_048_576],
        rest: &["--clients", "64", "--keys", "100"],
        operation: "put",
    },
    Curve {
        name: "keys",
        about: "puts, 256 clients, by number of keys that are there",
        flag: "--keys",
        points: &[1000, 10_000, 100_000, 1_000_000, 5_000_000],
        rest: &["--clients", "256", "--reads", "0"],
        // A mixed load fills the keys before it begins; without reads it is all puts.
        operation: "mixed",
    },
    Curve {
        name: "restart",
        about: "seconds until three killed servers serve again, by entries in their logs",
        flag: "--keys",
        points: &[1000, 10_000, 100_000, 1_000_000],
        // One client reads; what it finds was filled in before, an entry for each key.
        rest: &["--clients", "1", "--restart"],
        operation: "get",
    },
];

/// Measures what is missing, then draws. With names, those curves alone; `--plot` draws only.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut figures = load(&root.join(FIGURES))?;
    if arguments != ["--plot"] {
        let wanted = |curve: &&Curve| arguments.is_empty() || arguments.contains(&curve.name);
        let program = program(root)?;
        for curve in CURVES.iter().filter(wanted) {
            measure(root, &program, curve, &mut figures)?;
        }
    }
    let curves: Vec<Series> = CURVES.iter().filter_map(|curve| series(curve, &figures)).collect();
    write(&root.join(PICTURE), &plot::draw(&curves))
}

/// Builds the program as it is released, and says where it is.
fn program(root: &Path) -> Result<String, String> {
    crate::command(root, "cargo", &["build", "--release", "-p", "quorate-cli"])?;
    let target = env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let program = root.join(target).join("release/quorate");
    Ok(program.display().to_string())
}

fn measure(
    root: &Path,
    program: &str,
    curve: &Curve,
    figures: &mut Map<String, Value>,
) -> Result<(), String> {
    for point in curve.points {
        let of_curve = figures.entry(curve.name).or_insert_with(|| json!({}));
        if of_curve.get(point.to_string()).is_some() {
            continue;
        }
        let number = point.to_string();
        let flags = [curve.operation, curve.flag, &number, "--duration", "5s", "--json"];
        let output = Command::new(program)
            .arg("bench")
            .args(flags)
            .args(curve.rest)
            .output()
            .map_err(|error| format!("{program}: {error}"))?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{} at {point}: {told}", curve.name));
        }
        let told: Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("{} at {point}: {error}", curve.name))?;
        let result = &told["result"];
        println!(
            "{} {point}: {} per second, p99 {} ms",
            curve.name, result["per_second"], result["p99_ms"]
        );
        of_curve[&number] = json!({
            "per_second": result["per_second"],
            "p50_ms": result["p50_ms"],
            "p99_ms": result["p99_ms"],
            "server_micros": result["server_micros_per_request"],
            "largest_server_bytes": result["largest_server_bytes"],
            "other_processors_busy": result["other_processors_busy"],
            "restart_seconds": told["restart_seconds"],
        });
        let text = serde_json::to_string_pretty(figures).expect("figures are plain");
        write(&root.join(FIGURES), &(text + "\n"))?;
    }
    Ok(())
}

fn series(curve: &Curve, figures: &Map<String, Value>) -> Option<Series> {
    let of_curve = figures.get(curve.name)?;
    let points = curve.points.iter().filter_map(|x| {
        let figures = of_curve.get(x.to_string())?;
        let seconds = figures["restart_seconds"].as_f64();
        let left = seconds.or_else(|| figures["per_second"].as_f64())?;
        Some((*x as f64, left, figures["p99_ms"].as_f64()?))
    });
    Some(Series { title: curve.about.to_owned(), points: points.collect() })
}

fn load(path: &Path) -> Result<Map<String, Value>, String> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| format!("{}: {error}; remove it to measure again", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Map::new()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().expect("a file lies in a folder");
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("{}: {error}", path.display()))
}
