// The live page. It shows what /api/stream sends, and repeats no decision of the monitor.

import { make, byId, setText, setClass, ask } from "./dom.js";
import { duration, moment } from "./format.js";
import { Store } from "./store.js";
import { Charts } from "./charts.js";
import { Incidents } from "./incidents.js";
import { Containers, isUrgent } from "./containers.js";
import { Logs } from "./logs.js";
import { showRun } from "./run.js";

const WINDOWS = [[300, "5 min"], [900, "15 min"], [3600, "1 h"], [21600, "6 h"], [86400, "24 h"]];
const CHOSEN = 900;
const INCIDENTS = 300;
const HISTORY_AGAIN_SECONDS = 3;

let last = null;          // the newest snapshot
let receivedAt = 0;       // when it came, on this page's own clock: the sidecar's may differ
let connected = false;
let loading = null;       // the reading of the history that is under way

const store = new Store(CHOSEN);
const charts = new Charts(store, (id) => incidents.openDetail(id));
const incidents = new Incidents({
  highlight: (id) => charts.highlight(id),
  searchLog: (container) => logs.searchContainer(container),
  announce: (text) => setText(byId("announcer"), text),
  project: () => (last ? last.project : ""),
});
const containers = new Containers((name, pinned) => {
  if (pinned) charts.pinned.add(name);
  else if (!charts.pinned.delete(name)) return;
  draw();
});
const logs = new Logs();
let blind = [];

// --- what is shown -----------------------------------------------------------------------------------------------

// Draw at most once per frame, however many incidents arrive, and not at all while the page is hidden.
let drawing = false;
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; drawNow(); });
}

function drawNow() {
  incidents.show();
  if (!last) return;
  charts.moveTo(Date.parse(last.at) / 1000, last.interval_seconds);
  charts.setIncidents(incidents.all(), last.project);
  charts.setBlind(blind);
  charts.show(last.project);
}

function show(snapshot) {
  setText(byId("project"), snapshot.project + (snapshot.watched ? ` + ${snapshot.watched}` : ""));
  const title = `${snapshot.warnings.length ? `(${snapshot.warnings.length}) ` : ""}${snapshot.project} – Locust Kit`;
  if (document.title !== title) document.title = title;
  showRun(snapshot);
  containers.show(snapshot);
  logs.show(snapshot);
  incidents.take(snapshot.incidents);
  mergeBlind(snapshot.blind);
  store.add(snapshot);
  charts.urgent = new Set(snapshot.containers.filter(isUrgent).map((one) => one.name));
  draw();
}

// A span is known by its start and source; the newest report of it counts.
function mergeBlind(spans) {
  const key = (span) => `${span.source} ${span.since}`;
  const known = new Map(blind.map((span) => [key(span), span]));
  for (const span of spans) known.set(key(span), span);
  blind = [...known.values()].slice(-200);
  const now = spans.filter((span) => span.until === null);
  byId("blind").hidden = !now.length;
  if (now.length) setText(byId("blind"), `Blind: ${now.map((span) => span.text).join("; ")}. Incidents of this time may be missing below.`);
}

function showFreshness() {
  if (!last) {
    setText(byId("badge"), connected ? "waiting" : "connecting");
    return;
  }
  const silentSeconds = (performance.now() - receivedAt) / 1000;
  const lost = !connected || silentSeconds > Math.max(6, 3 * last.interval_seconds);
  const stale = lost || last.stale;
  const readAt = last.engine_read_at ? (new Date(last.at) - new Date(last.engine_read_at)) / 1000 : null;
  setClass(document.body, stale ? "stale" : "live");
  setText(byId("badge"), stale ? "STALE" : "live");
  setText(byId("age"), stale && readAt !== null ? `data from ${duration(readAt + silentSeconds)} ago` : "");
  setText(byId("time"), moment(new Date()));
  byId("banner").hidden = !stale;
  setText(byId("banner"), lost
    ? "STALE: the monitor does not answer. The data below is old. Reconnecting…"
    : "STALE: Docker does not answer the monitor. The data below is old.");
}

// --- where it comes from -----------------------------------------------------------------------------------------

// Load what happened before this moment, or while the page was not connected.
async function loadPast() {
  if (loading) loading.abort();
  const mine = (loading = new AbortController());
  const until = last ? Date.parse(last.at) : Date.now();
  const since = new Date(until - store.windowSeconds * 1000).toISOString();
  try {
    const [past, list] = await Promise.all([
      ask(`/api/history?since=${since}&points=${store.points}`, mine.signal),
      ask(`/api/incidents?limit=${INCIDENTS}&evidence=0`, mine.signal),
    ]);
    store.load(past);
    incidents.take([...list.incidents, ...past.incidents]);
    mergeBlind([...past.blind, ...(last ? last.blind : [])]);
    setText(byId("key"), "");
  } catch (error) {
    if (error.name === "AbortError") return;
    setText(byId("key"), `The history cannot be shown: ${error.message}.`);
    setTimeout(() => { if (connected && loading === mine) loadPast(); }, HISTORY_AGAIN_SECONDS * 1000);
  }
  draw();
}

function connect() {
  const stream = new EventSource("/api/stream");
  let fresh = true;
  stream.addEventListener("open", () => { fresh = true; });
  stream.addEventListener("snapshot", (event) => {
    last = JSON.parse(event.data);
    receivedAt = performance.now();
    connected = true;
    showFreshness();
    show(last);
    if (fresh) loadPast();  // the stream is open by now, so nothing falls between the past and it
    fresh = false;
  });
  stream.addEventListener("incident", (event) => {
    if (incidents.take([JSON.parse(event.data)], { announce: true })) draw();
  });
  stream.addEventListener("reload", () => loadPast());
  stream.addEventListener("error", () => {
    connected = false;
    showFreshness();
    // The browser reconnects by itself after a cut, but not after an answer that is not a stream.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  });
}

// --- the choice of the window ------------------------------------------------------------------------------------

for (const [seconds, words] of WINDOWS) {
  const input = make("input");
  Object.assign(input, { type: "radio", name: "window", value: String(seconds), checked: seconds === CHOSEN });
  input.addEventListener("change", () => {
    store.windowSeconds = seconds;
    store.step = seconds / store.points;
    store.clear();
    draw();
    loadPast();
  });
  byId("windows").append(make("label", "", input, make("span", "", words)));
}

const linked = /^#incident=([\w-]{1,64})$/.exec(location.hash);
if (linked) incidents.openDetail(linked[1]);
connect();
setInterval(showFreshness, 1000);
