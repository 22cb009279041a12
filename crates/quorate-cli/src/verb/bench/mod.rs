//! `quorate bench`: loads any server that speaks the etcd v3 API, and says what it cost.
//!
//! `catch_up` has a server come back that was away; `connection` is one HTTP/2 connection with next to nothing in between, `load` the clients on it,
//! `meter` the processor time of everybody, `threads` that of each thread, `floor` what disk and network take by
//! themselves, `ratio` and `report` what comes out. Two clusters are compared in windows that take turns, so that what else the
//! machine does meets both.

mod arguments;
mod catch_up;
mod cluster;
mod connection;
mod floor;
mod load;
pub(super) mod meter;
mod ratio;
mod report;
mod threads;

use std::io::{IsTerminal, Write, stderr};
use std::path::Path;
use std::time::Duration;

use serde_json::json;

pub(crate) use self::arguments::Arguments;
use self::catch_up::CatchUp;
use self::cluster::Own;
use self::connection::RequestError;
use self::floor::Floor;
use self::load::{Load, Operation, Shape, Window};
use self::ratio::Ratio;
use self::report::Measured;
use crate::failure::{Exit, Failure};
use crate::runtime;

/// Load before each window that is compared, so that it begins where the last one ended.
const TURN: Duration = Duration::from_millis(300);

/// One cluster under load.
struct Side {
    load: Load,
    pids: Vec<u32>,
    measured: Measured,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let shape = arguments.shape()?;
    runtime::single_threaded()?.block_on(async {
        if arguments.compare.is_empty() {
            measure(arguments, &shape).await
        } else {
            compare(arguments, &shape).await
        }
    })
}

async fn measure(arguments: &Arguments, shape: &Shape) -> Result<(), Failure> {
    let mut own =
        if arguments.endpoints.is_empty() { Some(Own::start(arguments.nodes)?) } else { None };
    let (endpoints, pids) = match &own {
        Some(own) => (own.endpoints(), own.pids()),
        None => (arguments.endpoints.clone(), arguments.pids.clone()),
    };
    let mut side = Side::ready(arguments, &endpoints, pids, shape).await?;
    let bar = Bar::new(arguments.duration);
    let floor = match own.as_ref().filter(|_| arguments.floor) {
        Some(own) => Some(side.above_floor(own.folder(), arguments).await?),
        None => {
            let length = arguments.duration;
            side.window(arguments.warm_up, length, 1, |window| bar.show(window)).await?;
            None
        }
    };
    bar.clear();
    side.close()?;
    let measured = side.measured.clone();
    let back = match (own.as_mut(), arguments.catch_up) {
        (Some(own), Some(entries)) => {
            Some(catch_up::measure(own, &mut side, (arguments, entries)).await?)
        }
        _ => None,
    };
    let restart = match own.as_mut().filter(|_| arguments.restart) {
        Some(own) => Some(own.restart().await?.as_secs_f64()),
        None => None,
    };
    print(arguments, shape, &Outcome { measured, floor, back, restart });
    Ok(())
}

/// Everything that the measurement of one cluster gave.
struct Outcome {
    measured: Measured,
    floor: Option<Floor>,
    back: Option<CatchUp>,
    /// Seconds until killed servers served again.
    restart: Option<f64>,
}

fn print(arguments: &Arguments, shape: &Shape, outcome: &Outcome) {
    let Outcome { measured, floor, back, restart } = outcome;
    let above = floor.as_ref().map(|floor| measured.above(floor));
    if arguments.json {
        let result = measured.as_json();
        println!(
            "{}",
            json!({
                "load": report::title(shape),
                "result": result,
                "floor": above,
                "catch_up": back.as_ref().map(CatchUp::as_json),
                "restart_seconds": restart,
            })
        );
        return;
    }
    println!("{}\n{}", report::title(shape), report::table(&[("", measured)]));
    if let Some(above) = above {
        println!("{}", report::above(&above));
    }
    if let Some(back) = back {
        println!("{}", back.as_text());
    }
    if let Some(seconds) = restart {
        println!("killed, all servers serve again after {seconds:.3} s");
    }
    if arguments.threads {
        println!("{}", threads::table(&measured.threads, measured.requests()));
    }
}

async fn compare(arguments: &Arguments, shape: &Shape) -> Result<(), Failure> {
    let mut a = Side::ready(arguments, &arguments.compare, arguments.pids.clone(), shape).await?;
    let mut b = Side::ready(arguments, &arguments.with, arguments.with_pids.clone(), shape).await?;
    for side in [&mut a, &mut b] {
        side.window(arguments.warm_up, TURN, 0, |_| {}).await?;
        side.measured = Measured::new(side.measured.servers_known);
    }
    let length = arguments.duration / (arguments.windows * 2);
    let (mut rates, mut tails, mut costs) = (Vec::new(), Vec::new(), Vec::new());
    let bar = Bar::new(arguments.duration / 2);
    for turn in 0..arguments.windows {
        // A, B, B, A: what drifts evenly meets both alike.
        let seed = u64::from(turn) << 20;
        let (of_a, of_b) = if turn % 2 == 0 {
            let of_a = a.window(TURN, length, seed, |_| {}).await?;
            (of_a, b.window(TURN, length, seed, |_| {}).await?)
        } else {
            let of_b = b.window(TURN, length, seed, |_| {}).await?;
            (a.window(TURN, length, seed, |_| {}).await?, of_b)
        };
        rates.push((of_a.window.rate(), of_b.window.rate()));
        tails.push((of_a.p99(), of_b.p99()));
        if let (Some(cost_a), Some(cost_b)) = (of_a.server_micros(), of_b.server_micros()) {
            costs.push((cost_a, cost_b));
        }
        bar.show(&a.measured.window);
    }
    bar.clear();
    a.close()?;
    b.close()?;
    let ratios = [
        ("requests per second", Ratio::of(&rates)),
        ("p99", Ratio::of(&tails)),
        ("server CPU per request", Ratio::of(&costs)),
    ];
    if arguments.json {
        let as_json = |ratio: &Ratio| json!([ratio.mean, ratio.low, ratio.high]);
        println!(
            "{}",
            json!({
                "load": report::title(shape),
                "compared": a.measured.as_json(),
                "with": b.measured.as_json(),
                "ratio_of_rates": ratios[0].1.as_ref().map(as_json),
                "ratio_of_p99": ratios[1].1.as_ref().map(as_json),
                "ratio_of_server_cpu": ratios[2].1.as_ref().map(as_json),
            })
        );
        return Ok(());
    }
    println!("{}", report::title(shape));
    println!("{}", report::table(&[("compared", &a.measured), ("with", &b.measured)]));
    println!("compared / with, geometric mean of {} pairs (95 % interval)", rates.len());
    for (name, ratio) in ratios {
        if let Some(ratio) = ratio {
            println!("{name:28}{ratio}");
        }
    }
    Ok(())
}

impl Side {
    async fn ready(
        arguments: &Arguments,
        endpoints: &[String],
        pids: Vec<u32>,
        shape: &Shape,
    ) -> Result<Self, Failure> {
        let targets = cluster::targets(endpoints, arguments.target).await?;
        let load = Load::connect(&targets, shape.clone()).await.map_err(|error| lost(&error))?;
        // Reads find what they look for.
        if shape.operation != Operation::Put {
            load.fill().await.map_err(|error| lost(&error))?;
        }
        let measured = Measured::new(!pids.is_empty());
        Ok(Self { load, pids, measured })
    }

    /// One window of load, which also counts towards the whole.
    async fn window(
        &mut self,
        warm_up: Duration,
        length: Duration,
        seed: u64,
        watch: impl FnMut(&Window),
    ) -> Result<Measured, Failure> {
        if !warm_up.is_zero() {
            self.load.run(warm_up, !seed, |_| {}).await;
        }
        let before = self.read()?;
        let threads_before = self.read_threads()?;
        let window = self.load.run(length, seed, watch).await;
        let used = self.read()?.since(&before);
        self.measured.window.add(&window);
        self.measured.used.add(used);
        let threads_after = self.read_threads()?;
        threads::add(&mut self.measured.threads, &threads_before, &threads_after);
        let mut one = Measured::new(self.measured.servers_known);
        (one.window, one.used) = (window, used);
        Ok(one)
    }

    /// Windows of load that take turns with windows of what disk and network take by themselves; the
    /// load has all of the time, the others as much on top.
    async fn above_floor(
        &mut self,
        folder: &Path,
        arguments: &Arguments,
    ) -> Result<Floor, Failure> {
        let mut floor = Floor::new(folder).map_err(|error| no_floor(folder, &error))?;
        self.window(arguments.warm_up, TURN, 0, |_| {}).await?;
        self.measured = Measured::new(self.measured.servers_known);
        let length = arguments.duration / arguments.windows;
        for turn in 0..arguments.windows {
            floor.window(length).map_err(|error| no_floor(folder, &error))?;
            self.window(TURN, length, u64::from(turn) << 20, |_| {}).await?;
        }
        Ok(floor)
    }

    fn read(&self) -> Result<meter::Reading, Failure> {
        meter::read(&self.pids).map_err(|error| no_figures(&self.pids, &error))
    }

    fn read_threads(&self) -> Result<threads::Threads, Failure> {
        threads::read(&self.pids).map_err(|error| no_figures(&self.pids, &error))
    }

    /// Figures that are read once, at the end. A measurement in which nothing succeeded is none.
    fn close(&mut self) -> Result<(), Failure> {
        if !self.pids.is_empty() {
            let memory = meter::largest_memory(&self.pids);
            self.measured.memory = Some(memory.map_err(|error| no_figures(&self.pids, &error))?);
        }
        if !self.measured.window.latencies.is_empty() {
            return Ok(());
        }
        let error = self.measured.window.errors.keys().next().cloned();
        Err(lost(&error.unwrap_or_else(|| RequestError::Connection("no answer came".to_owned()))))
    }
}

fn lost(error: &RequestError) -> Failure {
    Failure::new(
        Exit::Unserved,
        format!("the load could not be carried: {error}"),
        "the servers stopped, or refuse what the load asks for",
        "`quorate status` shows how they are",
    )
}

fn no_floor(folder: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Unserved,
        format!("cannot measure the disk of {} and loopback: {error}", folder.display()),
        "the directory is full or not writable, or no local connection can be made",
        "set TMPDIR to a directory with room, or leave out --floor",
    )
}

fn no_figures(pids: &[u32], error: &std::io::Error) -> Failure {
    Failure::usage(
        format!("cannot read the processor time of {pids:?}: {error}"),
        "one of these processes does not run, or this system has no /proc",
        "leave out --pids, or name processes that run",
    )
}

/// How far a measurement is, on a terminal.
struct Bar {
    whole: Duration,
    terminal: bool,
}

impl Bar {
    fn new(whole: Duration) -> Self {
        Self { whole, terminal: stderr().is_terminal() }
    }

    fn show(&self, window: &Window) {
        const WIDTH: usize = 30;
        if !self.terminal {
            return;
        }
        let (done, whole) = (window.length.as_millis(), self.whole.as_millis().max(1));
        let full = usize::try_from(done * WIDTH as u128 / whole).unwrap_or(WIDTH).min(WIDTH);
        let (full, empty) = ("#".repeat(full), "-".repeat(WIDTH - full));
        eprint!("\r[{full}{empty}] {:.0} requests per second\x1b[K", window.rate());
        // Nobody misses a bar.
        drop(stderr().flush());
    }

    fn clear(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
            drop(stderr().flush());
        }
    }
}
