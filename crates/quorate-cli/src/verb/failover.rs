//! `quorate failover`: how long a cluster is without writes after its leader was killed.
//!
//! Each trial kills the leader with SIGKILL and measures until one of the others acknowledges a write;
//! one writer per survivor sends the next write as soon as the last one was answered. Then the
//! killed server is started again, and the next trial begins when all of them have caught up.

use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{env, fs, io, process};

use clap::Args;
use quorate_client::proto::{PutRequest, StatusResponse};
use quorate_client::{Client, Options};
use tokio::time::{sleep, timeout};

use super::demo;
use crate::cluster::{Plan, Process};
use crate::failure::{Exit, Failure};
use crate::runtime;

/// How long a step may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Number of times a leader is killed
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    trials: u32,
    /// Number of servers, 3 to 5
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(3..=5))]
    nodes: u8,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = Folder::new().map_err(|error| failed("make a temporary directory", &error))?;
    let plan = Plan::on_free_ports(&folder.0, usize::from(arguments.nodes))
        .map_err(|error| failed("find free ports", &error))?;
    let mut trials = Trials { program: demo::program()?, plan, nodes: Vec::new() };
    let runtime = runtime::single_threaded()?;
    for at in 0..trials.plan.nodes.len() {
        let node = trials.start(at)?;
        trials.nodes.push(node);
    }
    println!("{} servers, default settings, {} trials", arguments.nodes, arguments.trials);
    let mut times = Vec::new();
    for trial in 1..=arguments.trials {
        let time = runtime.block_on(trials.measure())?;
        println!("trial {trial:3}: {:5} ms", time.as_millis());
        times.push(time);
    }
    println!("{}", summary(&mut times));
    Ok(())
}

/// Minimum, median and maximum.
fn summary(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let (low, high) = (times[(times.len() - 1) / 2], times[times.len() / 2]);
    format!(
        "first acknowledged write after SIGKILL of the leader: median {} ms, minimum {} ms, maximum {} ms",
        ((low + high) / 2).as_millis(),
        times[0].as_millis(),
        times[times.len() - 1].as_millis()
    )
}

struct Trials {
    plan: Plan,
    program: PathBuf,
    nodes: Vec<(Process, Client)>,
}

impl Trials {
    fn start(&self, at: usize) -> Result<(Process, Client), Failure> {
        let node = &self.plan.nodes[at];
        let arguments = self.plan.serve_arguments(node);
        let process = Process::start(&self.program, &arguments, &node.log_file)
            .map_err(|error| failed(&format!("start {}", node.name), &error))?;
        let options = Options::default().timeout(Duration::from_secs(2));
        let client = Client::new([node.endpoint()], options)
            .map_err(|error| Failure::usage(error.to_string(), "a port is wrong", "try again"))?;
        Ok((process, client))
    }

    /// One trial.
    async fn measure(&mut self) -> Result<Duration, Failure> {
        let leader = self.settled().await?;
        let (process, _) = &mut self.nodes[leader];
        let killed = Instant::now();
        process.kill_without_waiting().map_err(|error| failed("kill the leader", &error))?;
        let writers: Vec<_> = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != leader)
            .map(|(_, (_, client))| tokio::spawn(first_write(client.clone())))
            .collect();
        let first = timeout(PATIENCE, first_of(writers))
            .await
            .map_err(|_| self.gave_up("no write was acknowledged after the leader was killed"))?;
        let time = first.duration_since(killed);
        process_wait(&mut self.nodes[leader].0)?;
        self.nodes[leader] = self.start(leader)?;
        Ok(time)
    }

    /// Waits until all servers agree on a leader and have applied the same; returns the leader.
    async fn settled(&mut self) -> Result<usize, Failure> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let mut statuses = Vec::new();
            for (_, client) in &self.nodes {
                statuses.extend(client.status().await.ok());
            }
            if let Some(leader) = leader_of_all(&statuses, self.nodes.len()) {
                return Ok(leader);
            }
            sleep(LOOK_EVERY).await;
        }
        Err(self.gave_up("the servers did not agree on a leader"))
    }

    fn gave_up(&self, what: &str) -> Failure {
        let words: Vec<String> = self
            .plan
            .nodes
            .iter()
            .zip(&self.nodes)
            .map(|(node, (process, _))| format!("{}: {}", node.name, process.last_words(3)))
            .collect();
        Failure::new(
            Exit::Stopped,
            format!("{what} within {PATIENCE:?}; the servers said last:\n{}", words.join("\n")),
            "the machine is overloaded, or a server has a fault",
            "quorate failover --trials 1 on an idle machine",
        )
    }
}

/// Position of the leader, when every server answers, knows it, and has applied as much as it.
fn leader_of_all(statuses: &[StatusResponse], nodes: usize) -> Option<usize> {
    let leader = statuses.first()?.leader;
    let agree = |status: &StatusResponse| {
        status.leader == leader && status.raft_applied_index == statuses[0].raft_applied_index
    };
    if statuses.len() != nodes || leader == 0 || !statuses.iter().all(agree) {
        return None;
    }
    statuses.iter().position(|status| status.header.is_some_and(|own| own.member_id == leader))
}

/// Writes until one write is acknowledged, and says when that was.
async fn first_write(client: Client) -> Instant {
    loop {
        let put = PutRequest { key: "failover".into(), value: "x".into(), ..PutRequest::default() };
        if client.put(put).await.is_ok() {
            return Instant::now();
        }
        // An outcome that is unknown is no acknowledgement, and the next write is another one.
        sleep(Duration::from_millis(1)).await;
    }
}

/// The earliest of several instants, as soon as it is there.
async fn first_of(writers: Vec<tokio::task::JoinHandle<Instant>>) -> Instant {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    for writer in writers {
        let sender = sender.clone();
        tokio::spawn(async move {
            // The receiver is gone once another writer was first.
            writer.await.is_ok_and(|instant| sender.send(instant).is_ok())
        });
    }
    receiver.recv().await.unwrap_or_else(Instant::now)
}

fn process_wait(process: &mut Process) -> Result<(), Failure> {
    process.wait(PATIENCE).map(drop).map_err(|error| failed("wait for the killed leader", &error))
}

fn failed(what: &str, error: &io::Error) -> Failure {
    Failure::new(
        Exit::Start,
        format!("cannot {what}: {error}"),
        "the temporary directory is full or not writable, or the system is out of resources",
        "TMPDIR=DIR quorate failover",
    )
}

/// A directory that goes when the measurement ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let folder = env::temp_dir().join(format!("quorate-failover-{}", process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use quorate_client::proto::ResponseHeader;

    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let mut times = [400, 100, 300, 200].map(Duration::from_millis);
        assert!(summary(&mut times).contains("median 250 ms, minimum 100 ms, maximum 400 ms"));
        assert!(summary(&mut times[..1]).contains("median 100 ms"));
    }

    #[test]
    fn servers_have_settled_when_all_agree() {
        let status = |member_id, leader, applied| StatusResponse {
            header: Some(ResponseHeader { member_id, ..ResponseHeader::default() }),
            leader,
            raft_applied_index: applied,
            ..StatusResponse::default()
        };
        let all = [status(1, 2, 5), status(2, 2, 5)];
        assert_eq!(leader_of_all(&all, 2), Some(1));
        assert_eq!(leader_of_all(&all, 3), None);
        assert_eq!(leader_of_all(&[status(1, 2, 4), status(2, 2, 5)], 2), None);
        assert_eq!(leader_of_all(&[status(1, 0, 5), status(2, 0, 5)], 2), None);
    }
}
