//! What every benchmark here shares: the machine's state, samples, and a table.
//!
//! Included with `#[path]` by benchmarks of several crates and by `peers/`, so it uses nothing but
//! the standard library. Figures come as medians with the range of all rounds, because a mean hides
//! a disturbed round; each run says how busy the machine was with anything else, because that is
//! what disturbs.

#![allow(dead_code, reason = "no benchmark uses all of it")]

use std::time::{Duration, Instant};

/// How long a run takes: rounds and the length of each window.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub rounds: usize,
    pub window: Duration,
    pub is_short: bool,
}

impl Effort {
    /// From the arguments: `--short` tells whether a benchmark works, its figures are rough;
    /// `--rounds N` and `--window-ms N` choose.
    pub fn from_arguments(rounds: usize, window_ms: u64) -> Self {
        let is_short = flag("--short");
        let (rounds, window_ms) =
            if is_short { (2, window_ms.min(300)) } else { (rounds, window_ms) };
        let rounds = number("--rounds").unwrap_or(rounds as u64).max(1);
        let window = Duration::from_millis(number("--window-ms").unwrap_or(window_ms).max(1));
        Self { rounds: usize::try_from(rounds).unwrap_or(1), window, is_short }
    }
}

/// Whether an argument was given.
pub fn flag(name: &str) -> bool {
    std::env::args().any(|argument| argument == name)
}

/// What follows an argument.
pub fn value(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

/// The number that follows an argument.
pub fn number(name: &str) -> Option<u64> {
    value(name).map(|text| text.replace('_', "").parse().expect("a number follows the argument"))
}

/// What one figure was in each round.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub fn push(&mut self, sample: f64) {
        self.0.push(sample);
        self.0.sort_by(f64::total_cmp);
    }

    pub fn median(&self) -> f64 {
        match self.0.len() {
            0 => f64::NAN,
            count if count % 2 == 1 => self.0[count / 2],
            count => f64::midpoint(self.0[count / 2 - 1], self.0[count / 2]),
        }
    }

    pub fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// Median and range, every figure divided by `unit`.
    pub fn show(&self, unit: f64) -> String {
        let show = |figure: f64| significant(figure / unit);
        format!("{} [{} .. {}]", show(self.median()), show(self.min()), show(self.max()))
    }
}

/// Four significant digits at most, thousands grouped.
pub fn significant(figure: f64) -> String {
    let decimals = match figure.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{figure:.decimals$}");
    if decimals > 0 || figure < 1000.0 {
        return text;
    }
    let mut grouped = String::new();
    for (place, digit) in text.chars().enumerate() {
        if place > 0 && (text.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A table whose columns are as wide as they need to be; as Markdown reads it.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(heads: &[&str]) -> Self {
        Self { rows: vec![heads.iter().map(|&head| head.to_owned()).collect()] }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub fn print(&self) {
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].len()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
                if column == 0 { format!(" {cell:<width$} ") } else { format!(" {cell:>width$} ") }
            });
            println!("|{}|", cells.collect::<Vec<_>>().join("|"));
            if number == 0 {
                let rules = widths.iter().enumerate().map(|(column, &width)| {
                    let rule = "-".repeat(width + 1);
                    if column == 0 { format!("{rule}-") } else { format!("{rule}:") }
                });
                println!("|{}|", rules.collect::<Vec<_>>().join("|"));
            }
        }
    }
}

/// Processor time so far, of the whole machine and of this process, in seconds.
#[derive(Clone, Copy, Debug)]
struct Spent {
    machine: f64,
    own: f64,
}

/// Ticks of `/proc` per second: what Linux shows to every program.
const TICKS: f64 = 100.0;

fn spent() -> Spent {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let numbers = |line: &str| -> Vec<f64> {
        line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    let all = numbers(stat.lines().next().unwrap_or_default());
    // Neither idle (3) nor waiting for a device (4) is time spent; guests are counted already.
    let machine = all.iter().take(8).enumerate().filter(|(place, _)| !matches!(place, 3 | 4));
    let machine: f64 = machine.map(|(_, ticks)| ticks).sum();
    Spent { machine: machine / TICKS, own: own_seconds() }
}

/// Processor time of this process so far, in seconds.
pub fn own_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, in parentheses, may contain anything; 14 and 15 are its times, 3 follows the name.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let words: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |place: usize| words.get(place).and_then(|word| word.parse().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS
}

/// Processor time of the calling thread so far, in seconds: what others do meanwhile does not count.
pub fn thread_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split(' ').next().and_then(|word| word.parse::<f64>().ok());
    nanoseconds.unwrap_or(f64::NAN) / 1e9
}

/// Bytes of memory that this process holds at the moment, where the system tells.
pub fn resident_bytes() -> Option<u64> {
    status("VmRSS:")
}

/// The most that [`resident_bytes`] ever was.
pub fn peak_bytes() -> Option<u64> {
    status("VmHWM:")
}

fn status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// The machine during a run: printed before, and how busy others kept it after.
#[derive(Debug)]
pub struct Machine {
    began: Instant,
    spent: Spent,
}

impl Machine {
    /// Prints what the machine is, and its load.
    pub fn introduce(what: &str) -> Self {
        let cores = cores();
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name"));
        let model =
            model.map_or("unknown processor", |line| line.trim_start_matches(['\t', ' ', ':']));
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load: Vec<&str> = load.split_whitespace().take(3).collect();
        println!("{what}\n{cores} cores ({model}), load before: {}\n", load.join(" "));
        Self { began: Instant::now(), spent: spent() }
    }

    /// Prints how much of the machine others had meanwhile; more than a twentieth spoils figures.
    pub fn conclude(&self) {
        let (now, span) = (spent(), self.began.elapsed().as_secs_f64());
        let own = now.own - self.spent.own;
        let others = (now.machine - self.spent.machine - own).max(0.0);
        let share = 100.0 * others / (span * f64::from(cores()));
        let verdict = if share > 5.0 { "BUSY MACHINE: compare ratios only" } else { "quiet" };
        println!("\n{span:.0} s; other processes had {share:.1} % of the machine ({verdict})");
    }
}

fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

/// The file system that holds a directory, as `/proc/mounts` names it.
pub fn file_system(path: &std::path::Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let holds = |line: &&str| line.split(' ').nth(1).is_some_and(|point| path.starts_with(point));
    let longest =
        mounts.lines().filter(holds).max_by_key(|line| line.split(' ').nth(1).map_or(0, str::len));
    let words: Vec<&str> = longest.unwrap_or_default().split(' ').collect();
    match words.as_slice() {
        [device, _, kind, ..] => format!("{kind} on {device}"),
        _ => "unknown file system".to_owned(),
    }
}
