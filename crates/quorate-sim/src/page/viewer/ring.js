// The cluster: nodes in a ring, links as they are, messages as they fly.

const ring = surface("ring");
let ringTargets = [];

function ringPlaces() {
  const { width, height } = ring;
  const size = Math.max(17, Math.min(30, Math.min(width, height) / (NODES > 5 ? 13 : 11)));
  // With an odd number of nodes the lowest stand higher than the ring's lowest point.
  const lowest = NODES % 2 && NODES > 1 ? Math.cos(Math.PI / NODES) : 1;
  const radius = Math.max(30, (height - 2 * (size + 24)) / (1 + lowest));
  const middle = size + 24 + radius;
  const wide = Math.max(30, Math.min(width / 2 - size - 34, radius * 1.3));
  const places = [];
  for (let at = 0; at < NODES; at += 1) {
    const angle = -Math.PI / 2 + (2 * Math.PI * at) / NODES;
    places.push({ x: width / 2 + wide * Math.cos(angle), y: middle + radius * Math.sin(angle), angle });
  }
  return { places, size };
}

// A direction of a link: a line beside the middle one, from edge to edge of the discs.
function lane(places, size, from, to, aside) {
  const a = places[from - 1], b = places[to - 1];
  const dx = b.x - a.x, dy = b.y - a.y, length = Math.hypot(dx, dy) || 1;
  const ux = dx / length, uy = dy / length, gap = size + 4;
  return {
    x0: a.x + ux * gap - uy * aside, y0: a.y + uy * gap + ux * aside,
    x1: b.x - ux * gap - uy * aside, y1: b.y - uy * gap + ux * aside, ux, uy,
  };
}

function drawLink(context, line, color, width, dash) {
  context.beginPath();
  context.setLineDash(dash);
  context.moveTo(line.x0, line.y0);
  context.lineTo(line.x1, line.y1);
  context.strokeStyle = color;
  context.lineWidth = width;
  context.stroke();
  context.setLineDash([]);
}

function drawCross(context, x, y, size, color) {
  context.beginPath();
  context.moveTo(x - size, y - size); context.lineTo(x + size, y + size);
  context.moveTo(x + size, y - size); context.lineTo(x - size, y + size);
  context.strokeStyle = color;
  context.lineWidth = 2;
  context.stroke();
}

// What one direction is like at a moment, if it is not as usual.
function linkTrouble(state, time, from, to) {
  const at = linkAt(from, to);
  if (state.cut[at]) return "cut";
  const link = state.links[at];
  return link && !(link.until && link.until <= time) ? link.state : null;
}

function drawLinks(context, state, time, places, size) {
  for (let a = 1; a <= NODES; a += 1) {
    for (let b = a + 1; b <= NODES; b += 1) {
      const there = linkTrouble(state, time, a, b), back = linkTrouble(state, time, b, a);
      if (there === "cut" && back === "cut") {
        const line = lane(places, size, a, b, 0);
        drawLink(context, line, colors.bad, 1.2, [3, 6]);
        drawCross(context, (line.x0 + line.x1) / 2, (line.y0 + line.y1) / 2, 4, colors.bad);
        continue;
      }
      drawLink(context, lane(places, size, a, b, 0), colors.line, 1, []);
      drawDirection(context, lane(places, size, a, b, 4), there);
      drawDirection(context, lane(places, size, b, a, 4), back);
    }
  }
}

function drawDirection(context, line, trouble) {
  if (!trouble) return;
  const color = trouble === "cut" ? colors.bad : colors.warn;
  drawLink(context, line, color, 1.5, trouble === "cut" ? [3, 5] : trouble === "clogged" ? [1, 3] : [8, 4]);
  const x = line.x0 + (line.x1 - line.x0) * 0.62, y = line.y0 + (line.y1 - line.y0) * 0.62;
  if (trouble === "cut") drawCross(context, x, y, 3.5, color);
  // The head says which direction is meant.
  const tip = 0.9, hx = line.x0 + (line.x1 - line.x0) * tip, hy = line.y0 + (line.y1 - line.y0) * tip;
  context.beginPath();
  context.moveTo(hx + line.ux * 5, hy + line.uy * 5);
  context.lineTo(hx - line.ux * 4 - line.uy * 4, hy - line.uy * 4 + line.ux * 4);
  context.lineTo(hx - line.ux * 4 + line.uy * 4, hy - line.uy * 4 - line.ux * 4);
  context.closePath();
  context.fillStyle = color;
  context.fill();
  if (trouble !== "cut") label(context, trouble, x - line.uy * 9, y + line.ux * 9, { size: 10, color, align: "center", halo: colors.panel });
}

function drawFlights(context, time, tail, places, size) {
  const near = slices[Math.max(0, Math.min(slices.length - 1, Math.floor(time / SLICE)))];
  let drawn = 0;
  for (const flight of near) {
    if (flight.d0 > time || flight.d1 + tail < time || drawn > 400) continue;
    drawn += 1;
    const line = lane(places, size, flight.event.from, flight.event.to, 5);
    const style = styleOf(flight.event.kind);
    const share = Math.min(1, (time - flight.d0) / Math.max(1, flight.d1 - flight.d0));
    const isLost = flight.fate === "lost";
    // What never left stops where the line is cut.
    const stops = flight.fate === "cut-off" && flight.t1 === flight.t0;
    const reach = isLost ? share * 0.55 : stops ? share * 0.5 : share;
    const x = line.x0 + (line.x1 - line.x0) * reach, y = line.y0 + (line.y1 - line.y0) * reach;
    context.globalAlpha = time > flight.d1 ? Math.max(0, 1 - (time - flight.d1) / Math.max(1, tail)) : 1;
    if ((isLost && share > 0.75) || (time > flight.d1 && ["cut-off", "corrupt", "nobody"].includes(flight.fate))) {
      drawCross(context, x, y, 4, colors.bad);
    } else {
      drawTail(context, line, reach, style.color);
      context.beginPath();
      context.arc(x, y, style.size, 0, 2 * Math.PI);
      if (style.open || flight.event.kind.endsWith("reply")) {
        context.fillStyle = colors.panel; context.fill();
        context.lineWidth = 2; context.strokeStyle = style.color; context.stroke();
      } else {
        context.fillStyle = style.color; context.fill();
      }
    }
    context.globalAlpha = 1;
    ringTargets.push({ x, y, size: 8, text: `${words(flight.event)}\n${((flight.t1 - flight.t0) / 1e6).toFixed(1)} ms on the way${flight.fate && flight.fate !== "taken" ? `, then: ${flight.fate}` : ""}` });
  }
}

function drawTail(context, line, reach, color) {
  const from = Math.max(0, reach - 0.09);
  context.beginPath();
  context.moveTo(line.x0 + (line.x1 - line.x0) * from, line.y0 + (line.y1 - line.y0) * from);
  context.lineTo(line.x0 + (line.x1 - line.x0) * reach, line.y0 + (line.y1 - line.y0) * reach);
  context.strokeStyle = color;
  context.lineWidth = 2;
  const alpha = context.globalAlpha;
  context.globalAlpha = alpha * 0.4;
  context.stroke();
  context.globalAlpha = alpha;
}

function nodeTroubles(node, time) {
  const troubles = [];
  if (node.pausedUntil > time) troubles.push("paused");
  if (node.stuckUntil > time) troubles.push("disk stuck");
  if (node.slowUntil > time) troubles.push("slow");
  if (node.fullUntil > time) troubles.push("disk full");
  if (node.next) troubles.push(`${node.next} next`);
  return troubles;
}

function drawNode(context, node, place, size, time) {
  const { x, y } = place;
  const isUp = node.status === "up", leads = node.role === "leader";
  const color = termColor(node.term);
  context.beginPath();
  context.arc(x, y, size, 0, 2 * Math.PI);
  context.fillStyle = leads ? color : isUp ? colors.node : colors.down;
  context.fill();
  context.lineWidth = leads ? 3 : 2.5;
  context.strokeStyle = isUp ? color : colors.line;
  context.setLineDash(node.role === "candidate" ? [5, 3] : node.role === "pre-candidate" ? [2, 3] : isUp ? [] : [3, 4]);
  context.stroke();
  context.setLineDash([]);
  if (leads) {
    context.beginPath();
    context.arc(x, y, size + 5, 0, 2 * Math.PI);
    context.lineWidth = 2;
    context.strokeStyle = color;
    context.globalAlpha = 0.45;
    context.stroke();
    context.globalAlpha = 1;
  }
  const ink = leads ? "#ffffff" : isUp ? colors.text : colors.faint;
  label(context, named(node.number), x, y - 5, { size: 14, weight: 700, color: ink, align: "center" });
  label(context, `t${node.term}`, x, y + 10, { size: 11, color: leads ? "#ffffff" : colors.soft, align: "center" });
  if (node.pausedUntil > time) {
    context.fillStyle = colors.warn;
    context.fillRect(x + size - 7, y - size - 1, 4, 13);
    context.fillRect(x + size, y - size - 1, 4, 13);
  }
  if (node.status === "down") drawCross(context, x + size * 0.75, y - size * 0.75, 5, colors.bad);
  drawNodeWords(context, node, place, size, time);
}

function drawNodeWords(context, node, place, size, time) {
  const isTop = Math.sin(place.angle) < -0.8;
  const y = place.y + (isTop ? -1 : 1) * (size + 15);
  const name = node.status === "opening" ? "recovers" : node.role;
  const color = node.status === "down" ? colors.bad : node.role === "leader" ? termColor(node.term) : colors.soft;
  const troubles = nodeTroubles(node, time).join(", ");
  const weight = node.role === "leader" ? 700 : 500;
  context.font = `${weight} 12px ${FONT}`;
  const text = troubles ? `${name} · ` : name;
  const left = context.measureText(text).width;
  context.font = `500 12px ${FONT}`;
  const width = left + (troubles ? context.measureText(troubles).width : 0);
  const x = Math.max(4, Math.min(ring.width - width - 4, place.x - width / 2));
  label(context, text, x, y, { size: 12, weight, color, halo: colors.panel });
  if (troubles) label(context, troubles, x + left, y, { size: 12, weight: 500, color: colors.warn, halo: colors.panel });
}

function drawRing(state, time, tail) {
  const context = ring.begin();
  const { places, size } = ringPlaces();
  ringTargets = [];
  drawLinks(context, state, time, places, size);
  drawFlights(context, time, tail, places, size);
  state.nodes.forEach((node, at) => {
    drawNode(context, node, places[at], size, time);
    ringTargets.push({
      x: places[at].x, y: places[at].y, size,
      text: `${named(node.number)}, ${node.role}, term ${node.term}${node.vote ? `, voted for ${named(node.vote)}` : ""}\nboot ${node.boot}, last ${lastOf(node.log)}, on disk ${node.persisted}, commit ${node.commit}, applied ${node.applied}\n${node.deaths} deaths so far`,
    });
  });
}
