//! A network in memory: a channel per node, and what befalls messages between nodes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{Message, MessagingError, NodeMessenger, NodeReceiver};
use crate::context::Context;

/// What befalls messages between nodes. At first nothing does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// So many of a hundred messages are lost.
    pub loss_percent: u64,
    /// No message arrives sooner.
    pub delay_min: Duration,
    /// Every message has arrived by then, so that messages overtake each other.
    pub delay_max: Duration,
}

/// See the module. Clones are the same network.
#[derive(Clone)]
pub struct Network(Arc<Shared>);

struct Shared {
    context: Context,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    channels: BTreeMap<u64, UnboundedSender<Message>>,
    /// The side of each node while the network is cut.
    sides: BTreeMap<u64, usize>,
    conditions: Conditions,
    sent: u64,
    lost: u64,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Network")
            .field("nodes", &state.channels.len())
            .field("conditions", &state.conditions)
            .finish_non_exhaustive()
    }
}

impl Network {
    /// A network without nodes, on which nothing is lost.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self(Arc::new(Shared { context, state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a node, in place of one with its number: what sends for it, and what it receives by.
    #[must_use]
    pub fn add_node(&self, node: u64) -> (NodeMessenger, NodeReceiver) {
        let (sender, receiver) = unbounded_channel();
        self.state().channels.insert(node, sender);
        (NodeMessenger::new(node, self.clone()), NodeReceiver::new(receiver))
    }

    /// Sets what befalls messages from now on.
    pub fn set_conditions(&self, conditions: Conditions) {
        self.state().conditions = conditions;
    }

    /// Cuts the network into sides; nodes that are on none are alone.
    pub fn partition(&self, sides: &[&[u64]]) {
        let mut state = self.state();
        let numbers: Vec<u64> = state.channels.keys().copied().collect();
        let alone =
            numbers.into_iter().enumerate().map(|(place, node)| (node, sides.len() + place));
        state.sides = alone.collect();
        for (side, nodes) in sides.iter().enumerate() {
            state.sides.extend(nodes.iter().map(|node| (*node, side)));
        }
    }

    /// Mends every cut.
    pub fn heal(&self) {
        self.state().sides.clear();
    }

    /// Messages between nodes so far, and how many of them were lost.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let state = self.state();
        (state.sent, state.lost)
    }

    pub(super) fn nodes(&self) -> Vec<u64> {
        self.state().channels.keys().copied().collect()
    }

    /// Puts a message into a node's channel, whatever the conditions.
    pub(in crate::simulated) fn deliver(
        &self,
        to: u64,
        message: Message,
    ) -> Result<(), MessagingError> {
        let channel = self.state().channels.get(&to).cloned();
        let channel = channel.ok_or(MessagingError::NodeNotFound(to))?;
        channel.send(message).map_err(|_| MessagingError::Closed(to))
    }

    /// Sends a message from one node to another. A message that the conditions take is no error: its
    /// sender cannot know.
    pub(super) fn send(&self, from: u64, to: u64, message: Message) -> Result<(), MessagingError> {
        let context = &self.0.context;
        let delay = {
            let mut state = self.state();
            if !state.channels.contains_key(&to) {
                return Err(MessagingError::NodeNotFound(to));
            }
            state.sent += 1;
            let is_cut = state.sides.get(&from) != state.sides.get(&to);
            if is_cut || context.chance(state.conditions.loss_percent) {
                state.lost += 1;
                return Ok(());
            }
            let Conditions { delay_min, delay_max, .. } = state.conditions;
            delay_min + context.random_time(delay_max.saturating_sub(delay_min))
        };
        if delay.is_zero() {
            return self.deliver(to, message);
        }
        let network = self.clone();
        let arriving = context.sleep(delay);
        context.spawn(async move {
            arriving.await;
            // The node may have stopped meanwhile, like any that a message comes too late for.
            network.deliver(to, message).unwrap_or_default();
        });
        Ok(())
    }
}
