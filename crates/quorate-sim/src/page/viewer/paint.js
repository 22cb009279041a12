// What all pictures share: sizes, colours, text.

const TERM_COLORS = ["#4e79d8", "#e08a2e", "#2fa57a", "#c2559d", "#8a6de0", "#8f9a2a", "#d6584f", "#2aa3b8"];
const termColor = (term) => (term ? TERM_COLORS[(term - 1) % TERM_COLORS.length] : "#8793a5");

const FRAME_STYLES = [
  { name: "append", color: "#4e79d8", kinds: ["append"], size: 6 },
  { name: "heartbeat", color: "#8793a5", kinds: ["heartbeat", "notice"], size: 4 },
  { name: "append reply", color: "#4e79d8", kinds: ["append-reply"], size: 4, open: true },
  { name: "vote", color: "#c2559d", kinds: ["vote", "vote-reply"], size: 6 },
  { name: "pre-vote", color: "#e08a2e", kinds: ["pre-vote", "pre-vote-reply"], size: 5 },
  { name: "read", color: "#2fa57a", kinds: ["read-index", "read-index-reply"], size: 4 },
  { name: "snapshot", color: "#8f9a2a", kinds: ["snapshot", "offer-snapshot", "snapshot-chunk", "snapshot-reply"], size: 6 },
  { name: "call", color: "#8a6de0", kinds: ["call", "call-reply"], size: 5 },
  { name: "forwarded call", color: "#8a6de0", kinds: ["forward", "forward-reply"], size: 4 },
];
const frameStyle = new Map();
for (const style of FRAME_STYLES) for (const kind of style.kinds) frameStyle.set(kind, style);
const styleOf = (kind) => frameStyle.get(kind) || FRAME_STYLES[1];

let colors = {};
function readColors() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["page", "panel", "edge", "text", "soft", "faint", "line", "grid", "accent", "bad", "good", "warn", "answered", "refused", "unknown", "waits", "node", "down", "mark", "inbar"]) {
    colors[name] = style.getPropertyValue(`--${name}`).trim();
  }
}

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

// A canvas that knows its size; `begin` clears it and gives a context in CSS pixels.
function surface(id) {
  const canvas = document.getElementById(id);
  const self = { canvas, width: 0, height: 0, context: canvas.getContext("2d") };
  self.fit = () => {
    const ratio = window.devicePixelRatio || 1;
    const box = canvas.parentElement.getBoundingClientRect();
    self.width = Math.max(1, Math.round(box.width));
    self.height = Math.max(1, Math.round(box.height));
    canvas.width = Math.round(self.width * ratio);
    canvas.height = Math.round(self.height * ratio);
  };
  self.begin = () => {
    const ratio = window.devicePixelRatio || 1;
    self.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    self.context.clearRect(0, 0, self.width, self.height);
    return self.context;
  };
  return self;
}

function label(context, text, x, y, { size = 11, weight = 400, color = colors.text, align = "left", base = "middle", room, halo } = {}) {
  context.font = `${weight} ${size}px ${FONT}`;
  context.textAlign = align;
  context.textBaseline = base;
  context.fillStyle = color;
  if (room !== undefined && context.measureText(text).width > room) {
    while (text.length > 1 && context.measureText(`${text}…`).width > room) text = text.slice(0, -1);
    text += "…";
  }
  if (halo) {
    context.lineWidth = 4;
    context.lineJoin = "round";
    context.strokeStyle = halo;
    context.strokeText(text, x, y);
  }
  context.fillText(text, x, y);
}

function bar(context, x, y, width, height, radius) {
  context.beginPath();
  context.roundRect(x, y, width, height, Math.max(0, Math.min(radius, width / 2, height / 2)));
}
