//! `quorate demo`, and etcd's own client against it.
//!
//! Without `etcdctl` on the path the cases that need it say so and are skipped; with `CI=true` that is a
//! failure, so that a gate cannot pass without them.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use quorate_cli::cluster::free_ports;

use crate::harness::{etcdctl, program, quorate, text, wait_until};

/// A running demo and what it printed.
struct Demo {
    child: Child,
    printed: Arc<Mutex<String>>,
    endpoints: String,
}

impl Demo {
    fn start(folder: &Path, ports: &[u16]) -> Self {
        let list = |ports: &[u16]| ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        let (clients, peers) = ports.split_at(3);
        let mut child = Command::new(program())
            .args(["demo", "--dir"])
            .arg(folder)
            .args(["--client-ports", &list(clients), "--peer-ports", &list(peers)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let printed = Arc::new(Mutex::new(String::new()));
        let output = BufReader::new(child.stdout.take().unwrap());
        let into = Arc::clone(&printed);
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let mut into = into.lock().unwrap();
                into.push_str(&line);
                into.push('\n');
            }
        });
        let endpoints: Vec<String> =
            clients.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let demo = Self { child, printed, endpoints: endpoints.join(",") };
        wait_until("the demo shows a leader and two followers", || demo.shows_all_up());
        demo
    }

    fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    /// The rows of the last table.
    fn rows(&self) -> Vec<String> {
        let printed = self.printed();
        let rows = printed.rsplit("| NAME").next().unwrap_or_default();
        rows.lines().filter(|line| line.starts_with("| n")).map(str::to_owned).collect()
    }

    fn shows_all_up(&self) -> bool {
        let rows = self.rows();
        let count = |role: &str| rows.iter().filter(|row| row.contains(role)).count();
        rows.len() == 3 && count("| leader") == 1 && count("| follower") == 2
    }

    /// Name and process of the leader.
    fn leader(&self) -> (String, i32) {
        let rows = self.rows();
        let row = rows.iter().find(|row| row.contains("| leader")).expect("the table has a leader");
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        (cells[1].to_owned(), cells[3].parse().unwrap())
    }

    fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Processes of the servers, from the table.
    fn servers(&self) -> Vec<String> {
        let cell = |row: &String| row.split('|').nth(3).unwrap_or_default().trim().to_owned();
        self.rows().iter().map(cell).collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the demo printed:\n{}", self.printed());
        }
        // Its servers end with it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn runs(process: &str) -> bool {
    // A process that nobody waited for yet is dead all the same.
    fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn etcdctl_works_as_against_etcd() {
    let folder = TempDir::new().unwrap();
    let demo = Demo::start(folder.path(), &free_ports(6).unwrap());
    let run = |arguments: &[&str], input: &str| etcdctl(&demo.endpoints, arguments, input);
    let Some(put) = run(&["put", "a", "1"], "") else { return };
    assert_eq!(put, "OK\n");
    assert_eq!(run(&["get", "a"], "").unwrap(), "a\n1\n");
    assert_eq!(run(&["put", "a", "2", "--prev-kv"], "").unwrap(), "OK\na\n1\n");
    assert_eq!(run(&["get", "a", "--rev=2"], "").unwrap(), "a\n1\n");
    assert_eq!(run(&["get", "a", "--consistency=s"], "").unwrap(), "a\n2\n");
    let script = "mod(\"a\") > \"0\"\n\nput a 3\nput b 4\n\nput never 1\n\n";
    assert_eq!(run(&["txn"], script).unwrap(), "SUCCESS\n\nOK\n\nOK\n");
    assert_eq!(run(&["get", "", "--prefix"], "").unwrap(), "a\n3\nb\n4\n");
    assert_eq!(
        run(&["get", "", "--prefix", "--limit=1", "--order=DESCEND"], "").unwrap(),
        "b\n4\n"
    );
    assert_eq!(run(&["del", "a"], "").unwrap(), "1\n");
    assert_eq!(run(&["get", "a"], "").unwrap(), "");
    let status = run(&["endpoint", "status", "-w", "table"], "").unwrap();
    assert_eq!(status.lines().filter(|line| line.contains("127.0.0.1:")).count(), 3, "{status}");
    assert_eq!(status.matches("|      true |").count(), 1, "{status}");
    let health = run(&["endpoint", "health"], "").unwrap();
    assert_eq!(health.matches("is healthy").count(), 3, "{health}");
    let members = run(&["member", "list"], "").unwrap();
    assert_eq!(
        members.lines().filter(|line| line.contains(", started, n")).count(),
        3,
        "{members}"
    );
    let json = run(&["get", "b", "-w", "json"], "").unwrap();
    assert!(json.contains("\"key\":\"Yg==\"") && json.contains("\"raft_term\":"), "{json}");
    let from_ours = quorate(&["get", "b", "--endpoints", &demo.endpoints]);
    assert_eq!(text(&from_ours.stdout), "b\n4\n");
}

#[test]
fn a_killed_leader_is_replaced_reported_and_can_be_started_again() {
    let folder = TempDir::new().unwrap();
    let mut demo = Demo::start(folder.path(), &free_ports(6).unwrap());
    let put = quorate(&["put", "a", "1", "--endpoints", &demo.endpoints]);
    assert!(put.status.success(), "{}", text(&put.stderr));
    let (name, process) = demo.leader();
    kill_process(Pid::from_raw(process).unwrap(), Signal::KILL).unwrap();
    wait_until("the demo reports the kill", || {
        demo.printed().contains(&format!("{name} ended (killed by SIGKILL)"))
    });
    assert!(demo.printed().contains(&format!("`start {name}`")));
    wait_until("another leader", || {
        demo.rows().iter().any(|row| row.contains("| leader") && !row.contains(&name))
    });
    let got = quorate(&["get", "a", "--endpoints", &demo.endpoints]);
    assert_eq!(text(&got.stdout), "a\n1\n", "{}", text(&got.stderr));
    demo.say(&format!("start {name}"));
    wait_until("all three are up", || demo.shows_all_up());
}

#[test]
fn a_signal_stops_every_server_and_the_next_demo_finds_its_data() {
    let folder = TempDir::new().unwrap();
    let ports = free_ports(6).unwrap();
    for (signal, turn) in [(Signal::INT, 1), (Signal::TERM, 2)] {
        let mut demo = Demo::start(folder.path(), &ports);
        let servers = demo.servers();
        assert!(servers.len() == 3 && servers.iter().all(|server| runs(server)), "{servers:?}");
        let before = quorate(&["get", "turn", "--endpoints", &demo.endpoints]);
        let expected = if turn == 1 { "" } else { "turn\n1\n" };
        assert_eq!(text(&before.stdout), expected, "{}", text(&before.stderr));
        let put = quorate(&["put", "turn", &turn.to_string(), "--endpoints", &demo.endpoints]);
        assert!(put.status.success(), "{}", text(&put.stderr));
        demo.signal(signal);
        assert!(demo.child.wait().unwrap().success());
        assert!(servers.iter().all(|server| !runs(server)), "a server outlived its demo");
    }
}

#[test]
fn servers_end_when_the_demo_is_killed() {
    let folder = TempDir::new().unwrap();
    let mut demo = Demo::start(folder.path(), &free_ports(6).unwrap());
    let servers = demo.servers();
    demo.child.kill().unwrap();
    wait_until("no server outlives its demo", || servers.iter().all(|server| !runs(server)));
}

#[test]
fn a_demo_that_cannot_start_says_why() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path().to_str().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let free = free_ports(5).unwrap();
    let list = |ports: &[u16]| ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let clients = format!("{port},{}", list(&free[..2]));
    let peers = list(&free[2..]);
    let output =
        quorate(&["demo", "--dir", dir, "--client-ports", &clients, "--peer-ports", &peers]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains(&port) && said.contains("next:"), "{said}");

    fs::create_dir_all(folder.path().join("n1")).unwrap();
    let output = quorate(&["demo", "--dir", dir]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--nodes 1"), "{said}");
}
