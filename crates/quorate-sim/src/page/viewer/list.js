// The list of events: only the rows in sight exist, so its length does not matter.

const ROW = 20;
const list = document.getElementById("list");
const listRows = document.getElementById("list-rows");
const listSpace = document.getElementById("list-space");
// Browsers draw no element that is higher than some 16 million pixels.
const HIGHEST = 8e6;
let shown = Int32Array.from(events, (event) => event.index);
let hidden = new Set();
let lastClick = 0;

function filterEvents() {
  const wanted = document.getElementById("filter").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = [];
  for (const event of events) {
    const category = categoryOf.get(event.event);
    if (category && hidden.has(category.id)) continue;
    if (wanted.length) {
      const text = words(event).toLowerCase();
      if (!wanted.every((word) => text.includes(word))) continue;
    }
    chosen.push(event.index);
  }
  shown = Int32Array.from(chosen);
  listSpace.style.height = `${Math.min(HIGHEST, shown.length * ROW)}px`;
  document.getElementById("events-note").textContent = shown.length === events.length
    ? `${events.length.toLocaleString("en")}`
    : `${shown.length.toLocaleString("en")} of ${events.length.toLocaleString("en")}`;
}

// Place in the list of the last event shown that lies before a number of events.
function shownBefore(count) {
  let low = 0, high = shown.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (shown[middle] < count) low = middle + 1; else high = middle;
  }
  return low - 1;
}

const listTop = (row) => {
  const total = shown.length * ROW;
  return total <= HIGHEST ? row * ROW : (row / shown.length) * HIGHEST;
};

function scrollToRow(row) {
  const top = listTop(Math.max(0, row)), view = list.clientHeight;
  if (top < list.scrollTop + ROW || top > list.scrollTop + view - 3 * ROW) {
    list.scrollTop = Math.max(0, top - view * 0.6);
  }
}

function drawList(count) {
  const total = shown.length * ROW, view = list.clientHeight;
  const first = total <= HIGHEST
    ? Math.floor(list.scrollTop / ROW)
    : Math.floor((list.scrollTop / HIGHEST) * shown.length);
  const rows = Math.ceil(view / ROW) + 1;
  const here = shownBefore(count);
  listRows.style.transform = `translateY(${total <= HIGHEST ? first * ROW : list.scrollTop}px)`;
  while (listRows.children.length < rows) {
    const row = document.createElement("div");
    row.append(Object.assign(document.createElement("span"), { className: "at" }), Object.assign(document.createElement("span"), { className: "what" }));
    listRows.append(row);
  }
  for (let at = 0; at < listRows.children.length; at += 1) {
    const row = listRows.children[at], place = first + at;
    const event = at < rows && place < shown.length ? events[shown[place]] : null;
    row.style.display = event ? "" : "none";
    if (!event) continue;
    const isBad = event.event === "broken";
    const name = `row${isKey(event) ? " key" : ""}${isBad ? " bad" : ""}${place === here ? " here" : place > here ? " future" : ""}`;
    if (row.className !== name) row.className = name;
    if (row.dataset.index === String(event.index)) continue;
    row.dataset.index = event.index;
    row.children[0].textContent = seconds(event.at);
    row.children[1].textContent = words(event);
    row.style.borderLeftColor = categoryOf.get(event.event)?.color || "transparent";
    row.title = words(event);
  }
}
