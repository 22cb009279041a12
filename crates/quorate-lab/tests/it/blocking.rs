//! The dss labs' key-value service in real time, with clerks that block threads of their own.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use quorate_lab::dss::kvraft::client::Clerk;
use quorate_lab::dss::kvraft::proto::{KvClient, add_kv_service};
use quorate_lab::dss::kvraft::server::{KvServer, Node};
use quorate_lab::dss::labrpc::{Network, ServerBuilder};
use quorate_lab::dss::raft::{RaftClient, add_raft_service};
use quorate_lab::persister::Persister;

/// Servers of the labs, put together from nothing but the labs' interfaces.
struct Store {
    network: Network,
    max_raft_state: Option<usize>,
    nodes: Vec<Option<Node>>,
    persisters: Vec<Arc<Persister>>,
    clerks: usize,
}

impl Store {
    fn new(servers: usize, max_raft_state: Option<usize>) -> Self {
        let network = Network::new();
        let persisters = (0..servers).map(|_| Persister::new()).collect();
        let nodes = (0..servers).map(|_| None).collect();
        let mut store = Self { network, max_raft_state, nodes, persisters, clerks: 0 };
        (0..servers).for_each(|server| store.start(server));
        store
    }

    fn end(from: usize, to: usize) -> String {
        format!("raft {from} to {to}")
    }

    fn start(&mut self, server: usize) {
        let client = |to: usize| {
            let name = Self::end(server, to);
            let client = self.network.create_client(name.clone());
            self.network.connect(&name, &format!("server {to}"));
            self.network.enable(&name, true);
            RaftClient::new(client)
        };
        let clients = (0..self.nodes.len()).map(client).collect();
        let persister = Box::new(Arc::clone(&self.persisters[server]));
        let kv = KvServer::new(clients, server, persister, self.max_raft_state);
        let raft = kv.rf.clone();
        let node = Node::new(kv);
        let mut builder = ServerBuilder::new(format!("server {server}"));
        add_raft_service(raft, &mut builder).expect("it is the first");
        add_kv_service(node.clone(), &mut builder).expect("it is the only one");
        self.network.add_server(builder.build());
        self.nodes[server] = Some(node);
    }

    fn crash(&mut self, server: usize) {
        self.network.delete_server(&format!("server {server}"));
        self.persisters[server] = self.persisters[server].copy();
        self.nodes[server].take().expect("it runs").kill();
    }

    /// Cuts the links between two groups, or mends them.
    fn link(&self, one: &[usize], other: &[usize], is_open: bool) {
        for from in one {
            for to in other {
                self.network.enable(&Self::end(*from, *to), is_open);
                self.network.enable(&Self::end(*to, *from), is_open);
            }
        }
    }

    /// A clerk that reaches these servers.
    fn clerk(&mut self, servers: &[usize]) -> Clerk {
        self.clerks += 1;
        let number = self.clerks;
        let client = |to: usize| {
            let name = format!("clerk {number} to {to}");
            let client = self.network.create_client(name.clone());
            self.network.connect(&name, &format!("server {to}"));
            self.network.enable(&name, servers.contains(&to));
            KvClient::new(client)
        };
        let clients = (0..self.nodes.len()).map(client).collect();
        Clerk::new(format!("clerk {number}"), clients)
    }

    /// Has every clerk reach every server.
    fn connect_clerks(&self) {
        for clerk in 1..=self.clerks {
            for to in 0..self.nodes.len() {
                self.network.enable(&format!("clerk {clerk} to {to}"), true);
            }
        }
    }

    fn leader(&self) -> usize {
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            let leads = |node: &Option<Node>| node.as_ref().is_some_and(Node::is_leader);
            if let Some(leader) = self.nodes.iter().position(leads) {
                return leader;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("no server leads after 5 s");
    }
}

fn all(servers: usize) -> Vec<usize> {
    (0..servers).collect()
}

#[test]
fn clerks_that_hang_keep_nobody_else_from_work() {
    let mut store = Store::new(5, None);
    store.clerk(&all(5)).put("1".to_owned(), "13".to_owned());
    let leader = store.leader();
    let minority = [leader, (leader + 1) % 5];
    let majority: Vec<usize> = (2..5).map(|step| (leader + step) % 5).collect();
    store.link(&minority, &majority, false);
    let (ended, ends) = mpsc::channel();
    for is_put in [true, false] {
        let (clerk, ended) = (store.clerk(&minority), ended.clone());
        thread::spawn(move || {
            if is_put {
                clerk.put("1".to_owned(), "15".to_owned());
            } else {
                drop(clerk.get("1".to_owned()));
            }
            ended.send(is_put).unwrap();
        });
    }
    let clerk = store.clerk(&majority);
    for value in ["14", "16"] {
        clerk.put("1".to_owned(), value.to_owned());
        assert_eq!(clerk.get("1".to_owned()), value);
        let early = ends.recv_timeout(Duration::from_millis(500));
        assert!(early.is_err(), "the minority's side answered");
    }
    store.link(&minority, &majority, true);
    store.connect_clerks();
    for _ in 0..2 {
        ends.recv_timeout(Duration::from_secs(4)).expect("both end soon after healing");
    }
    assert_eq!(clerk.get("1".to_owned()), "15");
}

#[test]
fn appends_count_once_on_a_bad_network_and_over_restarts_with_a_snapshot_after_each_command() {
    const CLERKS: usize = 3;
    const APPENDS: usize = 6;
    let mut store = Store::new(3, Some(1));
    store.network.set_reliable(false);
    let one = |clerk: Clerk| {
        thread::spawn(move || {
            for number in 0..APPENDS {
                clerk.append("k".to_owned(), format!("[{} {number}]", clerk.name));
            }
        })
    };
    let clerks: Vec<_> = (0..CLERKS).map(|_| one(store.clerk(&all(3)))).collect();
    for clerk in clerks {
        clerk.join().unwrap();
    }
    for server in 0..3 {
        store.crash(server);
    }
    (0..3).for_each(|server| store.start(server));
    let clerk = store.clerk(&all(3));
    assert_eq!(clerk.get("none".to_owned()), "", "what is absent is empty");
    let value = clerk.get("k".to_owned());
    for name in 1..=CLERKS {
        let marks = (0..APPENDS).map(|number| format!("[clerk {name} {number}]"));
        let places: Vec<Vec<usize>> =
            marks.map(|mark| value.match_indices(&mark).map(|(at, _)| at).collect()).collect();
        assert!(places.iter().all(|found| found.len() == 1), "{value}");
        assert!(places.is_sorted(), "{value}");
    }
    let largest = store.persisters.iter().map(|persister| persister.state_len()).max();
    assert!(largest < Some(600), "the log is given up: {largest:?} bytes");
    assert!(store.persisters.iter().all(|persister| persister.snapshot_len() > 0));
}
