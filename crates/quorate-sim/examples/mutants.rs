//! Lists the deliberate bugs and looks for seeds that notice them: the part of `cargo xtask mutants`
//! that has to be built with them.
//!
//! ```text
//! RUSTFLAGS="--cfg quorate_mutants" cargo run -p quorate-sim --example mutants -- list
//! RUSTFLAGS="--cfg quorate_mutants" cargo run -p quorate-sim --example mutants -- find M12 0 2000
//! ```
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::process::ExitCode;

#[cfg(not(quorate_mutants))]
fn main() -> ExitCode {
    println!(
        "this build has no deliberate bugs; RUSTFLAGS=\"--cfg quorate_mutants\" compiles them"
    );
    ExitCode::from(2)
}

#[cfg(quorate_mutants)]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["list"] => mutants::list(),
        ["find", id, first, end] => match (first.parse(), end.parse()) {
            (Ok(first), Ok(end)) => mutants::find(id, first..end),
            _ => return ExitCode::from(2),
        },
        _ => {
            println!("usage: mutants list | mutants find ID FIRST END");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

#[cfg(quorate_mutants)]
mod mutants {
    #![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "it watches the clock")]

    use std::ops::Range;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;
    use std::time::Duration;

    use quorate_core::mutant::{Caught, Mutant, Place, pick};
    use quorate_sim::run::{Lines, Options, run_seed};

    /// A world that goes on for longer than this hangs.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// The seed under way.
    static SEED: AtomicU64 = AtomicU64::new(0);

    /// Prints one line per mutant, its fields parted by tabs.
    pub(super) fn list() {
        for case in Mutant::CASES {
            let set = if case.is_core { "core" } else { "soak" };
            let caught = match case.caught {
                Caught::Worlds => "worlds",
                Caught::Test => "test",
                Caught::Checker => "checker",
            };
            let (package, target, test, scenario) = match case.place {
                Place::Scenario => (
                    "quorate-core",
                    "it",
                    "scenario::every_scenario_shows_what_is_written",
                    case.test,
                ),
                Place::Core => ("quorate-core", "it", case.test, "-"),
                Place::Log => ("quorate-log", "it", case.test, "-"),
                Place::Node => ("quorate", "quorate", case.test, "-"),
                Place::World => ("quorate-sim", "it", case.test, "-"),
                Place::Check => ("quorate-sim", "quorate_sim", case.test, "-"),
            };
            let fields = [case.id, set, caught, package, target, test, scenario, case.breaks];
            println!("{}", fields.join("\t"));
        }
    }

    /// Runs seeds until one notices the mutant; prints which and how.
    pub(super) fn find(id: &str, seeds: Range<u64>) {
        pick(id);
        thread::spawn(watch);
        for seed in seeds {
            SEED.store(seed, Ordering::Relaxed);
            if let Some(broken) = run_seed(seed, &Options::default(), Lines::None).broken {
                return println!("caught\t{seed}\t{}", broken.to_string().replace('\n', " "));
            }
        }
        println!("survived");
    }

    /// Ends the process when one seed takes too long: that, too, is noticed.
    fn watch() {
        loop {
            let seed = SEED.load(Ordering::Relaxed);
            thread::sleep(PATIENCE);
            if SEED.load(Ordering::Relaxed) == seed {
                println!("caught\t{seed}\tno end after {} s", PATIENCE.as_secs());
                std::process::exit(0);
            }
        }
    }
}
