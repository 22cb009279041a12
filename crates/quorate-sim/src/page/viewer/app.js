// The moment that is shown, and everything that moves it.

const SPEEDS = [[0.002, "1/500"], [0.005, "1/200"], [0.01, "1/100"], [0.02, "1/50"], [0.05, "1/20"], [0.1, "1/10"], [0.25, "1/4"], [0.5, "1/2"], [1, "1"], [2, "2"], [5, "5"], [10, "10"], [30, "30"]];

const element = (id) => document.getElementById(id);
let state = newState();
let time = 0;
let playing = false;
let speed = 0.02;
let lastFrame = 0;
let dirty = true;
let ready = false;

// Shows the world at a time, after the first `count` events.
function show(at, count) {
  time = Math.max(0, Math.min(END, at));
  state = moveState(state, count === undefined ? eventsBefore(time) : count);
  dirty = true;
}

const seek = (at) => show(at);
function seekEvent(index) {
  const event = events[Math.max(0, Math.min(events.length - 1, index))];
  if (event) { show(event.at, event.index + 1); scrollToRow(shownBefore(event.index + 1)); }
}

function step(direction, wanted) {
  pause();
  let index = state.applied - 1 + direction;
  if (wanted) while (index >= 0 && index < events.length && !wanted(events[index])) index += direction;
  if (index >= events.length) show(END, events.length);
  else if (index < 0) show(0, 0);
  else seekEvent(index);
}

const isShown = (event) => { const at = shownBefore(event.index + 1); return at >= 0 && shown[at] === event.index; };

function play() {
  if (time >= END) show(0, 0);
  playing = true;
  lastFrame = performance.now();
  dirty = true;
}
function pause() { playing = false; dirty = true; }

function frame(now) {
  if (playing) {
    const passed = Math.min(100, now - lastFrame);
    lastFrame = now;
    const before = state.applied;
    show(time + passed * 1e6 * speed);
    if (time >= END) pause();
    if (state.applied !== before) scrollToRow(shownBefore(state.applied));
  }
  if (dirty) draw();
  requestAnimationFrame(frame);
}

function draw() {
  dirty = false;
  drawRing(state, time, Math.max(1.5e6, speed * 0.18e9));
  drawLogs(state, time);
  drawLanes(time);
  drawTimeline(time);
  drawList(state.applied);
  element("slider").value = Math.round((time / END) * 1e6);
  element("clock").firstChild.textContent = seconds(time);
  element("play").classList.toggle("playing", playing);
  const shape = element("shape");
  const cuts = state.cut.filter(Boolean).length;
  shape.textContent = cuts ? (state.shape === "whole" ? `${cuts} ways cut` : state.shape) : state.calm ? "nothing goes wrong any more" : "";
  shape.classList.toggle("cut", cuts > 0);
  const latest = events[state.applied - 1];
  element("now").textContent = latest ? words(latest).split("\n")[0] : "before the beginning";
  const open = operations.length ? "" : "nothing asked";
  element("clients-note").textContent = open || `${state.answered} answered, ${state.refused} refused, ${state.unknown} unknown`;
}

function fit() {
  for (const one of [ring, logs, clients, timeline]) one.fit();
  timelinePicture = null;
  // A canvas that changes its size is empty until it is drawn again.
  if (ready) draw();
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  readColors();
  fit();
}

function fillHead() {
  element("seed").textContent = header.name ? `${header.name}, seed ${header.seed}` : `seed ${header.seed}`;
  const fact = (text, name) => element("facts").append(Object.assign(document.createElement("span"), { textContent: text, className: name || "" }));
  if (header.broken) fact(header.verdict || "a rule is broken", "bad"); else fact(header.verdict || "all rules hold", "good");
  const faults = header.faults.length ? `${header.faults.length} kinds of faults` : "no faults";
  const facts = header.facts || [`${header.nodes} nodes`, `${header.clients} clients`, `${Math.round(END / 1e9)} s`, faults];
  for (const text of facts) fact(text);
  element("replay").textContent = header.replay;
  element("replay").title = header.replay;
  const hash = header.hash ? { hash: header.hash } : {};
  for (const [name, value] of Object.entries({ ...header.parameters, ...hash, version: header.quorate })) {
    const row = element("parameters").insertRow();
    row.insertCell().textContent = name;
    row.insertCell().textContent = String(value).replaceAll(",", ", ");
  }
  const flown = new Set(flights.map((flight) => styleOf(flight.event.kind)));
  for (const style of FRAME_STYLES.filter((one) => flown.has(one))) {
    const mark = Object.assign(document.createElement("i"), { className: style.open ? "ringed" : "" });
    mark.style.background = style.color;
    mark.style.borderColor = style.color;
    const item = document.createElement("span");
    item.append(mark, style.name);
    element("legend").append(item);
  }
  // A lane needs only so much room, and the pictures above have use for the rest.
  if (lanes.length <= 4) document.querySelector("main").style.gridTemplateRows = `minmax(0, 1fr) ${100 + 30 * lanes.length}px`;
  if (header.broken) fillBanner();
}

function fillBanner() {
  const event = events.findLast((one) => one.event === "broken");
  element("banner").hidden = false;
  element("banner-name").textContent = `Broken: ${header.broken.invariant}`;
  element("banner-what").textContent = header.broken.what.split("\n")[0];
  element("banner-jump").textContent = `go to ${seconds(event ? event.at : END)} s`;
  element("banner-jump").onclick = () => { pause(); seekEvent(event ? event.index : events.length - 1); };
  if (header.broken.what.length > 110) {
    element("banner-more").hidden = false;
    element("banner-text").textContent = header.broken.what;
    element("banner-more").addEventListener("toggle", fit);
  }
}

function fillControls() {
  element("clock").append("", Object.assign(document.createElement("small"), { textContent: ` / ${(END / 1e9).toFixed(0)} s` }));
  for (const [value, name] of SPEEDS) element("speed").append(new Option(`${name} ×`, value, false, value === speed));
  element("speed").onchange = (event) => { speed = Number(event.target.value); dirty = true; event.target.blur(); };
  element("play").onclick = () => (playing ? pause() : play());
  element("back").onclick = () => step(-1, isShown);
  element("forward").onclick = () => step(1, isShown);
  element("key-back").onclick = () => step(-1, isKey);
  element("key-forward").onclick = () => step(1, isKey);
  element("first").onclick = () => { pause(); show(0, 0); scrollToRow(0); };
  element("last").onclick = () => { pause(); show(END, events.length); scrollToRow(shown.length - 1); };
  element("slider").oninput = (event) => { show((Number(event.target.value) / 1e6) * END); scrollToRow(shownBefore(state.applied)); };
  element("theme").onclick = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  element("copy").onclick = () => navigator.clipboard?.writeText(header.replay).then(() => { element("copy").textContent = "copied"; });
  for (const category of CATEGORIES) {
    const button = document.createElement("button");
    button.append(Object.assign(document.createElement("i"), { style: `background:${category.color}` }), category.name);
    button.setAttribute("aria-pressed", "true");
    button.onclick = () => {
      if (!hidden.delete(category.id)) hidden.add(category.id);
      button.setAttribute("aria-pressed", String(!hidden.has(category.id)));
      refilter();
    };
    element("kinds").append(button);
  }
  element("filter").oninput = refilter;
  list.addEventListener("scroll", () => { dirty = true; });
  listRows.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) { pause(); seekEvent(Number(row.dataset.index)); }
  });
}

function refilter() {
  filterEvents();
  scrollToRow(shownBefore(state.applied));
  dirty = true;
}

const KEYS = {
  " ": () => (playing ? pause() : play()),
  ArrowLeft: (event) => step(-1, event.shiftKey ? isKey : isShown),
  ArrowRight: (event) => step(1, event.shiftKey ? isKey : isShown),
  Home: () => element("first").click(),
  End: () => element("last").click(),
};

function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.target.id === "filter" || event.target.tagName === "SELECT") return;
    const act = KEYS[event.key];
    if (act) { event.preventDefault(); act(event); }
  });
}

function showTips() {
  const tip = element("tip");
  const over = (one, find) => {
    one.addEventListener("mousemove", (event) => {
      const box = one.getBoundingClientRect();
      const text = find(event.clientX - box.left, event.clientY - box.top);
      tip.hidden = !text;
      if (!text) return;
      tip.textContent = text;
      tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
      tip.style.top = `${Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8)}px`;
    });
    one.addEventListener("mouseleave", () => { tip.hidden = true; });
  };
  over(ring.canvas, (x, y) => ringTargets.findLast((one) => Math.hypot(one.x - x, one.y - y) <= one.size)?.text);
  over(logs.canvas, logTip);
  over(clients.canvas, (x, y) => laneTip(x, y, time));
  over(element("slider"), timelineTip);
  clients.canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomLanes(event.deltaY > 0 ? 1.25 : 0.8);
    dirty = true;
  }, { passive: false });
}

// The place in the address: `#t=12.5` seconds, `#event=812`, and `theme=dark`.
function readAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const dark = window.matchMedia && matchMedia("(prefers-color-scheme: dark)").matches;
  setTheme(wanted.get("theme") || (dark ? "dark" : "light"));
  if (wanted.has("event")) seekEvent(Number(wanted.get("event")));
  else if (wanted.has("t")) { seek(Number(wanted.get("t")) * 1e9); scrollToRow(shownBefore(state.applied)); }
}

window.quorate = {
  header, events, seek: (at) => { pause(); seek(at * 1e9); draw(); }, seekEvent: (index) => { pause(); seekEvent(index); draw(); },
  state: () => copyState(state), stateAfter, time: () => time / 1e9, play, pause, words: (index) => words(events[index]),
};

fillHead();
fillControls();
listenToKeys();
filterEvents();
readAddress();
showTips();
ready = true;
new ResizeObserver(fit).observe(document.body);
draw();
requestAnimationFrame(frame);
