//! Clusters for tests, and waiting for conditions.

mod etcdctl;
mod random;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use quorate_cli::cluster::{Plan, Process};
use quorate_client::proto::{PutRequest, RangeRequest, RangeResponse, StatusResponse};
use quorate_client::{CallError, Client, Options};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

pub(crate) use etcdctl::{etcdctl, etcdctl_ends};
pub(crate) use random::Random;

/// How long anything that must happen may take; far more than it needs, so that a slow machine
/// fails no test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The program under test.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_quorate"))
}

/// A number from the environment.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| text.parse().expect("the variable is a number"))
}

/// Runs the program to its end.
pub(crate) fn quorate(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Waits until a condition holds; says what it waited for when it never does.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        thread::sleep(LOOK_EVERY);
    }
}

/// A cluster whose processes and files go when it is dropped.
pub(crate) struct Cluster {
    pub(crate) plan: Plan,
    pub(crate) processes: Vec<Option<Process>>,
    pub(crate) folder: TempDir,
}

impl Cluster {
    /// Starts a cluster and waits until it has a leader.
    pub(crate) fn start(nodes: usize) -> Self {
        let mut cluster = Self::planned(nodes);
        for at in 0..nodes {
            cluster.start_node(at);
        }
        cluster.wait_for_leader();
        cluster
    }

    /// Lays out a cluster without starting it.
    pub(crate) fn planned(nodes: usize) -> Self {
        let folder = TempDir::with_prefix("quorate-e2e-").unwrap();
        let plan = Plan::on_free_ports(folder.path(), nodes).unwrap();
        let processes = (0..nodes).map(|_| None).collect();
        Self { plan, processes, folder }
    }

    pub(crate) fn start_node(&mut self, at: usize) {
        self.start_node_with(at, &[]);
    }

    /// Starts a node with further flags.
    pub(crate) fn start_node_with(&mut self, at: usize, flags: &[&str]) {
        let node = &self.plan.nodes[at];
        let mut arguments = self.plan.serve_arguments(node);
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let process = Process::start(program(), &arguments, &node.log_file).unwrap();
        self.processes[at] = Some(process);
    }

    /// Kills a node with SIGKILL.
    pub(crate) fn kill(&mut self, at: usize) {
        self.processes[at].take().expect("the node runs").kill().unwrap();
    }

    /// Kills every node at the same moment.
    pub(crate) fn kill_all(&mut self) {
        for process in self.processes.iter_mut().flatten() {
            process.kill_without_waiting().unwrap();
        }
        for process in &mut self.processes {
            process.take().expect("the node runs").kill().unwrap();
        }
    }

    /// A node's data directory.
    pub(crate) fn data_dir(&self, at: usize) -> PathBuf {
        self.plan.nodes[at].data_dir.clone()
    }

    /// What a node has said so far.
    pub(crate) fn said(&self, at: usize) -> String {
        text(&fs::read(&self.plan.nodes[at].log_file).unwrap_or_default())
    }

    /// A client of all nodes.
    pub(crate) fn client(&self) -> Client {
        client(&self.plan.endpoints())
    }

    /// A client of one node.
    pub(crate) fn client_of(&self, at: usize) -> Client {
        client(&self.plan.nodes[at].endpoint())
    }

    /// Position of the node that all that answer hold for the leader.
    pub(crate) fn leader(&self) -> Option<usize> {
        let statuses: Vec<Option<StatusResponse>> =
            (0..self.plan.nodes.len()).map(|at| self.status(at)).collect();
        let mut leaders = statuses.iter().flatten().map(|status| status.leader);
        let leader = leaders.next().filter(|leader| *leader != 0)?;
        let is_leader = |status: &Option<StatusResponse>| {
            status
                .as_ref()
                .and_then(|status| status.header)
                .is_some_and(|own| own.member_id == leader)
        };
        leaders.all(|other| other == leader).then(|| statuses.iter().position(is_leader))?
    }

    pub(crate) fn status(&self, at: usize) -> Option<StatusResponse> {
        self.processes[at].as_ref()?;
        let options = Options::default().timeout(Duration::from_secs(1));
        let client = Client::new([self.plan.nodes[at].endpoint()], options).unwrap();
        runtime().block_on(client.status()).ok()
    }

    /// Waits until every running node knows the same leader and serves linearizable reads.
    pub(crate) fn wait_for_leader(&self) -> usize {
        let mut leader = None;
        wait_until("a leader that every running node knows and that serves reads", || {
            leader = self.leader();
            let running = (0..self.processes.len()).filter(|at| self.processes[*at].is_some());
            leader.is_some() && running.into_iter().all(|at| self.serves(at))
        });
        leader.expect("the wait ends with a leader")
    }

    /// Whether a node answers a linearizable read.
    pub(crate) fn serves(&self, at: usize) -> bool {
        runtime().block_on(self.client_of(at).get("health")).is_ok()
    }

    /// Writes through any node.
    pub(crate) fn put(&self, key: &str, value: &str) -> Result<i64, CallError> {
        let put = put_request(key, value);
        let reply = runtime().block_on(self.client().put(put))?;
        Ok(reply.header.expect("a reply has a header").revision)
    }

    /// Everything that a node holds, as it says itself without asking the others.
    pub(crate) fn local(&self, at: usize) -> Result<RangeResponse, CallError> {
        runtime().block_on(self.client_of(at).range(everything(true)))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            for node in &self.plan.nodes {
                let said = text(&fs::read(&node.log_file).unwrap_or_default());
                let lines: Vec<&str> = said.lines().collect();
                let last = &lines[lines.len().saturating_sub(15)..];
                eprintln!("--- {} said last:\n{}", node.name, last.join("\n"));
            }
        }
        if env::var_os("QUORATE_KEEP").is_some() {
            self.folder.disable_cleanup(true);
            eprintln!("kept: {}", self.folder.path().display());
        }
    }
}

pub(crate) fn client(endpoints: &str) -> Client {
    Client::new(endpoints.split(','), Options::default()).unwrap()
}

pub(crate) fn put_request(key: &str, value: &str) -> PutRequest {
    PutRequest {
        key: key.as_bytes().to_vec().into(),
        value: value.as_bytes().to_vec().into(),
        ..PutRequest::default()
    }
}

/// A read of every key.
pub(crate) fn everything(serializable: bool) -> RangeRequest {
    RangeRequest {
        key: vec![0].into(),
        range_end: vec![0].into(),
        serializable,
        ..RangeRequest::default()
    }
}

/// Copies a data directory.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for item in fs::read_dir(from)? {
        let item = item?;
        let target = to.join(item.file_name());
        if item.file_type()?.is_dir() {
            copy_folder(&item.path(), &target)?;
        } else {
            fs::copy(item.path(), target)?;
        }
    }
    Ok(())
}
