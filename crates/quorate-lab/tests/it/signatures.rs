//! The interfaces of the four documents, signature by signature: what is not as a document has it, does
//! not compile here. What a signature cannot say, is said where it is called.
#![expect(dead_code, clippy::type_complexity, reason = "these need to compile, and nothing more")]

use std::fmt::Debug;
use std::sync::Arc;

use quorate_lab::persister;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;

/// The async Rust lab: `src/kv_raft/raft.rs` and what it is given.
mod async_rust {
    use quorate_lab::kv_raft::{Persister, Raft, RpcClient, Server};

    use super::*;

    const NEW: fn(usize, Vec<Arc<RpcClient>>, Arc<Persister>) -> Arc<Raft> = Raft::new;
    const GET_STATE: fn(&Raft) -> (u64, bool) = Raft::get_state;
    const SUBMIT: fn(&Raft, &str) -> Option<(usize, u64)> = Raft::submit;
    const GET_COMMITTED: fn(&Raft, usize) -> Option<String> = Raft::get_committed;
    const SAVE: fn(&Persister, &str) = Persister::save;
    const READ: fn(&Persister) -> String = Persister::read;

    #[derive(Serialize)]
    struct Args;

    #[derive(Deserialize)]
    struct Reply;

    /// How a peer calls another.
    struct Own {
        peers: Vec<Arc<RpcClient>>,
    }

    impl Own {
        async fn ask(&self, i: usize, args: Args) -> Option<Reply> {
            self.peers[i].call::<Args, Reply>("request_vote", &args).await
        }
    }

    impl Server for Own {
        async fn dispatch(&self, name: &str, args: String) -> String {
            drop((name.to_owned(), args));
            String::new()
        }
    }

    async fn dispatch(raft: &Raft) -> String {
        raft.dispatch("append_entries", String::new()).await
    }
}

/// The dss labs: Raft, its service and its persister; the key-value service; labrpc and labcodec.
mod dss {
    use quorate_lab::dss::kvraft::client::Clerk;
    use quorate_lab::dss::kvraft::proto::{
        GetReply, GetRequest, KvClient, KvService, PutAppendReply, PutAppendRequest, add_kv_service,
    };
    use quorate_lab::dss::kvraft::server::{self, KvServer};
    use quorate_lab::dss::labcodec::{self, Message};
    use quorate_lab::dss::labrpc::{self, Client, Network, Server, ServerBuilder};
    use quorate_lab::dss::raft::errors::{Error, Result};
    use quorate_lab::dss::raft::persister::Persister;
    use quorate_lab::dss::raft::proto::{
        AppendEntriesArgs, AppendEntriesReply, InstallSnapshotArgs, InstallSnapshotReply,
        RequestVoteArgs, RequestVoteReply,
    };
    use quorate_lab::dss::raft::{
        ApplyMsg, Node, Raft, RaftClient, RaftService, State, add_raft_service,
    };

    use super::*;

    type New = fn(Vec<RaftClient>, usize, Box<dyn Persister>, UnboundedSender<ApplyMsg>) -> Raft;
    const NEW: New = Raft::new;
    const NODE: fn(Raft) -> Node = Node::new;
    const TERM: fn(&Node) -> u64 = Node::term;
    const IS_LEADER: fn(&Node) -> bool = Node::is_leader;
    const GET_STATE: fn(&Node) -> State = Node::get_state;
    const KILL: fn(&Node) = Node::kill;
    const COND: fn(&Node, u64, u64, &[u8]) -> bool = Node::cond_install_snapshot;
    const SNAPSHOT: fn(&Node, u64, &[u8]) = Node::snapshot;

    fn start<M: Message>(node: &Node, command: &M) -> Result<(u64, u64)> {
        node.clone().start(command)
    }

    fn state(State { term, is_leader }: State) -> (u64, bool) {
        (term, is_leader)
    }

    fn error(error: &Error) -> bool {
        match error {
            Error::Encode(_) | Error::Decode(_) | Error::Rpc(_) => false,
            Error::NotLeader => true,
        }
    }

    fn applied(msg: ApplyMsg) -> (Vec<u8>, Option<u64>, u64) {
        match msg {
            ApplyMsg::Command { data, index } => (data, None, index),
            ApplyMsg::Snapshot { data, term, index } => (data, Some(term), index),
        }
    }

    struct Own;

    impl Persister for Own {
        fn raft_state(&self) -> Vec<u8> {
            Vec::new()
        }

        fn save_raft_state(&self, _: Vec<u8>) {}

        fn save_state_and_snapshot(&self, _: Vec<u8>, _: Vec<u8>) {}

        fn snapshot(&self) -> Vec<u8> {
            Vec::new()
        }
    }

    impl RaftService for Own {
        async fn request_vote(&self, _: RequestVoteArgs) -> labrpc::Result<RequestVoteReply> {
            Ok(RequestVoteReply::default())
        }

        async fn append_entries(&self, _: AppendEntriesArgs) -> labrpc::Result<AppendEntriesReply> {
            Ok(AppendEntriesReply::default())
        }

        async fn install_snapshot(
            &self,
            _: InstallSnapshotArgs,
        ) -> labrpc::Result<InstallSnapshotReply> {
            Ok(InstallSnapshotReply::default())
        }
    }

    const SERVER: fn(Vec<RaftClient>, usize, Box<dyn Persister>, Option<usize>) -> KvServer =
        KvServer::new;
    const KV_NODE: fn(KvServer) -> server::Node = server::Node::new;
    const KV_KILL: fn(&server::Node) = server::Node::kill;
    const KV_TERM: fn(&server::Node) -> u64 = server::Node::term;
    const KV_IS_LEADER: fn(&server::Node) -> bool = server::Node::is_leader;
    const KV_GET_STATE: fn(&server::Node) -> State = server::Node::get_state;
    const CLERK: fn(String, Vec<KvClient>) -> Clerk = Clerk::new;
    const GET: fn(&Clerk, String) -> String = Clerk::get;
    const PUT: fn(&Clerk, String, String) = Clerk::put;
    const APPEND: fn(&Clerk, String, String) = Clerk::append;

    fn fields(server: &KvServer, clerk: &Clerk) -> (Node, String) {
        (server.rf.clone(), clerk.name.clone())
    }

    impl KvService for Own {
        async fn get(&self, _: GetRequest) -> labrpc::Result<GetReply> {
            let [err, value] = [const { String::new() }; 2];
            Ok(GetReply { wrong_leader: true, err, value })
        }

        async fn put_append(&self, _: PutAppendRequest) -> labrpc::Result<PutAppendReply> {
            Ok(PutAppendReply { wrong_leader: true, err: String::new() })
        }
    }

    // `labrpc::service!` is used as the labs have it, in the documentation of `labrpc`.
    fn network(raft: Node, kv: server::Node) -> labrpc::Result<(RaftClient, Server)> {
        let mut builder = ServerBuilder::new("server".to_owned());
        add_raft_service(raft, &mut builder)?;
        add_kv_service(kv, &mut builder)?;
        let network = Network::new();
        let server = builder.build();
        network.add_server(server.clone());
        let client: Client = network.create_client("client".to_owned());
        network.connect("client", "server");
        network.enable("client", true);
        Ok((RaftClient::new(client), server))
    }

    fn codec<M: Message>(message: &M) -> Option<M> {
        let mut buffer = Vec::new();
        labcodec::encode(message, &mut buffer).ok()?;
        labcodec::decode(&buffer).ok()
    }
}

/// The Go course lab.
mod course {
    use quorate_lab::course::{ApplyMsg, ClientEnd, Raft, make};

    use super::*;

    type Make = fn(
        Vec<ClientEnd>,
        usize,
        Arc<persister::Persister>,
        UnboundedSender<ApplyMsg>,
    ) -> Arc<Raft>;
    const MAKE: Make = make;
    const START: fn(&Raft, &[u8]) -> (u64, u64, bool) = Raft::start;
    const GET_STATE: fn(&Raft) -> (u64, bool) = Raft::get_state;
    const KILL: fn(&Raft) = Raft::kill;
    const KILLED: fn(&Raft) -> bool = Raft::killed;

    async fn handlers(raft: &Raft, args: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
        (raft.request_vote(args.clone()).await, raft.append_entries(args).await)
    }

    fn applied(msg: &ApplyMsg) -> (bool, &[u8], u64) {
        (msg.command_valid, &msg.command, msg.command_index)
    }
}

/// The simulated Raft of isSerge.
mod simulated {
    use quorate_lab::simulated::{
        Config, ConsensusError, ConsensusEvent, LogEntry, Message, MessagingError, Network,
        NodeCore, NodeMessenger, NodeReceiver, NodeServer, NodeTimer, StateMachine, TimerType,
    };

    use super::*;

    #[derive(Debug)]
    struct Own(u64);

    impl StateMachine for Own {
        fn apply(&mut self, command: u64) {
            self.0 = command;
        }

        fn get_state(&self) -> u64 {
            self.0
        }
    }

    fn is_shared<T: Send + Sync + Debug + ?Sized>() {}
    const SHARED: fn() = is_shared::<dyn StateMachine>;

    const PROCESS: fn(&mut NodeServer, Message) -> Result<(), ConsensusError> =
        NodeServer::process_message;
    type Handle = fn(&mut NodeServer, u64, u64, &[u8]) -> Result<(), ConsensusError>;
    const APPEND: Handle = NodeServer::handle_append_entries;
    const VOTE: Handle = NodeServer::handle_request_vote;
    const TIMER: fn(&mut NodeServer, TimerType) = NodeServer::handle_timer;
    const TERM: fn(&NodeCore) -> u64 = NodeCore::current_term;
    const ADD: fn(&Network, u64) -> (NodeMessenger, NodeReceiver) = Network::add_node;
    const SEND_TO: fn(&NodeMessenger, u64, Message) -> Result<(), MessagingError> =
        NodeMessenger::send_to;
    const BROADCAST: fn(&NodeMessenger, &Message) -> Result<(), MessagingError> =
        NodeMessenger::broadcast;
    const SEND_SELF: fn(&NodeMessenger, Message) -> Result<(), MessagingError> =
        NodeMessenger::send_self;

    async fn wait(timer: &NodeTimer) -> TimerType {
        timer.wait_for_event().await
    }

    fn entry(LogEntry { term, command }: LogEntry) -> (u64, u64) {
        (term, command)
    }

    fn name(message: &Message) -> &'static str {
        match message {
            Message::VoteRequest { .. } => "VoteRequest",
            Message::VoteResponse { .. } => "VoteResponse",
            Message::AppendEntries { .. } => "AppendEntries",
            Message::AppendResponse { .. } => "AppendResponse",
            Message::StartAppendEntriesCmd { .. } => "StartAppendEntriesCmd",
            // What that project does not have: snapshots, and crashes.
            Message::InstallSnapshot { .. } | Message::SnapshotResponse { .. } | Message::Stop => {
                ""
            }
        }
    }

    fn event(event: ConsensusEvent) -> u64 {
        match event {
            ConsensusEvent::LeaderElected { leader, .. } => leader,
            ConsensusEvent::EntryCommitted { index, .. } => index,
        }
    }

    fn times(config: &Config) -> [std::time::Duration; 3] {
        [config.heartbeat_interval, config.election_timeout_min, config.election_timeout_max]
    }
}
