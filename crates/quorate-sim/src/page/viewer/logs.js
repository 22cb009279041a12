// The end of every log, one cell for each entry: colour for its term, strength for what is known of it.

const logs = surface("logs");
let logTargets = [];
const LOG_LABEL = 96;
const CELL = 17;

function drawLogs(state, time) {
  const context = logs.begin();
  logTargets = [];
  const axis = 20;
  const room = logs.width - LOG_LABEL - 12;
  const cells = Math.max(4, Math.floor(room / CELL));
  const ends = state.nodes.map((node) => Math.max(lastOf(node.log), node.lost ? node.lost.to : 0));
  const end = Math.max(cells, ...ends);
  const start = end - cells + 1;
  const height = Math.min(74, (logs.height - axis - 4) / NODES);
  const column = (index) => LOG_LABEL + (index - start) * CELL;
  for (let index = start; index <= end; index += 1) {
    if (index % 5 === 0) {
      label(context, String(index), column(index) + CELL / 2, axis / 2 + 2, { size: 10, color: colors.faint, align: "center" });
      context.fillStyle = colors.grid;
      context.fillRect(column(index) + CELL / 2, axis, 1, height * NODES);
    }
  }
  state.nodes.forEach((node, at) => drawLog(context, node, { top: axis + at * height, height, start, end, column }));
  const committed = Math.max(...state.nodes.map((node) => node.commit));
  document.getElementById("logs-note").textContent =
    `entries ${start} to ${end}; committed up to ${committed}`;
}

function drawLog(context, node, { top, height, start, end, column }) {
  const box = Math.min(24, height - 14), y = top + (height - box) / 2;
  const isUp = node.status === "up";
  context.globalAlpha = isUp ? 1 : 0.4;
  label(context, named(node.number), 12, top + height / 2 - 7, { size: 13, weight: 700 });
  const role = node.status === "opening" ? "recovers" : node.role;
  label(context, role, 34, top + height / 2 - 7, { size: 11, color: node.role === "leader" ? termColor(node.term) : colors.soft, weight: node.role === "leader" ? 700 : 400, room: LOG_LABEL - 38 });
  label(context, `${lastOf(node.log)}@${termAt(node.log, lastOf(node.log))}`, 12, top + height / 2 + 8, { size: 10.5, color: colors.soft, room: LOG_LABEL - 16 });
  for (const [first, last, term] of node.log) {
    for (let index = Math.max(first, start); index <= Math.min(last, end); index += 1) {
      drawEntry(context, node, index, term, column(index), y, box, index === first || index === start);
    }
  }
  context.globalAlpha = 1;
  if (node.base >= start) drawBase(context, column(Math.min(node.base, end) + 1) - 1.5, y, box);
  if (lastOf(node.log) < start) {
    label(context, `‹ ends at ${lastOf(node.log)}, ${end - lastOf(node.log)} behind`, LOG_LABEL + 4, y + box / 2, { size: 11, color: colors.faint });
  }
  drawLostEntries(context, node, { start, end, column, y, box });
  if (node.commit >= start && isUp) drawCommit(context, column(node.commit) + CELL - 1.5, y, box);
  logTargets.push({ top, height, node, start, column });
}

function drawEntry(context, node, index, term, x, y, box, named) {
  const color = termColor(term), base = context.globalAlpha;
  if (index <= node.base) {
    // A snapshot stands for it.
    context.fillStyle = colors.grid;
    bar(context, x, y + box / 3, CELL - 1, box / 3, 0);
    context.fill();
    return;
  }
  const committed = index <= node.commit, durable = index <= node.persisted;
  bar(context, x, y, CELL - 3, box, 3);
  if (durable) {
    context.globalAlpha = base * (committed ? 1 : 0.38);
    context.fillStyle = color;
    context.fill();
  } else {
    context.setLineDash([2.5, 2.5]);
    context.lineWidth = 1.2;
    context.strokeStyle = color;
    context.globalAlpha = base;
    context.stroke();
    context.setLineDash([]);
  }
  context.globalAlpha = base;
  if (named) label(context, String(term), x + (CELL - 3) / 2, y + box / 2 + 0.5, { size: 10, weight: 600, align: "center", color: durable && committed ? "#ffffff" : colors.text });
  if (index <= node.applied) {
    context.fillStyle = colors.soft;
    context.fillRect(x + 2, y + box + 2, CELL - 7, 1.5);
  }
}

function drawLostEntries(context, node, { start, end, column, y, box }) {
  if (!node.lost) return;
  for (let index = Math.max(start, node.lost.from); index <= Math.min(end, node.lost.to); index += 1) {
    if (termAt(node.log, index)) continue;
    const x = column(index);
    bar(context, x, y, CELL - 3, box, 3);
    context.lineWidth = 1;
    context.strokeStyle = colors.bad;
    context.stroke();
    context.beginPath();
    context.moveTo(x + 2, y + box - 2);
    context.lineTo(x + CELL - 5, y + 2);
    context.stroke();
  }
}

// Where a log begins, behind what its snapshot stands for.
function drawBase(context, x, y, box) {
  context.fillStyle = colors.soft;
  context.fillRect(x - 1.5, y, 2, box);
}

function drawCommit(context, x, y, box) {
  context.fillStyle = colors.text;
  context.fillRect(x - 0.25, y - 4, 1.5, box + 7);
  context.beginPath();
  context.moveTo(x - 4, y - 6); context.lineTo(x + 5, y - 6); context.lineTo(x + 0.5, y - 1);
  context.closePath();
  context.fill();
}

function logTip(x, y) {
  const row = logTargets.find((one) => y >= one.top && y < one.top + one.height);
  if (!row) return null;
  const { node } = row;
  const index = row.start + Math.floor((x - LOG_LABEL) / CELL);
  const term = x > LOG_LABEL ? termAt(node.log, index) : 0;
  const begins = node.base ? `log after ${node.base}, ` : "";
  const where = `${named(node.number)}: ${begins}last ${lastOf(node.log)}, on disk ${node.persisted}, commit ${node.commit}, applied ${node.applied}`;
  if (!term) return where;
  const known = index <= node.base ? "in the snapshot" : index <= node.applied ? "applied" : index <= node.commit ? "committed" : index <= node.persisted ? "on disk" : "not on disk yet";
  return `entry ${index}@${term} on ${named(node.number)}: ${known}\n${where}`;
}
