//! The labs' own interfaces: as their documents use them, and through whole suites.

use std::sync::Arc;
use std::time::Duration;

use quorate_lab::context::{BoxFuture, RealTime, VirtualTime};
use quorate_lab::course::{self, CourseRaft};
use quorate_lab::dss;
use quorate_lab::dss::raft::RaftClient;
use quorate_lab::dss::raft::persister::SimplePersister;
use quorate_lab::kv_raft::{self, KvRaft, Persister, RpcClient, Server};
use quorate_lab::network::{Handler, Lost, Model, Network};
use quorate_lab::persister;
use quorate_lab::raft::LabRaft;
use quorate_lab::suite::{Run, find};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Every scenario of a suite passes through a face.
fn pass<R: LabRaft>(suite: &str, count: usize) {
    let all = find(Some(suite), None).expect("there is such a suite");
    assert_eq!(all.len(), count);
    for (suite, entry) in all {
        let outcome = Run::new(suite, entry, 11).of::<R>();
        assert!(outcome.is_passed(), "{}\n{outcome}", entry.name);
    }
}

#[test]
fn the_async_rust_lab_passes_through_its_own_face() {
    pass::<KvRaft>("async-rust", 25);
}

#[test]
fn the_go_course_lab_passes_through_its_own_face() {
    pass::<CourseRaft>("2A", 2);
    pass::<CourseRaft>("2B", 8);
}

struct Peer(Arc<kv_raft::Raft>);

impl Handler for Peer {
    fn handle(self: Arc<Self>, method: String, args: Vec<u8>) -> BoxFuture<Vec<u8>> {
        Box::pin(async move {
            let args = String::from_utf8(args).expect("requests are JSON");
            self.0.dispatch(&method, args).await.into_bytes()
        })
    }
}

/// Starts the peers of the async Rust lab as its document does: on the runtime that runs, each with a
/// file.
fn start(network: &Network, folder: &std::path::Path) -> Vec<Arc<kv_raft::Raft>> {
    let one = |me: usize| {
        let ends = network.ends_of(me).expect("there is room");
        let clients = ends.iter().map(|peer| Arc::new(RpcClient::new(peer.clone()))).collect();
        let persister = Arc::new(Persister::new(folder.join(format!("peer-{me}"))));
        let raft = kv_raft::Raft::new(me, clients, persister);
        network.add(me, Arc::new(Peer(Arc::clone(&raft)))).expect("there is room");
        raft
    };
    (0..3).map(one).collect()
}

async fn submit(peers: &[Arc<kv_raft::Raft>], command: &str) -> (usize, u64) {
    for _ in 0..500 {
        if let Some(place) = peers.iter().find_map(|peer| peer.submit(command)) {
            return place;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no peer leads after 5 s");
}

async fn committed(peers: &[Arc<kv_raft::Raft>], index: usize, command: &str) {
    for _ in 0..500 {
        if peers.iter().all(|peer| peer.get_committed(index).as_deref() == Some(command)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{command} is not committed everywhere after 5 s: {peers:?}");
}

#[test]
fn peers_with_files_agree_and_come_back_with_what_they_agreed_on() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let network = Network::new(Model::Plain, 3, RealTime::here(1));
        let peers = start(&network, folder.path());
        let (index, term) = submit(&peers, "einè").await;
        assert_eq!((index, term >= 1), (1, true), "the first command has index 1");
        committed(&peers, 1, "einè").await;
        assert_eq!(peers[0].get_committed(2), None);
        peers.iter().for_each(|peer| peer.kill());
        assert_eq!(peers[0].submit("late"), None, "a killed peer takes nothing");

        let peers = start(&network, folder.path());
        let (index, later) = submit(&peers, "two").await;
        assert!(index == 2 && later > term, "{index} {later}");
        committed(&peers, 2, "two").await;
        committed(&peers, 1, "einè").await;
        peers.iter().for_each(|peer| peer.kill());
    });
    let file = folder.path().join("peer-1");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &text[..text.len() - 1]).unwrap();
    let words = Persister::new(&file).try_read().unwrap_err().to_string();
    assert!(words.contains("peer-1 is damaged"), "{words}");
}

#[test]
fn the_three_methods_answer_at_once_inside_and_outside_of_an_executor() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let peers = runtime.block_on(async {
        let network = Network::new(Model::Plain, 3, RealTime::here(1));
        start(&network, folder.path())
    });
    // Nothing runs meanwhile, and nobody waits.
    assert!(peers.iter().all(|peer| peer.get_state() == (0, false)));
    assert!(peers.iter().all(|peer| peer.submit("early").is_none()));
    assert!(peers.iter().all(|peer| peer.get_committed(1).is_none()));
    runtime.block_on(async {
        while !peers.iter().any(|peer| peer.get_state().1) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let (index, term) = peers.iter().find_map(|peer| peer.submit("one")).expect("one leads");
    assert!(index == 1 && term > 0);
    runtime.block_on(committed(&peers, 1, "one"));
    assert_eq!(peers[2].get_committed(1).as_deref(), Some("one"));
}

/// What was said of a number that no peer has.
fn refused<T>(make: impl FnOnce() -> T) -> String {
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(make));
    let Err(panic) = made else { panic!("there is no such peer") };
    panic.downcast_ref::<String>().expect("words").clone()
}

#[test]
fn a_number_that_no_peer_has_is_told_by_every_face() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _inside = runtime.enter();
    let words = "there is no peer 3: this cluster has 3 peers, and they are numbered from 0";
    let network = Network::new(Model::Plain, 3, RealTime::here(1));
    let ends = || network.ends_of(0).unwrap();
    let said = refused(|| {
        let clients = ends().iter().map(|peer| Arc::new(RpcClient::new(peer.clone()))).collect();
        let persister = Arc::new(Persister::over(persister::Persister::new()));
        kv_raft::Raft::new(3, clients, persister)
    });
    assert!(said.contains(words), "{said}");
    let said = refused(|| {
        let clients = ends().iter().map(|peer| course::ClientEnd::new(peer.clone())).collect();
        course::make(clients, 3, persister::Persister::new(), unbounded_channel().0)
    });
    assert!(said.contains(words), "{said}");
    let clients = || -> Vec<RaftClient> {
        let network = dss::labrpc::Network::on(RealTime::here(1));
        (0..3).map(|to| RaftClient::new(network.create_client(format!("to {to}")))).collect()
    };
    let kept = || Box::new(SimplePersister::new());
    let said = refused(|| dss::raft::Raft::new(clients(), 3, kept(), unbounded_channel().0));
    assert!(said.contains(words), "{said}");
    let said = refused(|| dss::kvraft::server::KvServer::new(clients(), 3, kept(), None));
    assert!(said.contains(words), "{said}");
}

struct Answers(Arc<course::Raft>);

impl Handler for Answers {
    fn handle(self: Arc<Self>, method: String, args: Vec<u8>) -> BoxFuture<Vec<u8>> {
        Box::pin(async move {
            match method.as_str() {
                "request_vote" => self.0.request_vote(args).await,
                _ => self.0.append_entries(args).await,
            }
        })
    }
}

type Course = (Arc<course::Raft>, UnboundedReceiver<course::ApplyMsg>);

#[test]
fn the_course_face_starts_applies_accounts_and_is_killed() {
    let time = VirtualTime::new(3);
    let context = time.context();
    time.block_on(async move {
        let network = Network::new(Model::LabRpc(Lost::Soon), 3, context.clone());
        let make = |me: usize| -> Course {
            let ends = network.ends_of(me).unwrap();
            let ends = ends.iter().map(|peer| course::ClientEnd::new(peer.clone())).collect();
            let (apply_ch, applied) = unbounded_channel();
            let raft = course::make_on(&context, ends, me, persister::Persister::new(), apply_ch);
            network.add(me, Arc::new(Answers(Arc::clone(&raft)))).unwrap();
            (raft, applied)
        };
        let mut peers: Vec<Course> = (0..3).map(make).collect();
        context.sleep(Duration::from_secs(2)).await;
        let leads = |peer: &&Course| peer.0.get_state().1;
        let leader = Arc::clone(&peers.iter().find(leads).expect("somebody leads").0);
        let term = leader.get_state().0;
        let follower = peers.iter().find(|peer| !peer.0.get_state().1).expect("some follow");
        assert!(!follower.0.start(b"no").2);
        let commands: [&[u8]; 2] = [b"one", b"two"];
        for (index, command) in (1..).zip(commands) {
            assert_eq!(leader.start(command), (index, term, true));
        }
        for (_, applied) in &mut peers {
            for (index, command) in (1..).zip(commands) {
                let msg = applied.recv().await.expect("it is applied on every peer");
                assert!(msg.command_valid && msg.command_term == term, "{msg:?}");
                assert_eq!((msg.command_index, &*msg.command), (index, command));
            }
        }
        context.sleep(Duration::from_secs(1)).await;
        let counts = network.counts();
        let (requests, bytes) = peers
            .iter()
            .fold((0, 0), |sum, peer| (sum.0 + peer.0.requests(), sum.1 + peer.0.bytes()));
        assert_eq!((requests, bytes), (counts.requests, counts.bytes), "two accounts of the same");
        assert!(requests > 10 && bytes > requests, "{requests} {bytes}");
        assert!(!leader.killed());
        leader.kill();
        assert!(leader.killed() && !leader.start(b"late").2);
        for (peer, applied) in &mut peers {
            peer.kill();
            assert_eq!(applied.recv().await, None, "the channel ends");
        }
    });
}
