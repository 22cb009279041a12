// What the world is like after each event. Snapshots at regular places make going back as quick as
// going on: the state of any moment is the nearest snapshot and the events since.

const SNAPSHOT_EVERY = 500;
const snapshots = [];

const sole = () => new Array(NODES * NODES).fill(null);
const linkAt = (from, to) => (from - 1) * NODES + (to - 1);

function newNode(number) {
  return {
    number, status: "down", role: "down", term: 0, vote: null, leader: null, boot: 0,
    log: [], base: 0, snapshot: 0, persisted: 0, commit: 0, applied: 0, lost: null, kept: null,
    pausedUntil: 0, stuckUntil: 0, slowUntil: 0, fullUntil: 0, next: null, deaths: 0,
  };
}

function newState() {
  return {
    applied: 0, at: 0,
    nodes: Array.from({ length: NODES }, (_, at) => newNode(at + 1)),
    cut: sole(), links: sole(), shape: "whole", calm: false, broken: null,
    frames: 0, lost: 0, answered: 0, refused: 0, unknown: 0,
  };
}

function copyState(state) {
  return {
    ...state,
    nodes: state.nodes.map((node) => ({ ...node, log: node.log.map((part) => part.slice()) })),
    cut: state.cut.slice(), links: state.links.slice(),
  };
}

const lastOf = (log) => (log.length ? log[log.length - 1][1] : 0);

function termAt(log, index) {
  let low = 0, high = log.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (index < log[middle][0]) high = middle - 1;
    else if (index > log[middle][1]) low = middle + 1;
    else return log[middle][2];
  }
  return 0;
}

function cutLog(log, from) {
  while (log.length && log[log.length - 1][0] >= from) log.pop();
  if (log.length && lastOf(log) >= from) log[log.length - 1][1] = from - 1;
}

function growLog(log, parts) {
  for (const [first, last, term] of parts) {
    cutLog(log, first);
    const end = log[log.length - 1];
    if (end && end[2] === term) end[1] = last; else log.push([first, last, term]);
  }
}

// The entries of a log that another does not have: what a crash took.
function missing(before, after) {
  const end = lastOf(before);
  let index = Math.min(end, lastOf(after));
  while (index > 0 && termAt(before, index) !== termAt(after, index)) index -= 1;
  return index < end ? { from: index + 1, to: end, log: before } : null;
}

const STEPS = {
  opens(state, node) { node.status = "opening"; node.role = "opening"; },
  starts(state, node, event) {
    const log = event.log.map((part) => part.slice());
    const took = node.kept ? missing(node.kept, log) : null;
    node.lost = took && { ...took, at: event.at };
    Object.assign(node, {
      status: "up", role: "follower", leader: null, boot: event.boot, term: event.term, vote: event.vote,
      log, base: event.base, persisted: lastOf(log), commit: event.commit, applied: 0, kept: null,
    });
  },
  dies(state, node) {
    node.kept = node.status === "up" ? node.log.map((part) => part.slice()) : node.kept;
    Object.assign(node, { status: "down", role: "down", leader: null, deaths: node.deaths + 1, next: null, lost: null });
  },
  role(state, node, event) {
    Object.assign(node, { role: event.role, term: event.term, leader: event.leader });
  },
  votes(state, node, event) { node.term = event.term; node.vote = event.vote; },
  truncates(state, node, event) {
    cutLog(node.log, event.from);
    node.persisted = Math.min(node.persisted, event.from - 1);
  },
  appends(state, node, event) {
    growLog(node.log, event.log);
    if (node.lost && lastOf(node.log) >= node.lost.to) node.lost = null;
  },
  persists(state, node, event) { node.persisted = event.last; },
  snapshot(state, node, event) {
    if (event.step === "taken" || event.step === "received") node.snapshot = Math.max(node.snapshot, event.last);
    else if (event.step === "restored") node.applied = event.last;
    else {
      // A log that holds another entry there, or none, is replaced as a whole.
      if (termAt(node.log, event.last) !== event.term) node.log = [[1, event.last, event.term]];
      node.base = event.last;
      node.persisted = Math.max(node.persisted, event.last);
      node.commit = Math.max(node.commit, event.last);
    }
  },
  commits(state, node, event) { node.commit = event.reached; },
  applies(state, node, event) { node.applied = event.reached; },
  sends(state, _, event) { state.frames += 1; state.lost += event.arrives.length === 0 ? 1 : 0; },
  strikes(state, node, event) {
    if (!node) return;
    if (event.fault === "pause") node.pausedUntil = event.until;
    else if (event.fault === "stuck-disk") node.stuckUntil = event.until;
    else if (event.fault === "slow-node") node.slowUntil = event.until;
    else if (event.fault === "disk-full") node.fullUntil = event.until;
    else if (["write-error", "sync-error", "apply-panic"].includes(event.fault)) node.next = event.fault;
  },
  network(state, _, event) {
    state.cut = sole();
    for (const [from, to] of event.cut) state.cut[linkAt(from, to)] = "cut";
    state.shape = event.shape;
  },
  link(state, _, event) {
    const at = linkAt(event.from, event.to);
    if (event.state === "cut") state.cut[at] = "cut";
    else if (event.state === "stands") { state.cut[at] = null; state.links[at] = null; }
    else state.links[at] = { state: event.state, until: event.until };
  },
  ends(state, _, event) { state[event.outcome] += 1; },
  mended(state) {
    state.calm = true; state.cut = sole(); state.links = sole(); state.shape = "whole";
    for (const node of state.nodes) Object.assign(node, { pausedUntil: 0, stuckUntil: 0, slowUntil: 0, fullUntil: 0 });
  },
  broken(state, _, event) { state.broken = event; },
};

function applyEvent(state, event) {
  const step = STEPS[event.event];
  if (step) step(state, event.node ? state.nodes[event.node - 1] : null, event);
  state.applied = event.index + 1;
  state.at = event.at;
}

(function takeSnapshots() {
  const state = newState();
  for (const event of events) {
    if (event.index % SNAPSHOT_EVERY === 0) snapshots.push(copyState(state));
    applyEvent(state, event);
  }
  snapshots.push(copyState(state));
})();

// The state after the first `count` events, made from the nearest snapshot.
function stateAfter(count) {
  const state = copyState(snapshots[Math.min(snapshots.length - 1, Math.floor(count / SNAPSHOT_EVERY))]);
  while (state.applied < count) applyEvent(state, events[state.applied]);
  return state;
}

// The state after the first `count` events, from where a state stands if that is nearer.
function moveState(state, count) {
  if (count < state.applied || count - state.applied > SNAPSHOT_EVERY) return stateAfter(count);
  while (state.applied < count) applyEvent(state, events[state.applied]);
  return state;
}
