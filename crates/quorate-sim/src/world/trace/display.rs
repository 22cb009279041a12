//! Events in words, as reports have them: `n3 is leader in t2`.

use core::fmt;

use super::{Arrival, FrameWords, LinkState, RequestEnd, SnapshotStep, Span, TraceEvent, Traced};

impl fmt::Display for Traced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.at / 1000;
        write!(f, "{:>3}.{:06}s {}", micros / 1_000_000, micros % 1_000_000, self.event)
    }
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opens { node } => write!(f, "n{node} opens its directory"),
            Self::Starts { node, boot, term, commit, log, torn, .. } => {
                let torn = if *torn { ", torn tail cut" } else { "" };
                write!(f, "n{node} starts, boot {boot}, t{term}, ")?;
                write!(f, "last={} commit={commit}{torn}", Last(log))
            }
            Self::Dies { node, unsynced: false } => write!(f, "n{node} dies"),
            Self::Dies { node, unsynced: true } => {
                write!(f, "n{node} dies; what was not synced is at risk")
            }
            Self::Role { node, role, term, leader } => {
                write!(f, "n{node} is {role} in t{term}")?;
                leader.map_or(Ok(()), |leader| write!(f, " under n{leader}"))
            }
            Self::Votes { node, term, vote: Some(vote) } => {
                write!(f, "n{node} writes its vote for n{vote} in t{term}")
            }
            Self::Votes { node, term, vote: None } => write!(f, "n{node} writes t{term}"),
            Self::Truncates { node, from } => write!(f, "n{node} cuts its log from {from}"),
            Self::Appends { node, log } => write!(f, "n{node} appends {}", Spans(log)),
            Self::Saves { node, bytes } => write!(f, "n{node} saves {bytes} bytes"),
            Self::Persists { node, last } => write!(f, "n{node} has up to {last} on disk"),
            Self::Fences { node } => write!(f, "n{node} fences its log"),
            Self::ReadsBack { node, first, last, failed } => {
                let failed = if *failed { ", in vain" } else { "" };
                write!(f, "n{node} reads {first}..{last} back{failed}")
            }
            Self::Snapshot { node, step, last, term } => write!(f, "n{node} {step} {last}@{term}"),
            Self::Commits { node, index } => write!(f, "n{node} commits up to {index}"),
            Self::Applies { node, index } => write!(f, "n{node} applies up to {index}"),
            Self::DiskFails { node, error } => write!(f, "n{node} stops: {error}"),
            Self::Connects { node, peer } => write!(f, "n{node} connects with n{peer}"),
            Self::Closes { node, peer } => write!(f, "n{node} loses its connection with n{peer}"),
            Self::Strikes { fault, node: None, .. } => write!(f, "{fault} strikes"),
            Self::Strikes { fault, node: Some(node), .. } => write!(f, "{fault} strikes n{node}"),
            Self::Network { shape, .. } => write!(f, "the network is {shape}"),
            Self::Link { from, to, state, .. } => write!(f, "link n{from}->n{to} {state}"),
            Self::Mended => f.write_str("everything is mended"),
            Self::ClientsStop => f.write_str("clients stop"),
            Self::Broken { invariant, what } => write!(f, "BROKEN {invariant}: {what}"),
            Self::Sends { .. } | Self::Arrives { .. } => self.fmt_frame(f),
            Self::Asks { .. } | Self::Ends { .. } => self.fmt_request(f),
        }
    }
}

impl TraceEvent {
    fn fmt_frame(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sends { frame, from, to, words, arrives, .. } => {
                write!(f, "n{from}->n{to} #{frame} sends {words}")?;
                match arrives.len() {
                    0 => f.write_str(", lost"),
                    1 => Ok(()),
                    times => write!(f, ", {times} times"),
                }
            }
            Self::Arrives { frame, from, to, fate, words } => {
                write!(f, "n{from}->n{to} #{frame} ")?;
                match (fate, words) {
                    (Arrival::Taken, Some(words)) => write!(f, "takes {words}"),
                    (Arrival::Taken, None) => f.write_str("takes it"),
                    (Arrival::CutOff, _) => f.write_str("is cut off"),
                    (Arrival::Corrupt, _) => f.write_str("is damaged and dropped"),
                    (Arrival::Nobody, _) => f.write_str("finds nobody"),
                }
            }
            _ => Ok(()),
        }
    }

    fn fmt_request(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asks { client, request, node, what } => {
                write!(f, "c{client} asks n{node} #{request} {what}")
            }
            Self::Ends { client, request, outcome, what } => {
                write!(f, "c{client} #{request} {outcome}")?;
                if what.is_empty() { Ok(()) } else { write!(f, ": {what}") }
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for FrameWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        self.term.map_or(Ok(()), |term| write!(f, " t{term}"))?;
        if self.says.is_empty() { Ok(()) } else { write!(f, " {}", self.says) }
    }
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "is cut",
            Self::Stands => "stands",
            Self::Slow => "is slow",
            Self::Narrow => "carries few bytes",
            Self::Clogged => "is clogged",
        })
    }
}

impl fmt::Display for SnapshotStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Taken => "takes a snapshot up to",
            Self::Received => "has received the snapshot up to",
            Self::LogBegins => "has a log that begins after",
            Self::Restored => "restores the state after",
        })
    }
}

impl fmt::Display for RequestEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answered => "is answered",
            Self::Refused => "is refused",
            Self::Unknown => "does not know",
        })
    }
}

pub(super) struct Spans<'a>(pub(super) &'a [Span]);

impl fmt::Display for Spans<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, span) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            match span.first == span.last {
                true => write!(f, "{comma}{}@{}", span.first, span.term)?,
                false => write!(f, "{comma}{}..{}@{}", span.first, span.last, span.term)?,
            }
        }
        Ok(())
    }
}

pub(super) struct Last<'a>(pub(super) &'a [Span]);

impl fmt::Display for Last<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.last() {
            Some(span) => write!(f, "{}@{}", span.last, span.term),
            None => f.write_str("0@0"),
        }
    }
}
