// `#selftest`: the page tries itself out and says in the document how that went.

function sameState(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}

function selfTest(check) {
  check("every event is there", events.length === header.events && events.length > 0);
  check("times never go back", events.every((event, at) => at === 0 || event.at >= events[at - 1].at));
  check("every event has words", events.every((event) => !/undefined|NaN|null/.test(words(event))));

  // Straight through once, and compared with what snapshots give.
  const places = Array.from({ length: 21 }, (_, at) => Math.floor((events.length * at) / 20));
  const straight = newState();
  const seen = [];
  for (const place of places) {
    while (straight.applied < place) applyEvent(straight, events[straight.applied]);
    seen.push(copyState(straight));
  }
  check("snapshots agree with the run from its beginning", places.every((place, at) => sameState(stateAfter(place), seen[at])));

  const slider = element("slider");
  const slide = (value) => { slider.value = value; slider.dispatchEvent(new Event("input")); draw(); return copyState(state); };
  const values = [0, 100000, 250000, 500000, 750000, 1000000];
  const going = values.map(slide);
  const coming = values.slice().reverse().map(slide).reverse();
  check("the slider moves the state", going.every((one, at) => at === 0 || one.applied > going[at - 1].applied));
  check("back is the way it came", going.every((one, at) => sameState(one, coming[at])));
  check("the end is the end", going.at(-1).applied === events.length);

  slide(500000);
  const rows = listRows.querySelectorAll(".row");
  check("the list shows few rows of many", rows.length > 5 && rows.length < 200);
  check("the moment is marked in the list", listRows.querySelectorAll(".here").length === 1);
  rows[3].click();
  draw();
  check("a click on an event goes there", state.applied === Number(rows[3].dataset.index) + 1 && time === events[state.applied - 1].at);

  const all = shown.length;
  element("filter").value = words(events[0]);
  refilter();
  draw();
  check("the filter leaves what it names", shown[0] === 0 && shown.length < all);
  element("filter").value = "";
  refilter();

  show(0, 0);
  step(1, isKey);
  const first = events.findIndex(isKey);
  check("a step goes to the next key event", state.applied === first + 1);
  step(-1);
  check("a step back goes back", state.applied === first);
  slide(0);
  play();
  const started = performance.now();
  for (let at = 1; at <= 60; at += 1) { lastFrame = 0; frame(50); playing = true; }
  const took = (performance.now() - started) / 60;
  pause();
  check("playing moves time", time > 0);
  check(`a picture takes ${took.toFixed(1)} ms`, took < 500);
  for (const one of [ring, logs, clients, timeline]) {
    const pixels = one.context.getImageData(0, 0, one.canvas.width, one.canvas.height).data;
    check(`${one.canvas.id} is drawn`, pixels.some((value) => value !== 0));
  }
  check("a broken rule is shown", element("banner").hidden === (header.broken === null));
  if (header.broken) testBanner(check);
  slide(1000000);
}

function testBanner(check) {
  check("the banner names the rule", element("banner-name").textContent.includes(header.broken.invariant));
  check("the banner says what was seen", header.broken.what.startsWith(element("banner-what").textContent));
  show(0, 0);
  element("banner-jump").click();
  draw();
  const at = state.applied - 1;
  check("the banner leads to where it broke", at >= 0 && events[at].event === "broken" && time === events[at].at);
  check("the state knows", state.broken !== null && state.broken.invariant === header.broken.invariant);
  const rows = [...listRows.querySelectorAll(".row")].filter((row) => row.style.display !== "none");
  const place = rows.findIndex((row) => Number(row.dataset.index) === at);
  check("the list shows where it broke", place >= 0 && rows[place].classList.contains("bad") && rows[place].classList.contains("here"));
  const before = rows.slice(Math.max(0, place - 5), place).map((row) => Number(row.dataset.index));
  check("and the events before it", before.length === 5 && before.every((index, back) => index === at - 5 + back));
}

if (location.hash.includes("selftest")) {
  const lines = [];
  let passed = 0;
  const check = (name, isSo) => { lines.push(`${isSo ? "ok" : "FAILED"} ${name}`); if (isSo) passed += 1; };
  try {
    selfTest(check);
  } catch (error) {
    check(`no script error: ${error && error.stack}`, false);
  }
  for (const error of window.scriptErrors) check(`no script error: ${error}`, false);
  const result = document.createElement("pre");
  result.id = "selftest";
  result.dataset.events = events.length;
  result.dataset.passed = passed;
  result.dataset.failed = lines.length - passed;
  result.dataset.nodes = JSON.stringify(state.nodes.map((node) => [node.term, lastOf(node.log), node.commit, node.applied]));
  result.textContent = lines.join("\n");
  result.style.cssText = "position:fixed;inset:40px;overflow:auto;background:#fff;color:#000;padding:16px;z-index:99;display:none";
  document.body.append(result);
}
