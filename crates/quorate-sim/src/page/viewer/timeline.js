// The whole run at a glance: who had which role when, where faults struck, and the slider over it.

const timeline = surface("timeline");
const EDGE = 26;
let timelinePicture = null;

// Stretches of one role on one node.
const stretches = Array.from({ length: NODES }, () => []);
const pauses = [];
const strikes = [];
let mendedAt = null;
let brokenAt = null;

(function collect() {
  const open = stretches.map(() => ({ from: 0, role: "down", term: 0 }));
  const turn = (node, at, role, term) => {
    const before = open[node - 1];
    if (at > before.from) stretches[node - 1].push({ ...before, to: at });
    open[node - 1] = { from: at, role, term };
  };
  for (const event of events) {
    if (event.event === "role") turn(event.node, event.at, event.role, event.term);
    else if (event.event === "starts") turn(event.node, event.at, "follower", event.term);
    else if (event.event === "dies") turn(event.node, event.at, "down", 0);
    else if (event.event === "strikes") {
      strikes.push(event);
      if (event.fault === "pause") pauses.push(event);
    } else if (event.event === "mended") mendedAt ??= event.at;
    else if (event.event === "broken") brokenAt = event.at;
  }
  open.forEach((last, at) => stretches[at].push({ ...last, to: END }));
})();

const timelineX = (at) => EDGE + (at / END) * (timeline.width - EDGE - 20);
const timelineTime = (x) => Math.max(0, Math.min(END, ((x - EDGE) / (timeline.width - EDGE - 20)) * END));

function paintTimeline() {
  const picture = document.createElement("canvas");
  const ratio = window.devicePixelRatio || 1;
  picture.width = timeline.canvas.width;
  picture.height = timeline.canvas.height;
  const context = picture.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const top = 14, room = timeline.height - top - 12, height = room / NODES;
  paintScale(context, top, room);
  stretches.forEach((parts, at) => {
    const y = top + at * height;
    if (height >= 8) label(context, named(at + 1), 6, y + height / 2, { size: Math.min(10, height), color: colors.soft });
    for (const part of parts) paintStretch(context, part, y, height);
  });
  for (const pause of pauses) {
    const x = timelineX(pause.at);
    context.fillStyle = colors.warn;
    context.fillRect(x, top + (pause.node - 1) * height + height - 3, Math.max(2, timelineX(Math.min(END, pause.until)) - x), 2);
  }
  context.fillStyle = colors.bad;
  for (const strike of strikes) context.fillRect(timelineX(strike.at) - 0.5, timeline.height - 9, 1.2, 6);
  if (mendedAt !== null) paintFlag(context, mendedAt, colors.good, "mended");
  if (brokenAt !== null) paintFlag(context, brokenAt, colors.bad, "broken");
  timelinePicture = picture;
}

function paintScale(context, top, room) {
  const step = [1e8, 2e8, 5e8, 1e9, 2e9, 5e9, 1e10, 2e10, 5e10, 1e11, 1e12].find((one) => END / one <= 14) || 1e13;
  for (let at = 0; at <= END; at += step) {
    context.fillStyle = colors.grid;
    context.fillRect(timelineX(at), top - 2, 1, room + 4);
    const isCovered = [mendedAt, brokenAt].some((flag) => flag !== null && Math.abs(timelineX(at) - timelineX(flag) - 20) < 50);
    if (!isCovered) label(context, `${at / 1e9} s`, timelineX(at), 7, { size: 10, color: colors.faint, align: "center" });
  }
}

function paintStretch(context, part, y, height) {
  const x = timelineX(part.from), width = Math.max(0.75, timelineX(part.to) - x);
  const bottom = Math.max(1.5, height - 2);
  if (part.role === "leader") {
    context.fillStyle = termColor(part.term);
    context.fillRect(x, y + 1, width, bottom);
  } else if (part.role === "down") {
    context.fillStyle = colors.bad;
    context.globalAlpha = 0.35;
    context.fillRect(x, y + 1, width, bottom);
  } else if (part.role === "follower") {
    context.fillStyle = termColor(part.term);
    context.globalAlpha = 0.2;
    context.fillRect(x, y + 1, width, bottom);
  } else {
    context.fillStyle = colors.soft;
    context.globalAlpha = part.role === "candidate" ? 0.95 : 0.45;
    context.fillRect(x, y + 1, Math.max(1.5, width), bottom);
  }
  context.globalAlpha = 1;
}

function paintFlag(context, at, color, text) {
  const x = timelineX(at);
  context.fillStyle = color;
  context.fillRect(x - 0.75, 0, 1.5, timeline.height);
  const right = x > timeline.width - 90;
  context.font = `600 10px ${FONT}`;
  const width = context.measureText(text).width + 8;
  context.fillRect(right ? x - width : x, 0, width, 13);
  label(context, text, right ? x - width + 4 : x + 4, 7, { size: 10, weight: 600, color: colors.panel });
}

function drawTimeline(time) {
  const context = timeline.begin();
  if (!timelinePicture) paintTimeline();
  context.drawImage(timelinePicture, 0, 0, timeline.width, timeline.height);
  const x = timelineX(time);
  context.fillStyle = colors.text;
  context.fillRect(x - 1, 0, 2, timeline.height);
  context.beginPath();
  context.arc(x, timeline.height - 6, 5, 0, 2 * Math.PI);
  context.fill();
}

function timelineTip(x) {
  const time = timelineTime(x);
  const near = strikes.filter((one) => Math.abs(timelineX(one.at) - x) < 3).slice(0, 6);
  return [`${seconds(time)} s`, ...near.map((one) => words(one))].join("\n");
}
