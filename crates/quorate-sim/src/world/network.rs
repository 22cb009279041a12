//! The virtual network: which links stand, how long a frame takes, what happens to it on the way.

use core::ops::Range;
use core::time::Duration;

use super::plan::{Fault, Plan};
use crate::rng::Rng;

/// What becomes of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is lost.
    Lost,
    /// It arrives after each of these spans.
    Arrives(Arrivals),
}

/// The spans after which a frame arrives: once, or again, or much later, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrivals {
    spans: [Duration; 3],
    count: usize,
}

impl Arrivals {
    fn push(&mut self, span: Duration) {
        self.spans[self.count] = span;
        self.count += 1;
    }

    pub(crate) fn iter(&self) -> core::slice::Iter<'_, Duration> {
        self.spans[..self.count].iter()
    }
}

/// One direction between two nodes.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    /// Nothing passes.
    cut: bool,
    /// How many times slower than others; zero means as fast.
    slower: u32,
    /// Bytes per second; zero means any.
    bandwidth: u64,
    /// Everything is held back until then.
    clogged_until: u64,
    /// When the last frame arrives, where frames keep their order or the link its rate.
    busy_until: u64,
    /// When the last frame arrives.
    latest: u64,
}

/// All links.
#[derive(Debug)]
pub(crate) struct Network {
    nodes: usize,
    links: Vec<Link>,
    rng: Rng,
    calm: bool,
    /// What befell frames since this was last taken.
    struck: Vec<Fault>,
    /// Nodes that nobody talks to, whatever the shape.
    isolated: Vec<bool>,
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

/// How the nodes are cut off from each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// All links stand.
    Whole,
    /// Two sides; a node on neither talks to all.
    Split(Vec<usize>, Vec<usize>),
    /// Nothing that this node says is heard.
    Mute(usize),
    /// Nothing that is said reaches this node.
    Deaf(usize),
    /// Each node talks to its neighbours in this order, round or with the ends apart.
    Row(Vec<usize>, bool),
}

impl core::fmt::Display for Shape {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let names = |nodes: &[usize], between: &str| {
            let names: Vec<String> = nodes.iter().map(|node| format!("n{}", node + 1)).collect();
            names.join(between)
        };
        match self {
            Self::Whole => f.write_str("whole"),
            Self::Split(left, right) => {
                write!(f, "split: {} | {}", names(left, " "), names(right, " "))
            }
            Self::Mute(node) => write!(f, "whole, but nobody hears n{}", node + 1),
            Self::Deaf(node) => write!(f, "whole, but n{} hears nobody", node + 1),
            Self::Row(order, true) => write!(f, "a ring: {}", names(order, " - ")),
            Self::Row(order, false) => write!(f, "a chain: {}", names(order, " - ")),
        }
    }
}

impl Network {
    pub(crate) fn new(nodes: usize, rng: Rng) -> Self {
        Self {
            nodes,
            links: vec![Link::default(); nodes * nodes],
            rng,
            calm: false,
            struck: Vec::new(),
            isolated: vec![false; nodes],
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
        self.isolated.fill(false);
    }

    pub(crate) fn isolate(&mut self, node: usize, isolated: bool) {
        self.isolated[node] = isolated;
    }

    pub(crate) fn is_isolated(&self, node: usize) -> bool {
        self.isolated[node]
    }

    pub(crate) fn set_delays(&mut self, delays: Delays) {
        self.delays = Some(delays);
    }

    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.links[from * self.nodes + to].cut || self.isolated[from] || self.isolated[to]
    }

    /// Cuts and mends links so that they have this shape.
    pub(crate) fn take_shape(&mut self, shape: &Shape) {
        for from in 0..self.nodes {
            for to in 0..self.nodes {
                self.link(from, to).cut = is_cut_by(shape, from, to);
            }
        }
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize, cut: bool) {
        self.link(from, to).cut = cut;
    }

    /// A link stands and is as fast as others; what it holds back it still holds back.
    pub(crate) fn mend(&mut self, from: usize, to: usize) {
        let link = self.link(from, to);
        (link.cut, link.slower, link.bandwidth) = (false, 0, 0);
    }

    pub(crate) fn slow(&mut self, from: usize, to: usize, slower: u32) {
        self.link(from, to).slower = slower;
    }

    pub(crate) fn limit(&mut self, from: usize, to: usize, bytes_per_second: u64) {
        self.link(from, to).bandwidth = bytes_per_second;
    }

    pub(crate) fn clog(&mut self, from: usize, to: usize, until: u64) {
        self.link(from, to).clogged_until = until;
    }

    /// Something that befell frames since this was last asked, until nothing is left.
    pub(crate) fn next_struck(&mut self) -> Option<Fault> {
        self.struck.pop()
    }

    /// Decides what becomes of a frame of this many bytes, which answers another or does not.
    pub(crate) fn fate(
        &mut self,
        plan: &Plan,
        now: u64,
        (from, to): (usize, usize),
        (bytes, is_reply): (usize, bool),
    ) -> Fate {
        // The draws come first and always, so that the state of a link changes none that follow.
        let lost = self.rng.chance(plan.drop);
        let again = self.rng.chance(plan.duplicate);
        let replayed = self.rng.chance(plan.replay);
        let delay = match &self.delays {
            Some(delays) => delays.draw(&mut self.rng, is_reply),
            None => self.delay(plan),
        };
        let other_delay = self.delay(plan);
        let much_later = self.rng.heavy_tailed(Duration::from_secs(2));
        let calm = self.calm;
        let is_cut = self.is_cut(from, to);
        let link = self.link(from, to);
        if is_cut {
            return Fate::Lost;
        }
        if lost && !calm {
            self.struck.push(Fault::Drop);
            return Fate::Lost;
        }
        let mut at = now + nanos(delay) * u64::from(link.slower.max(1));
        at = at.max(link.clogged_until);
        if let Some(takes) = (bytes as u64 * 1_000_000_000).checked_div(link.bandwidth) {
            at = at.max(link.busy_until) + takes;
            link.busy_until = at;
        } else if calm || !plan.has(Fault::Reorder) {
            at = at.max(link.busy_until + 1);
            link.busy_until = at;
        }
        let is_overtaking = at < link.latest;
        link.latest = link.latest.max(at);
        let mut arrivals = Arrivals::default();
        arrivals.push(Duration::from_nanos(at - now));
        if again && !calm {
            arrivals.push(Duration::from_nanos(at - now) + other_delay);
            self.struck.push(Fault::Duplicate);
        }
        if replayed && !calm {
            arrivals.push(much_later);
            self.struck.push(Fault::Replay);
        }
        if is_overtaking && !calm && plan.has(Fault::Reorder) {
            self.struck.push(Fault::Reorder);
        }
        if delay > plan.delay * 8 && !calm {
            self.struck.push(Fault::HeavyTail);
        }
        Fate::Arrives(arrivals)
    }

    fn delay(&mut self, plan: &Plan) -> Duration {
        let heavy = self.rng.heavy_tailed(plan.delay);
        let mean = nanos(plan.delay);
        let even = Duration::from_nanos(self.rng.range(mean / 2..mean + mean / 2));
        if self.calm {
            return even.min(Duration::from_millis(10));
        }
        if plan.has(Fault::HeavyTail) { heavy } else { even }
    }

    fn link(&mut self, from: usize, to: usize) -> &mut Link {
        &mut self.links[from * self.nodes + to]
    }
}

fn is_cut_by(shape: &Shape, from: usize, to: usize) -> bool {
    match shape {
        Shape::Whole => false,
        Shape::Split(left, right) => {
            (left.contains(&from) && right.contains(&to))
                || (right.contains(&from) && left.contains(&to))
        }
        Shape::Mute(node) => from == *node,
        Shape::Deaf(node) => to == *node,
        Shape::Row(order, round) => {
            let place = |node| order.iter().position(|other| *other == node);
            let (Some(a), Some(b)) = (place(from), place(to)) else { return false };
            let apart = a.abs_diff(b);
            apart > 1 && !(*round && apart == order.len() - 1)
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
