// What clients asked for, a lane for each, with the moment at a fixed place.

const clients = surface("clients");
const LANE_LABEL = 36;
const NOW_AT = 0.66;
let laneSpan = 3e9;
let laneTargets = [];

function drawLanes(time) {
  const context = clients.begin();
  laneTargets = [];
  const axis = 16, width = clients.width - LANE_LABEL - 10;
  const from = time - laneSpan * NOW_AT, to = from + laneSpan;
  const place = (at) => LANE_LABEL + ((at - from) / laneSpan) * width;
  const height = Math.min(26, (clients.height - axis - 4) / Math.max(1, lanes.length));
  drawLaneAxis(context, from, to, place, axis);
  context.save();
  context.beginPath();
  context.rect(LANE_LABEL, 0, width, clients.height);
  context.clip();
  lanes.forEach((lane, client) => {
    const top = axis + client * height;
    context.fillStyle = colors.grid;
    context.fillRect(LANE_LABEL, top + height - 1, width, 1);
    for (let at = firstInLane(lane, from); at < lane.length && lane[at].t0 <= to; at += 1) {
      drawOperation(context, lane[at], time, place, top, height);
    }
  });
  context.restore();
  lanes.forEach((_, client) => label(context, `c${client}`, 12, axis + client * height + height / 2, { size: 11, color: colors.soft }));
  context.fillStyle = colors.accent;
  context.fillRect(place(time) - 0.75, axis - 4, 1.5, clients.height);
}

function drawLaneAxis(context, from, to, place, axis) {
  const steps = [1e7, 2e7, 5e7, 1e8, 2e8, 5e8, 1e9, 2e9, 5e9, 1e10, 2e10];
  const step = steps.find((one) => laneSpan / one <= 8) || 2e10;
  for (let at = Math.ceil(Math.max(0, from) / step) * step; at <= Math.min(to, END); at += step) {
    context.fillStyle = colors.grid;
    context.fillRect(place(at), axis, 1, clients.height);
    if (place(at) < clients.width - 24) label(context, `${(at / 1e9).toFixed(step < 1e8 ? 2 : step < 1e9 ? 1 : 0)} s`, place(at), axis / 2, { size: 10, color: colors.faint, align: "center" });
  }
}

// The first operation of a lane that ends at or after a time.
function firstInLane(lane, time) {
  let low = 0, high = lane.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lane[middle].t1 < time) low = middle + 1; else high = middle;
  }
  return low;
}

function outcomeAt(operation, time) {
  return operation.ended && operation.ended.at <= time ? operation.ended.outcome : "waits";
}

function drawOperation(context, operation, time, place, top, height) {
  const isFuture = operation.t0 > time;
  const outcome = isFuture ? (operation.ended ? operation.ended.outcome : "waits") : outcomeAt(operation, time);
  const end = isFuture || outcome !== "waits" ? operation.t1 : time;
  const x = place(operation.t0), width = Math.max(2.5, place(end) - x), y = top + 2, tall = height - 5;
  context.globalAlpha = isFuture ? 0.22 : 1;
  bar(context, x, y, width, tall, 3);
  context.fillStyle = colors[outcome];
  context.fill();
  if (width > 30 && tall > 9) {
    // The words stay in sight while the bar is.
    const left = Math.max(x, LANE_LABEL) + 5, room = x + width - left - 4;
    if (room > 22) label(context, operation.asked.what, left, y + tall / 2 + 0.5, { size: Math.min(11, tall - 1), color: colors.inbar, room });
  }
  context.globalAlpha = 1;
  laneTargets.push({ x, y, width, tall, operation });
}

function laneTip(x, y, time) {
  const hit = laneTargets.find((one) => x >= one.x - 2 && x <= one.x + one.width + 2 && y >= one.y && y <= one.y + one.tall);
  if (!hit) return null;
  const { asked, ended } = hit.operation;
  const first = `c${asked.client} asks ${named(asked.node)}: ${asked.what}\nat ${seconds(asked.at)} s`;
  if (!ended) return `${first}\nnever ended`;
  const took = ((ended.at - asked.at) / 1e6).toFixed(1);
  return `${first}\n${ended.outcome} after ${took} ms${ended.what ? `: ${ended.what}` : ""}${ended.at > time ? " (later)" : ""}`;
}

function zoomLanes(factor) {
  laneSpan = Math.max(5e7, Math.min(END, laneSpan * factor));
}
