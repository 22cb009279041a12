// The run as it was recorded: events as objects, flights of frames, operations of clients, and words.

const raw = JSON.parse(document.getElementById("run").textContent);
const header = raw.header;
const NODES = header.nodes;
const END = header.simulated;
// Events number nodes from 1; a run of the lab names them from 0.
const named = (node) => `n${node - (header.numbered_from === 0 ? 1 : 0)}`;
// What is quicker than this is drawn as if it took so long.
const SHORTEST = header.shortest_flight || 0;

// Each event is [nanoseconds since the one before, kind, fields..]; fields that end in $ are texts.
function decodeEvents() {
  let at = 0;
  return raw.events.map((row, index) => {
    at += row[0];
    const kind = raw.kinds[row[1]];
    const event = { index, at, event: kind.name };
    kind.fields.forEach((field, place) => {
      const value = row[place + 2];
      if (field.endsWith("$")) event[field.slice(0, -1)] = value === null ? null : raw.texts[value];
      else event[field] = value;
    });
    return event;
  });
}

const events = decodeEvents();
const times = Float64Array.from(events, (event) => event.at);

// Every way of a frame from its sender to its receiver; a lost one ends on the way.
const flights = [];
const flightsOf = new Map();
// Every request of a client, in lanes.
const operations = [];
const lanes = Array.from({ length: header.clients }, () => []);

// When a flight is drawn: what is answered at once leaves when what it answers is seen to be there.
const drawnUntil = new Map();
function stretch(way) {
  const { from, to } = way.event;
  const seen = drawnUntil.get(`${to} ${from}`);
  way.d0 = SHORTEST && seen && seen.t1 === way.t0 ? Math.max(way.t0, seen.d1) : way.t0;
  way.d1 = Math.max(way.t1, way.d0 + SHORTEST);
  if (SHORTEST) drawnUntil.set(`${from} ${to}`, way);
}

(function follow() {
  const byRequest = new Map();
  for (const event of events) {
    if (event.event === "sends") {
      const ways = event.arrives.map((after) => ({ event, t0: event.at, t1: event.at + after, fate: null }));
      if (ways.length === 0) ways.push({ event, t0: event.at, t1: event.at + 12e6, fate: "lost" });
      flightsOf.set(event.frame, ways);
      for (const way of ways) { stretch(way); flights.push(way); }
    } else if (event.event === "arrives") {
      const ways = flightsOf.get(event.frame) || [];
      const way = ways.find((one) => one.t1 === event.at) || ways[0];
      event.sent = way ? way.event : null;
      if (way) way.fate = event.fate;
    } else if (event.event === "asks") {
      const operation = { asked: event, ended: null, t0: event.at, t1: END };
      byRequest.set(event.request, operation);
      operations.push(operation);
      lanes[event.client].push(operation);
    } else if (event.event === "ends") {
      const operation = byRequest.get(event.request);
      if (operation) { operation.ended = event; operation.t1 = event.at; event.asked = operation.asked; }
    }
  }
})();

// Flights by slices of time, so that those of a moment are found at once.
const SLICE = 50e6;
const slices = Array.from({ length: Math.floor(END / SLICE) + 2 }, () => []);
for (const flight of flights) {
  const last = Math.min(slices.length - 1, Math.floor(flight.d1 / SLICE) + 4);
  for (let at = Math.floor(flight.t0 / SLICE); at <= last; at += 1) slices[at].push(flight);
}

// Number of events at or before a time.
function eventsBefore(time) {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1; else high = middle;
  }
  return low;
}

const CATEGORIES = [
  { id: "roles", name: "roles", color: "#8a6de0", kinds: ["role", "votes"] },
  { id: "faults", name: "faults", color: "#d6584f", kinds: ["strikes", "network", "link", "dies", "opens", "starts", "disk-fails", "mended", "broken"] },
  { id: "logs", name: "logs", color: "#4e79d8", kinds: ["appends", "truncates", "commits", "applies"] },
  { id: "disk", name: "disk", color: "#c9a227", kinds: ["saves", "persists", "fences", "reads-back", "snapshot"] },
  { id: "frames", name: "messages", color: "#2aa3b8", kinds: ["sends", "arrives"] },
  { id: "links", name: "connections", color: "#8793a5", kinds: ["connects", "closes"] },
  { id: "clients", name: "clients", color: "#2b9a66", kinds: ["asks", "ends", "clients-stop"] },
];
const categoryOf = new Map();
for (const category of CATEGORIES) for (const kind of category.kinds) categoryOf.set(kind, category);

const KEY_KINDS = new Set(["strikes", "network", "dies", "starts", "disk-fails", "mended", "broken", "truncates", "snapshot"]);
function isKey(event) {
  return KEY_KINDS.has(event.event) || (event.event === "role" && event.role !== "follower");
}

const seconds = (at) => (at / 1e9).toFixed(6);
const span = ([first, last, term]) => (first === last ? `${first}@${term}` : `${first}..${last}@${term}`);
const frameWords = (sent) => [sent.kind, sent.term === null ? "" : `t${sent.term}`, sent.says].filter(Boolean).join(" ");

const FATES = { "cut-off": "is cut off", corrupt: "is damaged and dropped", nobody: "finds nobody" };
const LINKS = { cut: "is cut", stands: "stands", slow: "is slow", narrow: "carries few bytes", clogged: "is clogged" };
const SNAPSHOTS = {
  taken: "takes a snapshot up to", received: "has received the snapshot up to",
  "log-begins": "has a log that begins after", restored: "restores the state after",
};
const ENDS = { answered: "is answered", refused: "is refused", unknown: "does not know" };

const WORDS = {
  opens: (e) => `${named(e.node)} opens its directory`,
  starts: (e) => `${named(e.node)} starts, boot ${e.boot}, t${e.term}, last=${e.log.length ? span(e.log.at(-1)).replace(/.*\.\./, "") : "0@0"} commit=${e.commit}${e.torn ? ", torn tail cut" : ""}`,
  dies: (e) => `${named(e.node)} dies${e.unsynced ? "; what was not synced is at risk" : ""}`,
  role: (e) => `${named(e.node)} is ${e.role} in t${e.term}${e.leader ? ` under ${named(e.leader)}` : ""}`,
  votes: (e) => (e.vote && header.verdict ? `${named(e.node)} votes for ${named(e.vote)} in t${e.term}` : e.vote ? `${named(e.node)} writes its vote for ${named(e.vote)} in t${e.term}` : `${named(e.node)} writes t${e.term}`),
  truncates: (e) => `${named(e.node)} cuts its log from ${e.from}`,
  appends: (e) => `${named(e.node)} appends ${e.log.map(span).join(", ")}`,
  saves: (e) => `${named(e.node)} saves ${e.bytes} bytes`,
  persists: (e) => `${named(e.node)} has up to ${e.last} on disk`,
  fences: (e) => `${named(e.node)} fences its log`,
  "reads-back": (e) => `${named(e.node)} reads ${e.first}..${e.last} back${e.failed ? ", in vain" : ""}`,
  snapshot: (e) => `${named(e.node)} ${SNAPSHOTS[e.step]} ${e.last}@${e.term}`,
  commits: (e) => `${named(e.node)} commits up to ${e.reached}`,
  applies: (e) => `${named(e.node)} applies up to ${e.reached}`,
  "disk-fails": (e) => `${named(e.node)} stops: ${e.error}`,
  sends: (e) => `${named(e.from)}→${named(e.to)} #${e.frame} sends ${frameWords(e)}${e.arrives.length === 0 ? ", lost" : e.arrives.length > 1 ? `, ${e.arrives.length} times` : ""}`,
  arrives: (e) => `${named(e.from)}→${named(e.to)} #${e.frame} ${FATES[e.fate] || `takes ${e.sent ? frameWords(e.sent) : "it"}`}`,
  connects: (e) => `${named(e.node)} connects with ${named(e.peer)}`,
  closes: (e) => `${named(e.node)} loses its connection with ${named(e.peer)}`,
  strikes: (e) => `${e.fault} strikes${e.node ? ` ${named(e.node)}` : ""}${e.until ? ` until ${seconds(e.until)} s` : ""}`,
  network: (e) => `the network is ${e.shape}`,
  link: (e) => `link ${named(e.from)}→${named(e.to)} ${LINKS[e.state]}`,
  asks: (e) => `c${e.client} asks ${named(e.node)} #${e.request} ${e.what}`,
  ends: (e) => `c${e.client} #${e.request} ${ENDS[e.outcome]}${e.what ? `: ${e.what}` : ""}`,
  mended: () => "nothing goes wrong any more",
  "clients-stop": () => "clients stop",
  broken: (e) => `BROKEN ${e.invariant}: ${e.what}`,
};
const words = (event) => WORDS[event.event](event);
