//! The virtual network: which links stand, how long a frame takes, what happens to it on the way.

use core::ops::Range;
use core::time::Duration;

use super::plan::{Chances, Fault, Plan};
use super::topology::Topology;
use crate::rng::Rng;

/// What becomes of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is lost.
    Lost,
    /// It does not leave: the queue to the receiver is full.
    Refused,
    /// It arrives after each of these spans.
    Arrives(Arrivals),
}

/// When the copies of a frame arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrivals {
    spans: [Duration; Self::MOST],
    count: usize,
}

impl Arrivals {
    /// The frame itself, three copies and a replay.
    const MOST: usize = 5;

    fn push(&mut self, span: Duration) {
        if let Some(place) = self.spans.get_mut(self.count) {
            *place = span;
            self.count += 1;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Duration> {
        self.spans.into_iter().take(self.count)
    }
}

/// What a link may suffer for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It is slow.
    Slow,
    /// It carries few bytes per second.
    Narrow,
}

/// One direction between two nodes.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    /// How many times slower than others; zero means as fast.
    slower: u32,
    /// Bytes per second; zero means any.
    bandwidth: u64,
    /// Everything is held back until then.
    clogged_until: u64,
    /// How many more frames fit into it while it is clogged.
    room: u32,
    /// When the last frame arrives, where frames keep their order or the link its rate.
    busy_until: u64,
    /// When the last frame arrives.
    latest: u64,
    /// Which of its troubles no frame has met: slow, narrow, clogged, flapped, a frame that lingers.
    unmet: [bool; 5],
}

const SLOW: usize = 0;
const NARROW: usize = 1;
const CLOGGED: usize = 2;
const FLAPPED: usize = 3;
const LINGERS: usize = 4;

/// The kinds by which links have their troubles, in the order of [`Link::unmet`].
const TROUBLES: [Fault; 5] =
    [Fault::SlowLink, Fault::Bandwidth, Fault::Clog, Fault::Flap, Fault::Reorder];

impl Link {
    /// A frame meets a trouble; notes the kind when it is the first that does.
    fn meets(&mut self, trouble: usize, struck: &mut Vec<Fault>) {
        if core::mem::take(&mut self.unmet[trouble]) {
            struck.push(TROUBLES[trouble]);
        }
    }
}

/// Time after which a sender takes nothing more for a link: what is queued would arrive later.
const QUEUE: u64 = 10_000_000_000;

/// All links.
#[derive(Debug)]
pub(crate) struct Network {
    nodes: usize,
    /// Which links stand.
    pub(crate) topology: Topology,
    links: Vec<Link>,
    rng: Rng,
    calm: bool,
    /// What befell frames since this was last taken.
    struck: Vec<Fault>,
    /// How long messages take, where a script says so.
    delays: Option<Delays>,
}

/// How long messages take, instead of what the plan says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delays {
    /// Requests take an even draw from this range.
    pub requests: Range<Duration>,
    /// Replies take an even draw from this range.
    pub replies: Range<Duration>,
    /// Parts in a million of the replies that are held back by 200 ms and by up to two seconds
    /// more, most of them by less.
    pub late_replies: u32,
}

impl Delays {
    fn draw(&self, rng: &mut Rng, is_reply: bool) -> Duration {
        let range = if is_reply { &self.replies } else { &self.requests };
        let delay = rng.span(range.start, range.end);
        if !is_reply || !rng.chance(self.late_replies) {
            return delay;
        }
        let most = Duration::from_millis(rng.range(1..2_001));
        Duration::from_millis(200) + rng.span(Duration::ZERO, most)
    }
}

impl Network {
    pub(crate) fn new(nodes: usize, rng: Rng) -> Self {
        Self {
            nodes,
            topology: Topology::new(nodes),
            links: vec![Link::default(); nodes * nodes],
            rng,
            calm: false,
            struck: Vec::new(),
            delays: None,
        }
    }

    /// Everything stands, nothing is lost, nothing is late.
    pub(crate) fn heal(&mut self) {
        self.mend_links();
        self.calm = true;
    }

    /// Every link stands, is fast and carries whatever comes.
    pub(crate) fn mend_links(&mut self) {
        self.links.fill(Link::default());
        self.topology.mend();
    }

    pub(crate) fn set_delays(&mut self, delays: Delays) {
        self.delays = Some(delays);
    }

    /// Takes one direction of a link down on top of the shape, or ends that.
    pub(crate) fn flap(&mut self, from: usize, to: usize, gone: bool) {
        self.topology.cut(Fault::Flap, from, to, gone);
        self.link(from, to).unmet[FLAPPED] |= gone;
    }

    /// A trouble of a link is over; what it holds back it still holds back.
    pub(crate) fn mend(&mut self, trouble: Trouble, from: usize, to: usize) {
        let link = self.link(from, to);
        match trouble {
            Trouble::Slow => link.slower = 0,
            Trouble::Narrow => link.bandwidth = 0,
        }
    }

    pub(crate) fn slow(&mut self, from: usize, to: usize, times: u32) {
        let link = self.link(from, to);
        link.slower = times;
        link.unmet[SLOW] = true;
    }

    pub(crate) fn limit(&mut self, from: usize, to: usize, bytes_per_second: u64) {
        let link = self.link(from, to);
        link.bandwidth = bytes_per_second;
        link.unmet[NARROW] = true;
    }

    /// Holds back as many frames as fit, until a moment.
    pub(crate) fn clog(&mut self, from: usize, to: usize, until: u64, room: u32) {
        let link = self.link(from, to);
        (link.clogged_until, link.room) = (until, room);
        link.unmet[CLOGGED] = true;
    }

    /// Something that befell frames since this was last asked, until nothing is left.
    pub(crate) fn next_struck(&mut self) -> Option<Fault> {
        self.struck.pop()
    }

    /// Decides what becomes of a frame of this many bytes, which answers another or does not.
    pub(crate) fn fate(
        &mut self,
        (plan, chances): (&Plan, &mut Chances),
        now: u64,
        (from, to): (usize, usize),
        (bytes, is_reply): (usize, bool),
    ) -> Fate {
        // The draws come first and always, so that the state of a link changes none that follow.
        let lost = chances.strikes(plan, Fault::Drop);
        let copied = chances.strikes(plan, Fault::Duplicate);
        let replayed = chances.strikes(plan, Fault::Replay);
        let lingers = chances.strikes(plan, Fault::Reorder);
        let tail = chances.strikes(plan, Fault::HeavyTail);
        let mut delay = match &self.delays {
            Some(delays) => delays.draw(&mut self.rng, is_reply),
            None => {
                let mean = nanos(plan.delay);
                Duration::from_nanos(self.rng.range(mean / 2..mean + mean / 2))
            }
        };
        if self.calm {
            delay = delay.min(super::calm::SLOWEST);
        }
        let is_long = tail.is_some();
        let mut passes = if is_long { Passes::Others } else { Passes::Nobody };
        if let Some(mut rng) = tail {
            // Each doubling is half as likely.
            let doublings = rng.next_u64().trailing_zeros().min(10);
            delay *= (8 << doublings).min(most_times(plan, Fault::HeavyTail));
        }
        let Self { links, struck, nodes, topology, .. } = self;
        let link = &mut links[from * *nodes + to];
        if topology.is_cut(from, to) {
            if topology.is_cut_by(Fault::Flap, from, to) {
                link.meets(FLAPPED, struck);
            }
            return Fate::Lost;
        }
        if lost.is_some() {
            struck.push(Fault::Drop);
            return Fate::Lost;
        }
        if let Some(mut rng) = lingers {
            let most = u32::try_from(plan.rate(Fault::Reorder).size).unwrap_or(u32::MAX - 1);
            delay += delay * rng.range(0..most + 1);
            passes = Passes::Counted;
        }
        let Some(at) = link.takes((now, nanos(delay), bytes), passes, struck) else {
            return Fate::Refused;
        };
        let mut arrivals = Arrivals::default();
        arrivals.push(Duration::from_nanos(at - now));
        if is_long {
            struck.push(Fault::HeavyTail);
        }
        if let Some(mut rng) = copied {
            for _ in 0..rng.range(1..plan.rate(Fault::Duplicate).size.max(1) + 1) {
                let late = late(&mut rng, plan.rate(Fault::Duplicate).lasts);
                arrivals.push(Duration::from_nanos(at - now) + late);
            }
            struck.push(Fault::Duplicate);
        }
        if let Some(mut rng) = replayed {
            let late = late(&mut rng, plan.rate(Fault::Replay).lasts);
            arrivals.push(Duration::from_secs(1) + late);
            struck.push(Fault::Replay);
        }
        Fate::Arrives(arrivals)
    }

    fn link(&mut self, from: usize, to: usize) -> &mut Link {
        &mut self.links[from * self.nodes + to]
    }
}

impl Link {
    /// When a frame of this many bytes arrives that is sent now and takes so long; nothing where the
    /// queue is full.
    fn takes(
        &mut self,
        (now, delay, bytes): (u64, u64, usize),
        passes: Passes,
        struck: &mut Vec<Fault>,
    ) -> Option<u64> {
        if self.clogged_until > now {
            self.meets(CLOGGED, struck);
            self.room = self.room.checked_sub(1)?;
        }
        if self.bandwidth > 0 && self.busy_until.saturating_sub(now) > QUEUE {
            return None;
        }
        if self.slower > 1 {
            self.meets(SLOW, struck);
        }
        let mut at = (now + delay * u64::from(self.slower.max(1))).max(self.clogged_until);
        if let Some(takes) = (bytes as u64 * 1_000_000_000).checked_div(self.bandwidth) {
            self.meets(NARROW, struck);
            at = at.max(self.busy_until) + takes;
            self.busy_until = at;
        } else if passes == Passes::Nobody {
            at = at.max(self.busy_until + 1);
            self.busy_until = at;
        }
        if at < self.latest {
            self.meets(LINGERS, struck);
        }
        self.unmet[LINGERS] |= passes == Passes::Counted;
        self.latest = self.latest.max(at);
        Some(at)
    }
}

/// Whether frames that are sent later may pass a frame on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passes {
    /// All of them arrive later.
    Nobody,
    /// They may: it takes very long.
    Others,
    /// They may, and the first that does counts.
    Counted,
}

/// The size of a kind, as a factor.
fn most_times(plan: &Plan, kind: Fault) -> u32 {
    u32::try_from(plan.rate(kind).size).unwrap_or(u32::MAX).max(1)
}

/// A span up to the longest, most of them short.
fn late(rng: &mut Rng, most: Duration) -> Duration {
    let part = rng.range(0..1_001_u32);
    most * part / 1_000 * part / 1_000
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
