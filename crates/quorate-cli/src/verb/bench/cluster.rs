//! Where the load goes: a cluster that runs somewhere, or one of our own in a temporary directory.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs, process};

use quorate_client::proto::RangeRequest;
use quorate_client::{Client, Options};

use super::arguments::Target;
use crate::cluster::{Plan, Process};
use crate::failure::{Exit, Failure};
use crate::verb::demo;

/// How long servers may take to elect a leader.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long they may take when they have a log to read first.
const LONG_PATIENCE: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Servers that were started for a measurement; they and their files go when this is dropped.
pub(super) struct Own {
    folder: PathBuf,
    plan: Plan,
    processes: Vec<Process>,
}

impl Drop for Own {
    fn drop(&mut self) {
        self.processes.clear();
        // It lies among temporary files; what is left is nobody's loss.
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Own {
    /// Starts servers with default settings.
    pub(super) fn start(nodes: usize) -> Result<Self, Failure> {
        let folder = env::temp_dir().join(format!("quorate-bench-{}", process::id()));
        let plan = Plan::on_free_ports(&folder, nodes)
            .map_err(|error| failed("find free ports", &error))?;
        let mut own = Self { folder, plan, processes: Vec::new() };
        own.start_servers()?;
        Ok(own)
    }

    fn start_servers(&mut self) -> Result<(), Failure> {
        for at in 0..self.plan.nodes.len() {
            self.start_again(at)?;
        }
        Ok(())
    }

    /// Starts the server at this place; those before it run.
    pub(super) fn start_again(&mut self, at: usize) -> Result<(), Failure> {
        let node = &self.plan.nodes[at];
        let arguments = self.plan.serve_arguments(node);
        let started = Process::start(&demo::program()?, &arguments, &node.log_file);
        self.processes.insert(at, started.map_err(|error| failed("start a server", &error))?);
        Ok(())
    }

    /// Kills the server at this place.
    pub(super) fn kill(&mut self, at: usize) {
        drop(self.processes.remove(at));
    }

    /// Kills every server, starts all again, and says how long it takes until one of them leads and
    /// answers a linearizable read.
    pub(super) async fn restart(&mut self) -> Result<Duration, Failure> {
        self.processes.clear();
        let began = Instant::now();
        self.start_servers()?;
        let leader = leaders(&self.endpoints(), Target::Leader, LONG_PATIENCE).await?;
        let options = Options::default().timeout(LONG_PATIENCE);
        let unserved = |error: &dyn std::fmt::Display| {
            Failure::new(
                Exit::Unserved,
                format!("the restarted servers do not answer: {error}"),
                "they could not read what they wrote, or do not reach each other",
                "their logs lie beside their directories",
            )
        };
        let client = Client::new(leader.iter().map(String::as_str), options);
        let client = client.map_err(|error| unserved(&error))?;
        let range = RangeRequest { key: "any".into(), ..RangeRequest::default() };
        client.range(range).await.map_err(|error| unserved(&error))?;
        Ok(began.elapsed())
    }

    /// Where the servers have their directories.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn endpoints(&self) -> Vec<String> {
        self.plan.nodes.iter().map(crate::cluster::PlannedNode::endpoint).collect()
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.processes.iter().map(Process::id).collect()
    }
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Start,
        format!("cannot {what}: {error}"),
        "the temporary directory is full or not writable, or a port is taken",
        "set TMPDIR to a directory with room, or name servers with --endpoints",
    )
}

/// The endpoints among these that get the load, once one of them leads.
pub(super) async fn targets(endpoints: &[String], target: Target) -> Result<Vec<String>, Failure> {
    leaders(endpoints, target, PATIENCE).await
}

async fn leaders(
    endpoints: &[String],
    target: Target,
    patience: Duration,
) -> Result<Vec<String>, Failure> {
    let options = Options::default().timeout(Duration::from_secs(2));
    let client = Client::new(endpoints.iter().map(String::as_str), options).map_err(|error| {
        Failure::usage(
            format!("--endpoints: {error}"),
            "each endpoint is a host and a port, and commas stand between them",
            "quorate bench --endpoints 127.0.0.1:2379",
        )
    })?;
    let began = Instant::now();
    loop {
        let mut leads = Vec::new();
        for one in client.each_endpoint() {
            let status = one.status().await.ok();
            leads.push(status.and_then(|status| {
                let own = status.header.map(|header| header.member_id)?;
                (status.leader != 0).then_some(own == status.leader)
            }));
        }
        let wanted = |lead: bool| match target {
            Target::Leader => lead,
            Target::Followers => !lead,
            Target::All => true,
        };
        let chosen: Vec<String> = endpoints
            .iter()
            .zip(&leads)
            .filter(|(_, lead)| lead.is_some_and(wanted))
            .map(|(endpoint, _)| endpoint.clone())
            .collect();
        if leads.contains(&Some(true)) && !chosen.is_empty() {
            return Ok(chosen);
        }
        if began.elapsed() > patience {
            return Err(Failure::new(
                Exit::Unserved,
                format!("none of {} leads", endpoints.join(", ")),
                "the servers do not run, reach no majority, or the leader is not among these",
                "name every server of the cluster with --endpoints; `quorate status` shows them",
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
