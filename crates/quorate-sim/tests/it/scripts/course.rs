//! What the tests of the courses share: their timing, their networks, and the steps that their
//! scenarios are made of.

use core::time::Duration;

use quorate_core::Config;
use quorate_sim::rng::Rng;
use quorate_sim::world::script::{Proposed, Scripted};
use quorate_sim::world::{Delays, Setup};

use super::steps::pick_mutant;

/// The election timeout that the courses reckon with.
pub(crate) const T: Duration = Duration::from_secs(1);

/// Timing of the courses that allow ten heartbeats per second.
pub(crate) fn slow_heartbeats() -> Config {
    timing(100, 250, 500)
}

/// The same on a host that counts requests.
pub(crate) fn without_notices() -> Config {
    let (min, max) = slow_heartbeats().election_timeout();
    let config = Config::builder().election_timeout(min, max).commit_notices(false);
    config.build().expect("the settings are sound")
}

/// Timing of the course that asks for heartbeats every 50 ms and elections after 200 to 400.
pub(crate) fn fast_heartbeats() -> Config {
    timing(50, 200, 400)
}

fn timing(heartbeat: u64, min: u64, max: u64) -> Config {
    let millis = Duration::from_millis;
    let config = Config::builder().heartbeat(millis(heartbeat));
    config.election_timeout(millis(min), millis(max)).build().expect("the settings are sound")
}

/// A network without delay on which messages overtake each other.
pub(crate) fn reliable() -> Delays {
    let soon = Duration::from_micros(10)..Duration::from_micros(300);
    Delays { requests: soon.clone(), replies: soon, late_replies: 0 }
}

/// Requests take up to 26 ms; a tenth of them and a tenth of the replies get lost.
pub(crate) fn unreliable() -> Delays {
    let soon = Duration::from_micros(10)..Duration::from_micros(300);
    let requests = Duration::ZERO..Duration::from_millis(26);
    Delays { requests, replies: soon, late_replies: 0 }
}

/// A cluster as the courses' tests see it.
pub(crate) struct Course {
    pub(crate) world: Scripted,
    /// Chooses whom to crash and how long to sleep.
    pub(crate) rng: Rng,
}

impl Course {
    /// A reliable cluster of this many servers.
    pub(crate) fn of(servers: usize, config: Config, seed: u64) -> Self {
        pick_mutant();
        let setup = Setup::scripted(servers).with_raft(config).with_seed(seed);
        let mut world = Scripted::of(&setup);
        world.trace_mut().keep_recent();
        world.set_delays(reliable());
        world.let_messages_overtake(true);
        Self { world, rng: Rng::stream(seed, "script", 0) }
    }

    pub(crate) fn make_unreliable(&mut self) {
        self.world.set_delays(unreliable());
        self.world.lose_messages(100_000);
    }

    /// Servers that run and are connected.
    pub(crate) fn connected(&self) -> Vec<usize> {
        let world = &self.world;
        (0..world.len()).filter(|node| world.is_up(*node) && !world.is_isolated(*node)).collect()
    }

    /// Waits until one connected server leads, and checks that no term has two.
    pub(crate) fn one_leader(&mut self) -> usize {
        for _ in 0..10 {
            let wait = self.rng.span(Duration::from_millis(450), Duration::from_millis(550));
            self.world.let_pass(wait);
            let mut leaders = self.world.leaders();
            leaders.retain(|(node, _)| self.connected().contains(node));
            leaders.sort_by_key(|(_, term)| *term);
            assert!(leaders.windows(2).all(|pair| pair[0].1 != pair[1].1), "{leaders:?}");
            if let Some((leader, _)) = leaders.last() {
                return *leader;
            }
        }
        panic!("no leader within five seconds: {}", self.world.describe())
    }

    /// Reaches agreement on a command among as many servers as expected, within ten seconds.
    pub(crate) fn one(&mut self, command: &str, expected: usize, retry: bool) -> u64 {
        let limit = self.world.now() + Duration::from_secs(10);
        while self.world.now() < limit {
            let Some(proposed) = self.propose_somewhere(command) else {
                self.world.let_pass(Duration::from_millis(50));
                continue;
            };
            let index = proposed.index;
            let until = self.world.now() + Duration::from_secs(2);
            while self.world.now() < until {
                let world = &self.world;
                if world.how_many_executed(index) >= expected {
                    let mut executed = (0..world.len()).filter_map(|n| world.executed(n, index));
                    if executed.any(|executed| executed == command) {
                        return index;
                    }
                }
                self.world.let_pass(Duration::from_millis(20));
            }
            assert!(retry, "no agreement on {command}: {}", self.world.describe());
        }
        panic!("no agreement on {command} within ten seconds: {}", self.world.describe())
    }

    fn propose_somewhere(&mut self, command: &str) -> Option<Proposed> {
        let connected = self.connected();
        let command = command.to_owned();
        connected.into_iter().find_map(|node| self.world.propose(node, &command))
    }

    /// The server so many places after another.
    pub(crate) fn after(&self, server: usize, places: usize) -> usize {
        (server + places) % self.world.len()
    }

    pub(crate) fn isolate(&mut self, servers: &[usize]) {
        servers.iter().for_each(|server| self.world.isolate(*server));
    }

    pub(crate) fn reconnect(&mut self, servers: &[usize]) {
        servers.iter().for_each(|server| self.world.reconnect(*server));
    }

    /// A text of this many letters.
    pub(crate) fn text(&mut self, letters: usize) -> String {
        let letter = |_| char::from(self.rng.range(b'a'..b'z' + 1));
        (0..letters).map(letter).collect()
    }
}
