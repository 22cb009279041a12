//! How long a server that was away takes to be back, and what that costs the clients meanwhile.
//!
//! A server that does not lead is killed, the load goes on until so many entries were committed
//! without it, and it is started again under the same load. It is back when it has executed what the
//! leader had committed a moment before.

use std::time::{Duration, Instant};

use quorate_client::{Client, Options};
use serde_json::{Value, json};

use super::Side;
use super::arguments::{Arguments, Target};
use super::cluster::{Own, targets};
use super::report::Measured;
use crate::failure::{Exit, Failure};

/// Load between two looks at how far the servers are.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a server may take to be back.
const PATIENCE: Duration = Duration::from_secs(900);

/// What it took.
pub(super) struct CatchUp {
    /// Entries that were committed while the server was away.
    missed: u64,
    /// From its start until it was back.
    took: Duration,
    /// Entries that it executed meanwhile.
    executed: u64,
    /// 99 of 100 requests took no longer: with all servers, with one away, and while it came back.
    p99_ms: [f64; 3],
    /// Requests per second, in the same order.
    rates: [f64; 3],
}

impl CatchUp {
    pub(super) fn as_json(&self) -> Value {
        json!({
            "entries_missed": self.missed,
            "seconds": self.took.as_secs_f64(),
            "entries_per_second": self.per_second(),
            "p99_ms": { "before": self.p99_ms[0], "away": self.p99_ms[1], "back": self.p99_ms[2] },
            "per_second": { "before": self.rates[0], "away": self.rates[1], "back": self.rates[2] },
            "p99_ratio": self.ratio(),
        })
    }

    pub(super) fn as_text(&self) -> String {
        let [before, away, back] = self.p99_ms;
        format!(
            "{} entries behind, a server is back after {:.3} s ({:.0} entries per second)\n\
             p99: {before:.2} ms before, {away:.2} ms while it was away, {back:.2} ms while it came \
             back: {:.2} times what it was",
            self.missed,
            self.took.as_secs_f64(),
            self.per_second(),
            self.ratio(),
        )
    }

    fn per_second(&self) -> f64 {
        self.executed as f64 / self.took.as_secs_f64().max(1e-9)
    }

    fn ratio(&self) -> f64 {
        self.p99_ms[2] / self.p99_ms[0].max(1e-9)
    }
}

/// Lets one server miss so many entries and come back. What `side` measured so far is what is normal.
pub(super) async fn measure(
    own: &mut Own,
    side: &mut Side,
    (arguments, entries): (&Arguments, u64),
) -> Result<CatchUp, Failure> {
    let endpoints = own.endpoints();
    let leader = targets(&endpoints, Target::Leader).await?.remove(0);
    let away = endpoints.iter().position(|endpoint| *endpoint != leader).ok_or_else(alone)?;
    let before = side.measured.clone();
    // The processes change: what they use is of the windows before.
    side.pids.clear();
    side.measured = Measured::new(false);

    own.kill(away);
    side.window(arguments.warm_up, LOOK_EVERY, 1, |_| {}).await?;
    let began_at = committed(&leader).await?;
    let mut at = began_at;
    let mut seed = 2;
    while at < began_at + entries {
        side.window(Duration::ZERO, LOOK_EVERY, seed << 20, |_| {}).await?;
        let now = committed(&leader).await?;
        if now == at {
            return Err(stuck("no entry is committed while a server is away"));
        }
        (at, seed) = (now, seed + 1);
    }
    let without = std::mem::replace(&mut side.measured, Measured::new(false));

    let began = Instant::now();
    own.start_again(away)?;
    let target = &endpoints[away];
    let executed = loop {
        side.window(Duration::ZERO, LOOK_EVERY, seed << 20, |_| {}).await?;
        seed += 1;
        let wanted = committed(&leader).await?;
        match applied(target).await {
            Some(index) if index >= wanted => break index.saturating_sub(began_at),
            _ if began.elapsed() > PATIENCE => return Err(stuck("the server does not come back")),
            _ => {}
        }
    };
    Ok(CatchUp {
        missed: at - began_at,
        took: began.elapsed(),
        executed,
        p99_ms: [before.p99(), without.p99(), side.measured.p99()],
        rates: [before.window.rate(), without.window.rate(), side.measured.window.rate()],
    })
}

async fn status(endpoint: &str) -> Option<quorate_client::proto::StatusResponse> {
    let options = Options::default().timeout(Duration::from_secs(2));
    Client::new([endpoint], options).ok()?.status().await.ok()
}

/// The leader's commit index.
async fn committed(leader: &str) -> Result<u64, Failure> {
    let status = status(leader).await.filter(|status| {
        let own = status.header.as_ref().map(|header| header.member_id);
        own == Some(status.leader)
    });
    status.map(|status| status.raft_index).ok_or_else(|| stuck("the leader leads no more"))
}

/// Up to where a server has executed, where it answers.
async fn applied(endpoint: &str) -> Option<u64> {
    status(endpoint).await.map(|status| status.raft_applied_index)
}

fn alone() -> Failure {
    Failure::usage(
        "--catch-up: the cluster has no server beside its leader",
        "one server has to be away while the others serve",
        "quorate bench put --nodes 3 --catch-up 1000000",
    )
}

fn stuck(what: &str) -> Failure {
    Failure::new(
        Exit::Unserved,
        format!("catching up cannot be measured: {what}"),
        "the load is no load of writes, or is more than the machine carries",
        "`quorate bench put` with fewer --clients or a --rate",
    )
}
