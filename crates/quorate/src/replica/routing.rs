//! Where a call goes: into this node's log, to the leader, or into the queue of those that wait.

use std::sync::Arc;

use super::*;

impl Replica {
    pub(super) fn handle_call(
        &mut self,
        now: Instant,
        call: CallId,
        (command, stamp): (Command, Stamp),
        out: &mut impl Effects,
    ) {
        if command.len() > self.config.max_command_bytes {
            return end(call, CallOutcome::Refused(RefusalCode::TooLarge), out);
        }
        if self.feed.backlog() > self.config.max_apply_backlog {
            return end(call, CallOutcome::Refused(RefusalCode::Overloaded), out);
        }
        if self.raft.is_leader() {
            return match self.propose(now, Origin::Local(call), (command, stamp)) {
                Ok(()) => {}
                Err(code) => end(call, CallOutcome::Refused(code), out),
            };
        }
        if !self.calls.has_room(command.len()) {
            return end(call, CallOutcome::Refused(RefusalCode::Overloaded), out);
        }
        let leader_by = now.after(self.config.leader_wait);
        self.route(now, Held { call, command: command.into_shared(), stamp, leader_by }, out);
    }

    /// Sends a call on its way, or lets it wait.
    fn route(&mut self, now: Instant, held: Held, out: &mut impl Effects) {
        if self.raft.is_leader() {
            let what = (held.command.into(), held.stamp);
            if let Err(code) = self.propose(now, Origin::Local(held.call), what) {
                end(held.call, CallOutcome::Refused(code), out);
            }
            return;
        }
        let leader = self.raft.leader();
        let boot = leader.and_then(|leader| self.connected.get(&leader).copied());
        let (Some(to), Some(to_boot)) = (leader, boot) else { return self.calls.wait(held) };
        if self.is_shunned(now, to) {
            return self.calls.wait(held);
        }
        let (command, stamp) = (Arc::clone(&held.command), held.stamp);
        let number = self.calls.forward(now, held, to);
        out.send(to, Frame::forward(Forward { to_boot, number, stamp, command }));
    }

    /// Sends the calls that wait on their way, where there is a leader to take them.
    pub(super) fn route_waiting(&mut self, now: Instant, out: &mut impl Effects) {
        let reachable = |leader| {
            let connected = self.connected.contains_key(&leader) && !self.is_shunned(now, leader);
            leader == self.id || connected
        };
        if !self.raft.leader().is_some_and(reachable) {
            return;
        }
        for held in self.calls.take_waiting() {
            self.route(now, held, out);
        }
    }

    /// Whether this node said a moment ago, in the present term, that it does not lead.
    fn is_shunned(&self, now: Instant, leader: NodeId) -> bool {
        self.shunned.is_some_and(|(node, term, until)| {
            node == leader && term == self.raft.term() && now < until
        })
    }

    /// Appends a command to the log of this node, which leads.
    #[inline(always)]
    fn propose(
        &mut self,
        now: Instant,
        origin: Origin,
        (command, stamp): (Command, Stamp),
    ) -> Result<(), RefusalCode> {
        if let Stamp::Session { session, request } = stamp {
            return self.propose_session(now, origin, session, request);
        }
        #[cfg(quorate_mutants)]
        if quorate_core::mutant!(DuplicatesAtProposeOnly) && !self.calls.is_new(stamp) {
            return Ok(());
        }
        let bytes = u32::try_from(RECORD_HEADER_BYTES + command.len())
            .map_err(|_| RefusalCode::TooLarge)?;
        let id = self.raft.propose(bytes).map_err(refusal_code)?;
        let mut envelope = EntryEnvelope::of(EntryKind::Command, self.log_time_ms(now));
        if let Stamp::Command { session, sequence, acknowledged } = stamp {
            envelope.session = session.0;
            envelope.sequence = sequence;
            envelope.acknowledged_distance = sequence.saturating_sub(acknowledged);
        }
        self.tail.push(id, &envelope, &command);
        self.proposals.insert(id, origin);
        Ok(())
    }

    #[cold]
    fn propose_session(
        &mut self,
        now: Instant,
        origin: Origin,
        session: SessionId,
        request: SessionRequest,
    ) -> Result<(), RefusalCode> {
        let payload = request.encode();
        let bytes = u32::try_from(RECORD_HEADER_BYTES + payload.len())
            .map_err(|_| RefusalCode::TooLarge)?;
        let id = self.raft.propose_session(bytes).map_err(refusal_code)?;
        let mut envelope = EntryEnvelope::of(EntryKind::Session, self.log_time_ms(now));
        envelope.session = session.0;
        self.tail.push(id, &envelope, &payload);
        self.proposals.insert(id, origin);
        Ok(())
    }

    /// A peer forwards a call.
    pub(super) fn handle_forward(
        &mut self,
        now: Instant,
        peer: NodeId,
        forward: Forward,
        out: &mut impl Effects,
    ) {
        let Forward { to_boot, number, stamp, command } = forward;
        if to_boot != self.boot || !self.calls.is_first(peer, number) {
            self.counters.frames_dropped += 1;
            return;
        }
        let refusal = if command.len() > self.config.max_command_bytes {
            Some(RefusalCode::TooLarge)
        } else if self.feed.backlog() > self.config.max_apply_backlog {
            Some(RefusalCode::Overloaded)
        } else {
            self.propose(now, Origin::Remote { peer, number }, (command.into(), stamp)).err()
        };
        if let Some(code) = refusal {
            reply_to(peer, number, ForwardOutcome::Refused(code), out);
        }
    }

    /// The leader answers a call that this node forwarded.
    pub(super) fn handle_forward_reply(
        &mut self,
        now: Instant,
        from: NodeId,
        reply: ForwardReply,
        out: &mut impl Effects,
    ) {
        let Some(held) = self.calls.answered(from, reply.number) else {
            self.counters.frames_dropped += 1;
            return;
        };
        let outcome = match reply.outcome {
            ForwardOutcome::Applied(reply) => CallOutcome::Applied(reply),
            ForwardOutcome::Faulted(fault) => CallOutcome::Faulted(fault),
            // Nothing was appended there. The call waits for another leader, or for this node's
            // idea of the leader to settle: asking again at once would be asking in a circle.
            ForwardOutcome::Refused(RefusalCode::NotLeader) => {
                let until = now.after(self.config.raft.heartbeat());
                self.shunned = Some((from, self.raft.term(), until));
                return self.calls.wait(held);
            }
            ForwardOutcome::Refused(code) => CallOutcome::Refused(code),
            ForwardOutcome::Unknown => CallOutcome::Unknown(UnknownCode::ConnectionLost),
        };
        end(held.call, outcome, out);
    }

    /// Tells those whose entries are gone.
    pub(super) fn end_lost(&self, lost: &[(Origin, Lost)], out: &mut impl Effects) {
        for (origin, lost) in lost {
            match (origin, lost) {
                (Origin::Local(call), Lost::NeverSent) => {
                    end(*call, CallOutcome::Refused(RefusalCode::LeaderChanged), out);
                }
                (Origin::Local(call), Lost::Sent) => {
                    end(*call, CallOutcome::Unknown(UnknownCode::LeaderChanged), out);
                }
                (Origin::Remote { peer, number }, Lost::NeverSent) => {
                    let outcome = ForwardOutcome::Refused(RefusalCode::LeaderChanged);
                    reply_to(*peer, *number, outcome, out);
                }
                (Origin::Remote { peer, number }, Lost::Sent) => {
                    reply_to(*peer, *number, ForwardOutcome::Unknown, out);
                }
            }
        }
    }
}

const fn refusal_code(error: ProposeError) -> RefusalCode {
    match error {
        ProposeError::Overloaded => RefusalCode::Overloaded,
        ProposeError::Halted => RefusalCode::Stopping,
        _ => RefusalCode::NotLeader,
    }
}
