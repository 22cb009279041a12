//! Two nodes and a loop: no thread, no clock, no socket. The loop plays disk, network and time.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use quorate_core::{
    BootCounter, Config, Effect, EntryId, HardState, Index, Input, Instant, Membership, NodeId,
    Raft, Start,
};

/// Drives them until an entry is committed on both.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ids: Vec<NodeId> = [1, 2].into_iter().filter_map(NodeId::new).collect();
    let mut nodes = Vec::new();
    for id in &ids {
        nodes.push(Raft::new(Start {
            id: *id,
            boot: BootCounter(1), // durable before the first message
            config: Config::default(),
            seed: id.get(),
            now: Instant::ZERO,
            hard_state: HardState::default(),
            base: EntryId::ZERO,
            membership: Membership::of_voters(ids.clone()),
            runs: Vec::new(),
            commit: Index::ZERO,
            snapshot: None,
        })?);
    }

    let mut now = Instant::ZERO;
    let mut inputs: Vec<(NodeId, Input)> = Vec::new();
    let mut proposed = None;
    while nodes.iter().any(|node| proposed.is_none_or(|id: EntryId| node.commit() < id.index)) {
        // Nothing to do: time passes until the first deadline, and that node's timer fires.
        if inputs.is_empty() {
            let due = nodes.iter().filter_map(|node| Some((node.next_deadline()?, node.id())));
            let (at, id) = due.min().ok_or("some node waits for something")?;
            now = now.max(at);
            inputs.push((id, Input::Timer));
        }
        let (id, input) = inputs.remove(0);
        println!("{now} {id} <- {input}");
        let node = nodes.iter_mut().find(|node| node.id() == id).ok_or("it is one of them")?;
        let mut effects = Vec::new();
        node.handle(now, input, &mut effects);
        if node.is_leader() && proposed.is_none() {
            proposed = Some(node.propose(100)?);
        }
        // The end of the wake-up: what was proposed becomes a write and an append.
        node.handle(now, Input::Flush, &mut effects);
        for effect in effects {
            println!("{now} {id} -> {effect}");
            match effect {
                // This disk is instant. A real one answers later, and a message whose `after` names
                // this token waits until then.
                Effect::Persist(persist) => inputs.push((id, Input::Persisted(persist.token))),
                Effect::Send(send) => {
                    inputs.push((send.envelope.to, Input::Message(send.envelope)));
                }
                Effect::Apply { last, .. } => inputs.push((id, Input::Applied(last))),
                _ => {}
            }
        }
    }
    for node in &nodes {
        println!("{}", node.status());
    }
    Ok(())
}
