//! A node at work: gives its core messages, timer events and commands, and does what it asks for.
//!
//! What has to be kept is kept before anything leaves. A message that cannot leave counts as lost: the
//! core sends again by time. A machine that panics stops its node at that entry; a channel that ends
//! stops it, too.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{self, Either};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::{ConsensusError, ConsensusEvent, LogEntry, NodeCore, NodeState, NodeTimer, TimerType};
use crate::context::Context;
use crate::engine::{APPEND_ENTRIES, INSTALL_SNAPSHOT, Outputs, REQUEST_VOTE, Request};
use crate::persister::Persister;
use crate::raft::{ApplyMsg, Start, Timing};
use crate::simulated::{CommandReply, Message, NodeMessenger, NodeReceiver, StateMachine};

/// What can be seen of a node from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Its number.
    pub node: u64,
    /// Its term.
    pub term: u64,
    /// What it is.
    pub state: NodeState,
    /// The last entry that it executed.
    pub last_applied: u64,
    /// The state of its machine.
    pub machine: u64,
    /// Whether it runs, and why it does not if something went wrong.
    pub running: Result<bool, ConsensusError>,
}

/// See the module.
#[derive(Debug)]
pub struct NodeServer {
    core: NodeCore,
    timer: NodeTimer,
    machine: Box<dyn StateMachine>,
    messenger: NodeMessenger,
    persister: Arc<Persister>,
    context: Context,
    events: UnboundedSender<ConsensusEvent>,
    view: Arc<Mutex<NodeView>>,
    waiting: BTreeMap<u64, (Start, oneshot::Sender<CommandReply>)>,
    /// The last term of which an election was told.
    told_term: u64,
}

impl NodeServer {
    /// A node that has not begun.
    ///
    /// # Errors
    ///
    /// [`ConsensusError::Halted`] if the persister has what no node kept.
    pub fn new(
        peers: usize,
        timing: Timing,
        machine: Box<dyn StateMachine>,
        messenger: NodeMessenger,
        persister: Arc<Persister>,
        surroundings: (Context, UnboundedSender<ConsensusEvent>),
    ) -> Result<Self, ConsensusError> {
        let (context, events) = surroundings;
        let (node, seed, now) = (messenger.node_id(), context.random(), context.now());
        let core = NodeCore::new(node, peers, timing, seed, now, &persister.state())?;
        let view = NodeView {
            node,
            term: core.current_term(),
            state: core.state(),
            last_applied: 0,
            machine: machine.get_state(),
            running: Ok(true),
        };
        Ok(Self {
            core,
            timer: NodeTimer::new(context.clone()),
            machine,
            messenger,
            persister,
            context,
            events,
            view: Arc::new(Mutex::new(view)),
            waiting: BTreeMap::new(),
            told_term: 0,
        })
    }

    /// What can be seen of it, also after it has stopped.
    #[must_use]
    pub fn view(&self) -> Arc<Mutex<NodeView>> {
        Arc::clone(&self.view)
    }

    /// Works until it is stopped, or cannot go on.
    ///
    /// # Errors
    ///
    /// Why it cannot go on; its view says so, too.
    pub async fn run(mut self, mut receiver: NodeReceiver) -> Result<(), ConsensusError> {
        let outcome = self.work(&mut receiver).await;
        self.show(outcome.clone().map(|()| false));
        outcome
    }

    async fn work(&mut self, receiver: &mut NodeReceiver) -> Result<(), ConsensusError> {
        self.settle()?;
        loop {
            let next = {
                let (message, due) = (receiver.receive(), self.timer.wait_for_event());
                match future::select(std::pin::pin!(message), std::pin::pin!(due)).await {
                    Either::Left((message, _)) => Either::Left(message?),
                    Either::Right((timer, _)) => Either::Right(timer),
                }
            };
            match next {
                Either::Left(Message::Stop) => return Ok(()),
                Either::Left(message) => self.process_message(message)?,
                Either::Right(timer) => self.handle_timer(timer),
            }
            self.settle()?;
        }
    }

    /// Takes one message.
    ///
    /// # Errors
    ///
    /// Why this node cannot go on.
    pub fn process_message(&mut self, message: Message) -> Result<(), ConsensusError> {
        match message {
            Message::VoteRequest { from, number, body } => {
                self.handle_request_vote(from, number, &body)?;
            }
            Message::AppendEntries { from, number, body } => {
                self.handle_append_entries(from, number, &body)?;
            }
            Message::InstallSnapshot { from, number, body } => {
                let body = self.answer(INSTALL_SNAPSHOT, &body)?;
                self.send(from, |from| Message::SnapshotResponse { from, number, body });
            }
            Message::VoteResponse { number, body, .. }
            | Message::AppendResponse { number, body, .. }
            | Message::SnapshotResponse { number, body, .. } => {
                self.core.handle_response(self.context.now(), number, Some(&body));
            }
            Message::StartAppendEntriesCmd { command, reply } => {
                self.handle_command(command, reply);
            }
            Message::Stop => {}
        }
        Ok(())
    }

    /// Answers a candidate.
    ///
    /// # Errors
    ///
    /// Why this node cannot go on.
    pub fn handle_request_vote(
        &mut self,
        from: u64,
        number: u64,
        body: &[u8],
    ) -> Result<(), ConsensusError> {
        let body = self.answer(REQUEST_VOTE, body)?;
        self.send(from, |from| Message::VoteResponse { from, number, body });
        Ok(())
    }

    /// Answers a leader.
    ///
    /// # Errors
    ///
    /// Why this node cannot go on.
    pub fn handle_append_entries(
        &mut self,
        from: u64,
        number: u64,
        body: &[u8],
    ) -> Result<(), ConsensusError> {
        let body = self.answer(APPEND_ENTRIES, body)?;
        self.send(from, |from| Message::AppendResponse { from, number, body });
        Ok(())
    }

    /// The answer to a request, once what it rests on is kept.
    fn answer(&mut self, method: &str, body: &[u8]) -> Result<Vec<u8>, ConsensusError> {
        let answer = self.core.handle_request(self.context.now(), method, body);
        self.perform()?;
        Ok(answer)
    }

    /// Does what the timer is due for.
    pub fn handle_timer(&mut self, timer: TimerType) {
        tracing::debug!(node = self.core.node_id(), ?timer, "timer is due");
        self.core.tick(self.context.now());
    }

    fn handle_command(&mut self, command: u64, reply: oneshot::Sender<CommandReply>) {
        let node = self.core.node_id();
        match self.core.start(self.context.now(), command) {
            Some(start) => {
                tracing::debug!(node, command, index = start.index, "command taken");
                self.waiting.insert(start.index, (start, reply));
            }
            // Whoever asked may have given up.
            None => drop(reply.send(Err(ConsensusError::NotLeader(node)))),
        }
    }

    fn send(&self, to: u64, message: impl FnOnce(u64) -> Message) -> bool {
        let node = self.core.node_id();
        let sent = self.messenger.send_to(to, message(node));
        if let Err(error) = sent {
            tracing::warn!(node, to, %error, "a message counts as lost");
        }
        sent.is_ok()
    }

    /// Does what the core asks for, and sets the timer.
    fn settle(&mut self) -> Result<(), ConsensusError> {
        self.core.flush(self.context.now());
        self.perform()?;
        self.tell_leadership();
        let is_leader = self.core.state() == NodeState::Leader;
        let kind = if is_leader { TimerType::Heartbeat } else { TimerType::Election };
        self.timer.reset(kind, self.core.next_deadline());
        self.show(Ok(true));
        Ok(())
    }

    /// Keeps, sends and executes what the core asks for, in this order.
    fn perform(&mut self) -> Result<(), ConsensusError> {
        let node = self.core.node_id();
        let Outputs { save, requests, apply } = self.core.drain();
        if let Some(saved) = save {
            self.persister.save_state(saved.state);
        }
        let mut unsent = Vec::new();
        for Request { peer, method, args: body, ticket } in requests {
            let number = self.core.asking(ticket);
            let is_sent = self.send(peer as u64, |from| match method {
                REQUEST_VOTE => Message::VoteRequest { from, number, body },
                INSTALL_SNAPSHOT => Message::InstallSnapshot { from, number, body },
                _ => Message::AppendEntries { from, number, body },
            });
            unsent.extend((!is_sent).then_some(number));
        }
        for number in unsent {
            self.core.handle_response(self.context.now(), number, None);
        }
        for msg in apply {
            // Without snapshots there is nothing else.
            let ApplyMsg::Command { data, index, term } = msg else { continue };
            let bytes = data.try_into().expect("every command is a number");
            self.execute(index, LogEntry { term, command: u64::from_le_bytes(bytes) })?;
        }
        let halted = self.core.halted().map(str::to_owned);
        halted.map_or(Ok(()), |why| Err(ConsensusError::Halted { node, why }))
    }

    fn execute(&mut self, index: u64, entry: LogEntry) -> Result<(), ConsensusError> {
        let node = self.core.node_id();
        let machine = &mut self.machine;
        let executed = catch_unwind(AssertUnwindSafe(|| machine.apply(entry.command)));
        if let Err(panic) = executed {
            let why = words_of(&*panic);
            tracing::error!(node, index, why, "the state machine failed");
            return Err(ConsensusError::MachineFailed { node, index, why });
        }
        self.core.applied(index, entry);
        let (command, state) = (entry.command, self.machine.get_state());
        tracing::debug!(node, index, command, state, "entry executed");
        // Nobody has to watch.
        self.events
            .send(ConsensusEvent::EntryCommitted { node, index, command, state })
            .unwrap_or_default();
        if let Some((start, reply)) = self.waiting.remove(&index) {
            let is_ours = start.term == entry.term;
            let outcome =
                if is_ours { Ok(index) } else { Err(ConsensusError::LeadershipLost(node)) };
            drop(reply.send(outcome));
        }
        Ok(())
    }

    fn tell_leadership(&mut self) {
        let (node, term) = (self.core.node_id(), self.core.current_term());
        let is_leader = self.core.state() == NodeState::Leader;
        if is_leader && self.told_term != term {
            self.told_term = term;
            tracing::info!(node, term, "leader elected");
            self.events
                .send(ConsensusEvent::LeaderElected { leader: node, term })
                .unwrap_or_default();
        }
        let is_lost = |start: &Start| start.term != term || !is_leader;
        let lost: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, (start, _))| is_lost(start))
            .map(|(at, _)| *at)
            .collect();
        for index in lost {
            if let Some((_, reply)) = self.waiting.remove(&index) {
                drop(reply.send(Err(ConsensusError::LeadershipLost(node))));
            }
        }
    }

    fn show(&self, running: Result<bool, ConsensusError>) {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.term = self.core.current_term();
        view.state = self.core.state();
        view.last_applied = self.core.last_applied();
        view.machine = self.machine.get_state();
        view.running = running;
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().cloned();
    let words = words.or_else(|| panic.downcast_ref::<&str>().map(|&words| words.to_owned()));
    words.unwrap_or_else(|| "without words".to_owned())
}
