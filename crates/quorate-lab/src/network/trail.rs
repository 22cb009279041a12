//! What a recorder is told of one call; nothing where nobody records.

use super::{Caller, End, Network};
use crate::recording::{Passage, Recorder, Way, Wire};

/// The trail of one call.
pub(super) struct Trail(Option<Told>);

struct Told {
    recorder: Recorder,
    network: Network,
    end: End,
    method: String,
    args: Vec<u8>,
    /// What a client asks for has a number, and is not drawn on its way.
    request: Option<u64>,
    passage: Option<Passage>,
}

impl Trail {
    /// The trail of a call that leaves. Those of an instance that crashed have none.
    pub(super) fn of(network: &Network, end: &End, method: &str, args: &[u8]) -> Self {
        let recorder = network.recorder().filter(|_| network.is_present(end));
        Self(recorder.map(|recorder| Told {
            recorder: recorder.clone(),
            network: network.clone(),
            end: end.clone(),
            method: method.to_owned(),
            args: args.to_vec(),
            request: match end.caller {
                Caller::Server(_) => None,
                Caller::Client(client) => Some(recorder.asks(client, end.server, method)),
            },
            passage: None,
        }))
    }

    /// The request leaves.
    pub(super) fn request(&mut self, way: Way) {
        let Some(told) = &mut self.0 else { return };
        let Caller::Server(from) = told.end.caller else { return };
        let wire = Wire::Request { method: &told.method, args: &told.args };
        told.passage = Some(told.recorder.sends(from, told.end.server, wire, way));
    }

    /// The request does not get there, for whichever reason.
    pub(super) fn refused(&mut self) {
        let Some(told) = &self.0 else { return };
        let way = if told.network.is_up(told.end.server) { Way::Cut } else { Way::Nobody };
        self.request(way);
    }

    /// The request, or its answer, is there.
    pub(super) fn arrives(&self, start: u64) {
        let Some((told, passage)) = self.0.as_ref().and_then(|told| Some((told, told.passage?)))
        else {
            return;
        };
        let is_there = match passage.is_answer() {
            false => told.network.is_start(told.end.server, start),
            true => told.network.is_present(&told.end),
        };
        told.recorder.arrives(passage, is_there);
    }

    /// The request was handled.
    pub(super) fn handled(&self) {
        if let Some(told) = &self.0 {
            told.recorder.look(told.end.server);
        }
    }

    /// The answer leaves.
    pub(super) fn answer(&mut self, answer: &[u8], way: Way) {
        let Some(told) = &mut self.0 else { return };
        let Caller::Server(to) = told.end.caller else { return };
        if !told.network.is_up(told.end.server) {
            return;
        }
        let wire = Wire::Answer { method: &told.method, args: &told.args, answer };
        told.passage = Some(told.recorder.sends(told.end.server, to, wire, way));
    }

    /// The caller knows how it ended, and has had its turn.
    pub(super) async fn ends(self, is_answered: bool) {
        let Some(Told { recorder, network, end, request, .. }) = self.0 else { return };
        match (end.caller, request) {
            (Caller::Server(caller), _) => {
                // Due when nothing else is ready: what the caller makes of the answer is done then.
                network.0.context.sleep(std::time::Duration::ZERO).await;
                recorder.look(caller);
            }
            (Caller::Client(client), Some(request)) => {
                recorder.answers(client, request, is_answered);
            }
            (Caller::Client(_), None) => {}
        }
    }
}
