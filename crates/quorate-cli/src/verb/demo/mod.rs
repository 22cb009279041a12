//! `quorate demo`: a cluster of real server processes on loopback, for trying things out.
//!
//! Every server is this same binary with `serve`, in a process of its own. The demo watches them, shows
//! who leads whenever that changes, takes commands such as `kill n1` and `start n1`, and stops all of
//! them when it ends, however it ends. It repairs nothing by itself: a node that died stays dead
//! until someone starts it again.

mod setup;
mod view;

use std::io::{BufRead, stdin};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::thread;
use std::time::Duration;

use clap::Args;
use quorate_client::{Client, Options};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::interval;

use crate::cluster::{Plan, PlannedNode, Process};
use crate::failure::{Exit, Failure};
use crate::runtime;
pub(crate) use setup::program;
use view::{Row, Seen};

/// How often the servers are asked who leads.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a server may take to say so.
const LOOK_TIMEOUT: Duration = Duration::from_millis(400);
/// How long a server may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

const COMMANDS: &str =
    "  kill n1     end a server with SIGKILL       stop n1    end it in its own order
  start n1    start it again on its data      status     show the table
  quit        stop everything (or Ctrl-C)";

/// How large, and where.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Number of servers, 1 to 5
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=5))]
    nodes: u8,
    /// Directory of their data; run again on the same one, the cluster finds it
    #[arg(long, default_value = "quorate-demo")]
    dir: PathBuf,
    /// Ports of clients, one a server [default: 2379,22379,32379,..]
    #[arg(long, value_delimiter = ',', value_name = "PORT,..")]
    client_ports: Vec<u16>,
    /// Ports between the servers, one a server [default: 2380,22380,32380,..]
    #[arg(long, value_delimiter = ',', value_name = "PORT,..")]
    peer_ports: Vec<u16>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let plan = setup::plan(arguments)?;
    let program = program()?;
    setup::check_ports(&plan)?;
    let mut demo = Demo { nodes: Vec::new(), program, shown: Vec::new(), plan };
    for planned in demo.plan.nodes.clone() {
        let process = demo.start(&planned)?;
        demo.nodes.push(Node::new(planned, process)?);
    }
    demo.greet(&arguments.dir);
    let result = runtime::single_threaded()?.block_on(demo.watch());
    demo.stop_all();
    result
}

struct Demo {
    plan: Plan,
    program: PathBuf,
    nodes: Vec<Node>,
    /// The table as it was last printed.
    shown: Vec<Row>,
}

struct Node {
    planned: PlannedNode,
    /// `None` once it ended.
    process: Option<Process>,
    client: Client,
}

impl Node {
    fn new(planned: PlannedNode, process: Process) -> Result<Self, Failure> {
        let options = Options::default().timeout(LOOK_TIMEOUT).connect_timeout(LOOK_TIMEOUT);
        let client = Client::new([planned.endpoint()], options).map_err(|error| {
            Failure::usage(error.to_string(), "a port is wrong", "quorate demo --help")
        })?;
        Ok(Self { planned, process: Some(process), client })
    }
}

impl Demo {
    fn start(&self, planned: &PlannedNode) -> Result<Process, Failure> {
        let arguments = self.plan.serve_arguments(planned);
        Process::start(&self.program, &arguments, &planned.log_file).map_err(|error| {
            Failure::new(
                Exit::Start,
                format!("cannot start {}: {error}", planned.name),
                format!(
                    "{} cannot be written, or this program was moved",
                    planned.log_file.display()
                ),
                "quorate demo --dir DIR, with a directory that can be written",
            )
        })
    }

    fn greet(&self, dir: &std::path::Path) {
        println!("{} servers, data in {}", self.nodes.len(), dir.display());
        println!("what they say: {}", dir.join("n*.log").display());
        println!("\nTry it in another terminal:");
        println!("  export ETCDCTL_ENDPOINTS={}", self.plan.endpoints());
        println!("  etcdctl put a 1");
        println!("\nType here:\n{COMMANDS}\n");
    }

    /// Goes on until someone says stop, or every server ended before there ever was a leader.
    async fn watch(&mut self) -> Result<(), Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Failure::new(
                    Exit::Start,
                    format!("cannot listen for signals: {error}"),
                    "the system is out of resources",
                    "quorate demo",
                )
            })
        };
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let mut hangup = listen(SignalKind::hangup())?;
        let mut lines = read_lines();
        let mut look = interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                _ = hangup.recv() => return Ok(()),
                Some(line) = lines.recv() => {
                    if !self.obey(&line)? {
                        return Ok(());
                    }
                }
                _ = look.tick() => {
                    self.bury()?;
                    self.show(false).await;
                }
            }
        }
    }

    /// Reports servers that ended since the last look.
    fn bury(&mut self) -> Result<(), Failure> {
        let had_leader = self.shown.iter().any(Row::leads);
        for node in &mut self.nodes {
            let Some(process) = &mut node.process else { continue };
            let Ok(Some(status)) = process.ended() else { continue };
            let name = &node.planned.name;
            let words = process.last_words(3);
            node.process = None;
            if !had_leader && status.code() == Some(Exit::Start as i32) {
                return Err(Failure::new(
                    Exit::Start,
                    format!("{name} did not start. It says:\n{words}"),
                    "what it says names the cause",
                    format!(
                        "mend that, then run the demo again; all of it: {}",
                        node.planned.log_file.display()
                    ),
                ));
            }
            println!("{name} ended ({}).", describe(status));
            if !status.success() && status.code().is_some() {
                println!("It said last:\n{words}");
            }
            println!("Type `start {name}` to start it again on its data, or in another terminal:");
            println!(
                "  {}\n",
                setup::command_line(&self.program, &self.plan.serve_arguments(&node.planned))
            );
        }
        Ok(())
    }

    /// Prints the table if it changed, or if someone asked.
    async fn show(&mut self, always: bool) {
        let mut looks = Vec::new();
        for node in &self.nodes {
            let client = node.client.clone();
            looks.push(tokio::spawn(async move { client.status().await.ok() }));
        }
        let mut rows = Vec::new();
        for (node, look) in self.nodes.iter().zip(looks) {
            let process = node.process.as_ref().map(Process::id);
            let seen = look.await.ok().flatten().map(|status| Seen::new(&status));
            rows.push(Row {
                name: node.planned.name.clone(),
                endpoint: node.planned.endpoint(),
                process,
                seen,
            });
        }
        if always || rows != self.shown {
            print!("{}", view::table(&rows));
            self.shown = rows;
        }
    }

    /// Carries out a command; `false` means stop.
    fn obey(&mut self, line: &str) -> Result<bool, Failure> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            ["quit" | "exit"] => return Ok(false),
            // An empty memory of the table makes the next look print it.
            ["status"] => self.shown.clear(),
            [verb @ ("kill" | "stop" | "start"), name] => self.act(verb, name)?,
            _ => println!("Commands:\n{COMMANDS}"),
        }
        Ok(true)
    }

    fn act(&mut self, verb: &str, name: &str) -> Result<(), Failure> {
        let Some(at) = self.nodes.iter().position(|node| node.planned.name == name) else {
            let names: Vec<&str> =
                self.nodes.iter().map(|node| node.planned.name.as_str()).collect();
            println!("There is no {name}; there are {}.", names.join(", "));
            return Ok(());
        };
        match (verb, &mut self.nodes[at].process) {
            ("start", None) => {
                let planned = self.nodes[at].planned.clone();
                self.nodes[at].process = Some(self.start(&planned)?);
            }
            ("start", Some(_)) => println!("{name} runs already."),
            (_, None) => println!("{name} does not run; `start {name}` starts it."),
            (verb, Some(process)) => {
                let done = if verb == "kill" {
                    process.kill_without_waiting()
                } else {
                    process.terminate()
                };
                if let Err(error) = done {
                    println!("cannot {verb} {name}: {error}");
                }
            }
        }
        Ok(())
    }

    fn stop_all(&mut self) {
        println!("Stopping.");
        let mut running: Vec<(String, Process)> = self
            .nodes
            .drain(..)
            .filter_map(|node| Some((node.planned.name, node.process?)))
            .collect();
        for (name, process) in &mut running {
            if let Err(error) = process.terminate() {
                println!("cannot stop {name}: {error}");
            }
        }
        for (name, mut process) in running {
            match process.wait(STOP_TIMEOUT) {
                Ok(Some(_)) => {}
                // Dropping the process kills it.
                _ => println!("{name} did not stop within {STOP_TIMEOUT:?} and is killed."),
            }
        }
    }
}

/// Lines of standard input, as far as there is one.
fn read_lines() -> UnboundedReceiver<String> {
    let (sender, receiver) = unbounded_channel();
    // A thread of its own, because reading a terminal blocks; it ends with the process.
    thread::spawn(move || {
        for line in stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(0), _) => "it stopped in its own order".to_owned(),
        (Some(code), _) => format!("with exit code {code}"),
        (None, Some(9)) => "killed by SIGKILL".to_owned(),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "for a reason that the system does not tell".to_owned(),
    }
}
