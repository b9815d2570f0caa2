"use strict";
// The live page. It shows what /api/stream sends and decides nothing that the sidecar has decided already.
// Text from containers goes in as textContent only.

const MEMORY_PERCENT = 90;
const UNKNOWN = "–";
const byId = (id) => document.getElementById(id);

let last = null;          // the newest snapshot
let receivedAt = 0;       // when it came, on this page's own clock: the sidecar's may differ
let connected = false;
let shownLog = "";

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.map((child) => (child instanceof Node ? child : document.createTextNode(child))));
  return element;
}

// --- numbers, in docker stats' formats ---------------------------------------------------------------------------

function scaled(size, base, units, digits) {
  let step = 0;
  while (size >= base && step < units.length - 1) { size /= base; step += 1; }
  return `${Number(size.toPrecision(digits))}${units[step]}`;
}
const memory = (bytes, digits = 4) => scaled(bytes, 1024, ["B", "KiB", "MiB", "GiB", "TiB"], digits);
const traffic = (bytes) => scaled(bytes, 1000, ["B", "kB", "MB", "GB", "TB"], 3);
const rate = (bytes) => (bytes === null ? UNKNOWN : `${traffic(bytes)}/s`);
const percent = (value, decimals = 0) => (value === null ? UNKNOWN : `${value.toFixed(decimals)}%`);
const pair = (first, second) => (first === null || second === null ? UNKNOWN : `${traffic(first)} / ${traffic(second)}`);
const number = (value) => (value >= 100 || value % 1 === 0 ? Math.round(value).toLocaleString("en") : value.toFixed(1));
const time = (text) => (text ? new Date(text).toLocaleTimeString([], { hourCycle: "h23" }) : "");

function responseTime(ms) {
  if (ms === null) return UNKNOWN;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (value) => String(value).padStart(2, "0");
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${two(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / 86400)}d ${two(Math.floor((s % 86400) / 3600))}h`;
}

// --- the parts ---------------------------------------------------------------------------------------------------

function fact(name, value, { detail = "", style = "" } = {}) {
  const shown = make("dd", style, value);
  if (detail) shown.append(make("small", "", detail));
  return make("div", "", make("dt", "", name), shown);
}

function showWarnings(warnings) {
  const items = warnings.map((warning) =>
    make("li", warning.severity === "error" ? "error" : "warn",
      make("b", "", warning.severity === "error" ? "✗ error" : "! warn"), ` ${warning.text}`));
  if (!items.length) items.push(make("li", "fine", "✓ all is well"));
  byId("warnings").querySelector("ul").replaceChildren(...items);
}

function showLocust(snapshot) {
  const { locust, run } = snapshot;
  const list = byId("locust");
  if (!locust) {
    const reason = make("div", "whole", make("dt", "", "no figures"));
    reason.append(make("dd", "message", snapshot.locust_error || "not asked yet"));
    list.replaceChildren(reason);
  } else {
    const short = locust.workers_connected < locust.workers_expected;
    // After a run the master goes on answering with the run's last figures: they must not pass for the present.
    const active = ["spawning", "running", "cleanup", "stopping"].includes(locust.state);
    const past = active || locust.p95_ms === null ? "" : " (last run)";
    list.replaceChildren(
      fact("state", locust.state),
      fact("workers", `${locust.workers_connected}/${locust.workers_expected}${short ? " !" : ""}`, { style: short ? "high" : "" }),
      fact("users", number(locust.users)),
      fact(`requests/s${past}`, number(locust.rps)),
      fact(`failed${past}`, `${(locust.fail_ratio * 100).toFixed(2)}%`,
        { style: locust.fail_ratio > 0 ? "bad" : "", detail: active && locust.fail_per_second > 0 ? `${number(locust.fail_per_second)}/s now` : "" }),
      fact(`p95${past}`, responseTime(locust.p95_ms), { detail: `median ${responseTime(locust.p50_ms)}` }),
    );
  }
  byId("run").textContent = run ? `run ${run.run_id}: ${run.state}${run.started_at ? `, since ${time(run.started_at)}` : ""}` : "";
}

function showHost(host) {
  const list = byId("host");
  if (!host) {
    const reason = make("div", "whole", make("dt", "", "no figures"));
    reason.append(make("dd", "message", "they could not be read"));
    list.replaceChildren(reason);
    return;
  }
  const high = (value) => ({ style: value !== null && value >= 90 ? "high" : "" });
  list.replaceChildren(
    fact("processor", percent(host.cpu_percent), { ...high(host.cpu_percent), detail: `${host.cpu_count} cores, load ${host.load_1m.toFixed(2)}` }),
    fact("memory", percent(host.memory_percent), { ...high(host.memory_percent), detail: `${memory(host.memory_used_bytes, 3)} of ${memory(host.memory_total_bytes, 3)}` }),
    fact("disk full", percent(host.disk_used_percent), high(host.disk_used_percent)),
    fact("disk read", rate(host.disk_read_bytes_per_second), { detail: `write ${rate(host.disk_write_bytes_per_second)}` }),
    fact("network in", rate(host.network_rx_bytes_per_second), { detail: `out ${rate(host.network_tx_bytes_per_second)}` }),
  );
}

const isHigh = (one) => one.memory_limit_bytes !== null && one.memory_percent !== null && one.memory_percent >= MEMORY_PERCENT;

function badness(one) {
  if (["exited", "dead", "restarting"].includes(one.state) || one.health === "unhealthy") return 2;
  return isHigh(one) || one.state !== "running" || one.health === "starting" ? 1 : 0;
}

function state(one) {
  if (one.state === "exited" || one.state === "dead") return [`${one.state}${one.exit_code === null ? "" : ` ${one.exit_code}`}`, "bad"];
  if (one.state === "restarting") return ["restarting", "bad"];
  if (one.state !== "running") return [one.state, "high"];
  return [one.health || "running", { healthy: "good", unhealthy: "bad", starting: "high" }[one.health] || ""];
}

function memoryBar(one) {
  if (one.memory_percent === null) return make("span", "quiet", UNKNOWN);
  const bar = make("div", isHigh(one) ? "bar over" : "bar", make("i"));
  if (one.memory_limit_bytes === null) bar.className = "";
  else bar.firstChild.style.width = `${Math.min(100, one.memory_percent)}%`;
  return make("div", "memory", bar, make("span", isHigh(one) ? "high" : "", percent(one.memory_percent, 1)));
}

function containerRow(one, name, users, now) {
  const cell = (className, label, content) => {
    const made = make("td", className, content);
    if (label) made.dataset.label = label;
    return made;
  };
  const [word, style] = state(one);
  const used = one.memory_working_set_bytes === null ? UNKNOWN
    : `${memory(one.memory_working_set_bytes)} / ${one.memory_limit_bytes === null ? "no limit" : memory(one.memory_limit_bytes)}`;
  const up = one.state === "running" && one.started_at ? duration((now - new Date(one.started_at)) / 1000) : UNKNOWN;
  const row = make("tr", ["", "attention", "broken"][badness(one)],
    cell("name", "", name),
    cell("state", "", make("span", style, word)),
    cell("n", "restarts", make("span", one.restarts ? "high" : "quiet", one.restarts === null ? UNKNOWN : String(one.restarts))),
    cell("n", "cpu", percent(one.cpu_percent, 2)),
    cell("memory-cell", "", memoryBar(one)),
    cell("n", "memory", used),
    cell("n", "net", pair(one.network_rx_bytes, one.network_tx_bytes)),
    cell("n", "block", pair(one.block_read_bytes, one.block_write_bytes)),
    cell("n", "users", users === undefined ? UNKNOWN : String(users)),
    cell("n", "up", up));
  row.title = `${one.name} (${one.id})`;
  return row;
}

function showContainers(snapshot) {
  const { containers, services } = snapshot;
  const sizes = new Map(services.map((service) => [service.service, service.containers]));
  const name = (one) => (sizes.get(one.service) === 1 && one.service !== "locust-worker" ? one.service : `${one.service}-${one.index}`);
  const place = (one) => ({ "locust-master": 0, "locust-worker": 1 }[one.service] ?? 2);
  const users = new Map();
  for (const worker of snapshot.locust ? snapshot.locust.workers : []) {
    if (worker.container) users.set(worker.container, (users.get(worker.container) || 0) + worker.users);
  }
  const ordered = [...containers].sort((a, b) => badness(b) - badness(a) || place(a) - place(b)
    || a.service.localeCompare(b.service) || a.index - b.index);
  const now = new Date(snapshot.at);
  byId("containers").replaceChildren(...ordered.map((one) => containerRow(one, name(one), users.get(one.name), now)));

  const parts = [];
  for (const service of services) {
    for (const kind of ["exited", "restarting", "unhealthy"]) {
      if (service[kind]) parts.push(`${service[kind]} ${service.service} ${kind}`);
    }
  }
  const sum = (field) => services.reduce((total, service) => total + service[field], 0);
  parts.push(`${sum("running")} running`);
  if (sum("healthy")) parts.push(`${sum("healthy")} healthy`);
  byId("services").textContent = parts.join(", ");
}

function showLog(logs) {
  const key = JSON.stringify(logs);
  if (key === shownLog) return;  // somebody may be selecting text in it
  shownLog = key;
  byId("log").hidden = !logs.length;
  if (!logs.length) return;
  byId("log-title").textContent = `Log of ${logs[0].service}`;
  const lines = logs.map((entry) => {
    const level = /^\[[^\]]+\] [^/\s]+\/(WARNING|ERROR|CRITICAL)\//.exec(entry.text);
    const text = entry.text.replace(/^\[[^\]]+\] [^/\s]+\/(?:INFO\/)?/, "");
    return make("li", "", make("time", "", time(entry.at)), make("span", level ? (level[1] === "WARNING" ? "high" : "bad") : "", text));
  });
  byId("log").querySelector("ol").replaceChildren(...lines);
}

// --- the whole ---------------------------------------------------------------------------------------------------

function show(snapshot) {
  byId("project").textContent = snapshot.project;
  document.title = `${snapshot.warnings.length ? `(${snapshot.warnings.length}) ` : ""}${snapshot.project} – Locust Kit`;
  showWarnings(snapshot.warnings);
  showLocust(snapshot);
  showHost(snapshot.host);
  showContainers(snapshot);
  showLog(snapshot.logs);
}

function showFreshness() {
  if (!last) return;
  const silentSeconds = (performance.now() - receivedAt) / 1000;
  const lost = !connected || silentSeconds > Math.max(6, 3 * last.interval_seconds);
  const stale = lost || last.stale;
  const readAt = last.engine_read_at ? (new Date(last.at) - new Date(last.engine_read_at)) / 1000 : null;
  document.body.className = stale ? "stale" : "live";
  byId("badge").textContent = stale ? "STALE" : "live";
  byId("age").textContent = stale && readAt !== null ? `data from ${duration(readAt + silentSeconds)} ago` : "";
  byId("time").textContent = new Date().toLocaleString([], { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
  byId("banner").hidden = !stale;
  byId("banner").textContent = lost
    ? "The sidecar does not answer. What stands below is old; trying again."
    : "Docker does not answer the sidecar. What stands below is old.";
}

function connect() {
  const stream = new EventSource("/api/stream");
  stream.addEventListener("snapshot", (event) => {
    last = JSON.parse(event.data);
    receivedAt = performance.now();
    connected = true;
    show(last);
    showFreshness();
  });
  stream.addEventListener("error", () => {
    connected = false;
    showFreshness();
    // The browser itself reconnects after a cut, but not after an answer that is no stream.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  });
}

connect();
setInterval(showFreshness, 1000);
