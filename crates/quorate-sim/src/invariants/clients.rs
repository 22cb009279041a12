//! What clients were told, against the order in which commands were committed: linearizability in
//! linear time, for any state machine, because the order is known.
//!
//! - A reply is the one that the committed command gave, and goes to the one who asked for it.
//! - A command is executed once at most for every time that somebody asked for it, and never for a
//!   request that was refused.
//! - A command of a session is executed at one index, on every node, however often it was sent; all
//!   who sent it are told the same.
//! - Whoever asks after somebody was told of an entry comes after that entry.

use std::collections::BTreeMap;

use quorate_core::Index;

use super::{Broken, Facts};

/// Requests and what became of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients {
    /// Requests that may still end: fingerprint of the command, and the last entry that anybody
    /// had been told of when it came.
    requests: BTreeMap<u64, (u64, u64)>,
    /// How often each command may be executed, by its fingerprint.
    asked: BTreeMap<u64, u64>,
    /// How often each was.
    executed: BTreeMap<u64, u64>,
    /// Fingerprints of the commands that were executed, by the index of their entry.
    commands: BTreeMap<u64, u64>,
    /// To which request each entry was the answer; of several that say the same, the first.
    answered: BTreeMap<u64, u64>,
    /// Requests that say again what an earlier one said: that one.
    again: BTreeMap<u64, u64>,
    /// What each first one said, and the last entry that anybody had been told of when it came.
    firsts: BTreeMap<u64, (u64, u64)>,
    /// At which index each sequence of each session was executed.
    sequences: BTreeMap<(u64, u32), u64>,
    /// The last entry that anybody was told of.
    told: u64,
    /// The latest request that asked for a command, and the latest that was executed.
    asked_last: u64,
    executed_last: u64,
}

impl Facts {
    /// A client asks for a command.
    pub(crate) fn called(&mut self, request: u64, command: u64) {
        let clients = &mut self.clients;
        clients.asked_last = clients.asked_last.max(request);
        clients.requests.insert(request, (command, clients.told));
        *clients.asked.entry(command).or_default() += 1;
    }

    /// A client asks for a command of a session, or asks once more for the one that it asked for
    /// with request `first`.
    pub(crate) fn called_in_session(&mut self, request: u64, first: u64, command: u64) {
        if request == first {
            self.called(request, command);
            self.clients.firsts.insert(first, (command, self.clients.told));
        } else if let Some(said) = self.clients.firsts.get(&first).copied() {
            self.clients.requests.insert(request, said);
            self.clients.asked_last = self.clients.asked_last.max(request);
        }
        self.clients.again.insert(request, first);
    }

    /// Whether a request is of a session.
    pub(crate) fn is_of_session(&self, request: u64) -> bool {
        self.clients.again.contains_key(&request)
    }

    /// One of several requests that say the same was not taken; the others may have been.
    pub(crate) fn attempt_refused(&mut self, request: u64) {
        self.clients.requests.remove(&request);
    }

    /// None of the requests that say what `first` said was taken.
    ///
    /// # Errors
    ///
    /// When one was.
    pub(crate) fn refused_in_session(&mut self, first: u64) -> Result<(), Broken> {
        let Some((command, told)) = self.clients.firsts.get(&first).copied() else {
            return Ok(());
        };
        self.clients.requests.insert(first, (command, told));
        self.refused(first)
    }

    /// A node executed a command of a session.
    ///
    /// # Errors
    ///
    /// When it, or another, had executed the same one as another entry.
    pub(crate) fn executed_in_session(
        &mut self,
        (session, sequence): (u64, u32),
        index: Index,
    ) -> Result<(), Broken> {
        let first = *self.clients.sequences.entry((session, sequence)).or_insert(index.0);
        if first == index.0 {
            return Ok(());
        }
        let what = format!(
            "command {sequence} of session {session} was executed as entry {first} and again as \
             entry {index}"
        );
        Err(Broken::new("a session executes once", what))
    }

    /// A client is told that its command was not executed and never will be.
    ///
    /// # Errors
    ///
    /// When it was.
    pub(crate) fn refused(&mut self, request: u64) -> Result<(), Broken> {
        let Some((command, _)) = self.clients.requests.remove(&request) else { return Ok(()) };
        if let Some(asked) = self.clients.asked.get_mut(&command) {
            *asked -= 1;
        }
        self.executed_once(command)
    }

    /// The command at `index` was executed, for the first time.
    ///
    /// # Errors
    ///
    /// When nobody asked for it, or not as often.
    pub(crate) fn executed(&mut self, index: Index, command: u64) -> Result<(), Broken> {
        self.clients.commands.insert(index.0, command);
        *self.clients.executed.entry(command).or_default() += 1;
        self.executed_once(command)
    }

    fn executed_once(&self, command: u64) -> Result<(), Broken> {
        let executed = self.clients.executed.get(&command).copied().unwrap_or_default();
        let asked = self.clients.asked.get(&command).copied().unwrap_or_default();
        if executed <= asked {
            return Ok(());
        }
        let at = self.clients.commands.iter().filter(|(_, print)| **print == command);
        let at: Vec<String> = at.map(|(index, _)| index.to_string()).collect();
        let what = format!(
            "a command was executed {executed} times, as entries {}; clients asked for it {asked} \
             times without being refused",
            at.join(", ")
        );
        Err(Broken::new("executed once", what))
    }

    /// A client is told that its command was executed at `index`, with this reply.
    ///
    /// # Errors
    ///
    /// When another command was, with another reply, or too early.
    pub(crate) fn acknowledged(
        &mut self,
        request: u64,
        index: u64,
        reply: u64,
    ) -> Result<(), Broken> {
        let Some((command, told)) = self.clients.requests.remove(&request) else { return Ok(()) };
        let broken = |what: String| Err(Broken::new("replies are true", what));
        if self.clients.commands.get(&index) != Some(&command) {
            return broken(format!("request {request} is told of entry {index}, another command"));
        }
        if self.reply(index) != Some(reply) {
            return broken(format!("request {request} is told another reply than entry {index}'s"));
        }
        let first = self.clients.again.get(&request).copied().unwrap_or(request);
        let other = self.clients.answered.insert(index, first);
        if let Some(other) = other.filter(|other| *other != first) {
            return broken(format!("entry {index} answers both requests {other} and {request}"));
        }
        if index <= told {
            let what = format!(
                "request {request} was executed as entry {index}, but when it came somebody had \
                 been told of entry {told}"
            );
            return Err(Broken::new("real time order", what));
        }
        self.clients.told = self.clients.told.max(index);
        self.clients.executed_last = self.clients.executed_last.max(request);
        Ok(())
    }

    /// Whether a request behind this one asked for a command, and whether such a client was told
    /// that it was executed.
    pub(crate) const fn commands_behind(&self, request: u64) -> (bool, bool) {
        (self.clients.asked_last > request, self.clients.executed_last > request)
    }

    /// A query was answered from the state at `index`.
    pub(crate) fn looked(&mut self, index: Index) {
        self.clients.told = self.clients.told.max(index.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::observed::Seen;

    const NODES: usize = 3;

    /// Somebody asked for command 7 as request 1, which was executed as entry 2 with reply 70.
    fn facts() -> Facts {
        let ids = (1..=NODES as u64).filter_map(quorate_core::NodeId::new).collect();
        let mut facts = Facts::new(ids);
        facts.called(1, 7);
        facts.executed(Index(2), 7).unwrap();
        facts.replied(Some(0), Seen { index: 2, reply: 70, state: 0 }).unwrap();
        facts
    }

    fn invariant(outcome: Result<(), Broken>) -> &'static str {
        outcome.map_or_else(|broken| broken.invariant, |()| "nothing")
    }

    #[test]
    fn a_true_reply_is_taken() {
        assert_eq!(facts().acknowledged(1, 2, 70), Ok(()));
    }

    #[test]
    fn a_reply_of_another_command_or_another_reply_is_none() {
        assert_eq!(invariant(facts().acknowledged(1, 2, 71)), "replies are true");
        assert_eq!(invariant(facts().acknowledged(1, 3, 70)), "replies are true");
        let mut facts = facts();
        facts.called(2, 8);
        assert_eq!(invariant(facts.acknowledged(2, 2, 70)), "replies are true");
    }

    #[test]
    fn an_entry_answers_one_request() {
        let mut facts = facts();
        facts.called(2, 7);
        assert_eq!(facts.acknowledged(1, 2, 70), Ok(()));
        assert_eq!(invariant(facts.acknowledged(2, 2, 70)), "replies are true");
    }

    #[test]
    fn a_command_is_executed_as_often_as_it_was_asked_for() {
        assert_eq!(invariant(facts().executed(Index(3), 7)), "executed once");
        assert_eq!(invariant(facts().executed(Index(3), 8)), "executed once");
        let mut facts = facts();
        facts.called(2, 7);
        assert_eq!(facts.executed(Index(3), 7), Ok(()));
        assert_eq!(invariant(facts.executed(Index(4), 7)), "executed once");
    }

    #[test]
    fn a_command_of_a_session_is_executed_at_one_index() {
        let mut facts = facts();
        assert_eq!(facts.executed_in_session((4, 1), Index(2)), Ok(()));
        assert_eq!(facts.executed_in_session((4, 1), Index(2)), Ok(()), "on another node");
        assert_eq!(facts.executed_in_session((4, 2), Index(3)), Ok(()));
        assert_eq!(facts.executed_in_session((5, 1), Index(4)), Ok(()));
        let again = facts.executed_in_session((4, 1), Index(5));
        assert_eq!(invariant(again), "a session executes once");
    }

    #[test]
    fn all_who_send_a_command_of_a_session_are_told_the_same() {
        let mut facts = facts();
        facts.called_in_session(2, 2, 8);
        facts.executed(Index(3), 8).unwrap();
        facts.replied(Some(0), Seen { index: 3, reply: 80, state: 0 }).unwrap();
        // What came in between does not make the first attempt late.
        facts.looked(Index(9));
        for request in 3..7 {
            facts.called_in_session(request, 2, 8);
        }
        assert_eq!(facts.acknowledged(3, 3, 80), Ok(()));
        assert_eq!(facts.acknowledged(2, 3, 80), Ok(()));
        assert_eq!(invariant(facts.acknowledged(4, 3, 81)), "replies are true");
        assert_eq!(invariant(facts.acknowledged(5, 2, 70)), "replies are true");
        assert_eq!(invariant(facts.executed(Index(4), 8)), "executed once");
        facts.attempt_refused(6);
        assert_eq!(invariant(facts.refused_in_session(2)), "executed once");
    }

    #[test]
    fn what_was_refused_is_never_executed() {
        assert_eq!(invariant(facts().refused(1)), "executed once");
        let mut facts = facts();
        facts.called(2, 9);
        assert_eq!(facts.refused(2), Ok(()));
        assert_eq!(invariant(facts.executed(Index(3), 9)), "executed once");
    }

    #[test]
    fn whoever_asks_later_comes_later() {
        let mut facts = facts();
        facts.looked(Index(2));
        facts.called(2, 8);
        // Executed before anybody could have asked for it.
        facts.executed(Index(1), 8).unwrap();
        facts.replied(Some(0), Seen { index: 1, reply: 80, state: 0 }).unwrap();
        assert_eq!(invariant(facts.acknowledged(2, 1, 80)), "real time order");
    }
}
