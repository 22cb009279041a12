//! Frames between nodes: encoded, refused, carried, damaged and decoded as in production.

use std::rc::Rc;

use quorate::StateMachine;
use quorate::replica::{Frame, ReplicaInput};
use quorate::transport::codec::{CodecError, Ends, FrameLimits, decode, decode_bulk, encode};
use quorate::transport::frame::{Parsed, parse};
use quorate_core::{BootCounter, NodeId};

use super::damage::damage;
use super::network::Fate;
use super::observed::fingerprint;
use super::plan::Fault;
use super::script::traffic;
use super::trace::Arrival;
use super::words::words;
use super::workload::Workload;
use super::{Event, World};
use crate::invariants::{Broken, Name};
use crate::rng::Rng;

/// Bytes of the largest entry in a virtual world.
const ENTRY_BYTES: usize = 1 << 20;
/// Bytes at the beginning of a frame that tell it from others: its checksum is among them.
const FRAME_HEAD: usize = 32;

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    pub(super) fn send(&mut self, from: usize, to: NodeId, frame: Frame) -> Result<(), Broken> {
        if self.nodes[from].as_live().is_none() {
            let what = format!("{} is dead and sends to {to}", Name(from));
            return Err(Broken::new("a dead node says nothing", what));
        }
        if let Frame::Raft(letter) = &frame {
            self.facts.sent(from, &letter.envelope)?;
        }
        let Some(target) = self.facts.position(to) else { return Ok(()) };
        if !self.is_connected(from, target) {
            self.count("no connection");
            self.refuse(from, dropped(to, &frame));
            return Ok(());
        }
        let Some(boot) = self.nodes[from].as_live().map(|live| live.boot) else { return Ok(()) };
        let is_reply = traffic::is_reply(&frame);
        let words = self.trace.is_wanted().then(|| words(&frame));
        let dropped = dropped(to, &frame);
        let Ok(packed) = encode(frame, FrameLimits::for_entries(ENTRY_BYTES)) else {
            let what = format!("{from} makes a frame that is too large to send", from = Name(from));
            return Err(Broken::new("frames fit", what));
        };
        let bytes = packed.encoded.into_vec();
        self.counts.frames += 1;
        self.counts.frame_bytes += bytes.len() as u64;
        let size = (bytes.len(), is_reply);
        let chances = (&self.plan, &mut self.chances);
        let fate = self.network.fate(chances, self.now, (from, target), size);
        let number = self.trace.number_frame();
        if let Some(words) = words {
            self.note_sent(number, (from, target), words, (bytes.len(), &fate));
        }
        while let Some(fault) = self.network.next_struck() {
            self.count(fault.name());
        }
        if fate == Fate::Refused {
            self.count("queue full");
            self.refuse(from, dropped);
        }
        let Fate::Arrives(arrivals) = fate else { return Ok(()) };
        let bytes = Rc::new(bytes);
        self.script.record((number, from, target), boot, &bytes);
        for span in arrivals.iter() {
            let bytes = Rc::clone(&bytes);
            self.after(span, Event::Frame { number, from, to: target, boot, bytes });
        }
        Ok(())
    }

    /// A frame arrives, perhaps damaged. A life that began meanwhile hears frames of the former
    /// one, too: a replay of long ago is none other.
    pub(super) fn receive(
        &mut self,
        number: u64,
        (from, to): (usize, usize),
        boot: BootCounter,
        bytes: &[u8],
    ) -> Result<(), Broken> {
        if self.network.topology.is_cut(from, to) {
            self.count("cut off");
            self.note_arrival(number, (from, to), Arrival::CutOff, None);
            return Ok(());
        }
        let damaged = self.chances.strikes(&self.plan, Fault::Corrupt);
        let damaged = damaged.map(|mut rng| damage(bytes, &mut rng));
        if damaged.is_some() {
            self.count(Fault::Corrupt.name());
        }
        let limits = FrameLimits::for_entries(ENTRY_BYTES);
        if let Some(rng) = self.chances.strikes(&self.plan, Fault::Fragment)
            && self.comes_in_pieces((number, from, to), bytes, rng)?
        {
            return Ok(());
        }
        let ends = Ends { me: self.nodes[to].id, peer: self.nodes[from].id, boot };
        let taken = damaged.as_deref().unwrap_or(bytes);
        let frame = match parse(taken, limits.frame_bytes()) {
            // Both channels of a connection share its link here.
            Ok(Parsed::Frame(raw)) => match decode(raw, ends, limits) {
                Err(CodecError::WrongChannel(_)) => decode_bulk(raw, ends).ok(),
                frame => frame.ok(),
            },
            Ok(Parsed::Partial { .. }) | Err(_) => None,
        };
        // The head of a frame has the checksum of all of it.
        let head = fingerprint(&taken[..taken.len().min(FRAME_HEAD)]);
        self.trace.step(self.now, [4, (from * 64 + to) as u64, head]);
        let Some(frame) = frame else {
            if damaged.is_none() {
                let what = format!("{} cannot read what {} sent", Name(to), Name(from));
                return Err(Broken::new("frames are whole", what));
            }
            // Nothing that follows on this connection can be believed either.
            self.count("frame refused");
            self.note_arrival(number, (from, to), Arrival::Corrupt, None);
            self.reset(from, to);
            return Ok(());
        };
        let is_up = self.nodes[to].as_live().is_some();
        let fate = if is_up { Arrival::Taken } else { Arrival::Nobody };
        self.note_arrival(number, (from, to), fate, Some(&frame));
        if is_up {
            self.script.traffic.received(&frame, bytes.len());
        }
        let from = self.nodes[from].id;
        self.give(to, ReplicaInput::Frame { from, frame });
        Ok(())
    }

    /// A frame comes in two pieces, cut at any byte: the first alone must be none. Says whether the
    /// connection breaks before the second comes.
    fn comes_in_pieces(
        &mut self,
        (number, from, to): (u64, usize, usize),
        bytes: &[u8],
        mut rng: Rng,
    ) -> Result<bool, Broken> {
        self.count(Fault::Fragment.name());
        self.note_strike(Fault::Fragment, Some(to), None);
        let first = &bytes[..rng.index(bytes.len())];
        let limit = FrameLimits::for_entries(ENTRY_BYTES).frame_bytes();
        if !matches!(parse(first, limit), Ok(Parsed::Partial { missing }) if missing > 0) {
            let what = format!("{} of {} bytes are taken for a frame", first.len(), bytes.len());
            return Err(Broken::new("frames are whole", what));
        }
        let most = self.plan.rate(Fault::Fragment).size;
        let breaks = rng.range(0..100) < most;
        if breaks {
            self.note_arrival(number, (from, to), Arrival::Corrupt, None);
            self.reset(from, to);
        }
        Ok(breaks)
    }

    /// Tells a node that a frame did not leave.
    fn refuse(&mut self, node: usize, dropped: Option<ReplicaInput>) {
        let local = self.nodes[node].clock.local(self.now);
        let (Some(dropped), Some(live)) = (dropped, self.nodes[node].live()) else { return };
        live.replica.handle(local, dropped, &mut live.effects);
    }
}

/// What a node hears of a frame that did not leave.
fn dropped(to: NodeId, frame: &Frame) -> Option<ReplicaInput> {
    if let Frame::Forward(forward) = frame {
        return Some(ReplicaInput::ForwardDropped(forward.number));
    }
    let envelope = frame.envelope()?;
    Some(ReplicaInput::SendDropped { to, request: envelope.request })
}
