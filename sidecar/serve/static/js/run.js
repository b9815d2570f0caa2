// The state of the run: the verdict so far, the master's figures, warnings, failed requests, endpoints, the host.

import { make, byId, fact, showFacts, setText, setClass } from "./dom.js";
import { memory, number, percent, rate, responseTime, duration, UNKNOWN } from "./format.js";

const ACTIVE = ["spawning", "running", "cleanup", "stopping"];
const HIGH_PERCENT = 90;
const MOST_CLASSES = 8;
const MARK = { PASS: "✓", FAIL: "✗", INVALID: "⊘" };

function failureText({ failure_class: name, detail, error }) {
  return name ? `${[name, detail].filter(Boolean).join(" ")}: ${error}` : error;
}

function message(name, text) {
  const made = make("div", "whole", make("dt", "", name));
  made.append(make("dd", "message", text));
  return made;
}

function showVerdict({ verdict, run }) {
  const [word, reasons] = byId("verdict").children;
  const active = run && run.state === "running";
  setClass(byId("verdict"), verdict ? verdict.word.toLowerCase() : "");
  setText(word, verdict ? `${MARK[verdict.word] || ""} ${verdict.word}${active ? " so far" : ""}` : "no verdict");
  const none = run ? "no problem found so far" : "no run yet";
  setText(reasons, verdict && verdict.reasons.length ? verdict.reasons.join(" · ") : none);
}

function byClass(users) {
  const classes = Object.entries(users || {});
  const most = classes.slice(0, MOST_CLASSES).map(([name, count]) => `${name} ${number(count)}`).join(", ");
  return classes.length < 2 ? "" : classes.length > MOST_CLASSES ? `${most}, …` : most;
}

function showLocust(snapshot) {
  const { locust, run } = snapshot;
  if (!locust) {
    showFacts(byId("locust"), [message("no data", snapshot.locust_error || "not read yet")]);
    return;
  }
  const remote = locust.workers.filter((worker) => worker.remote && worker.state !== "missing").length;
  const here = locust.workers_connected - remote;
  const short = here < locust.workers_expected;
  // After a run the master still answers with the run's last figures. They must not look current.
  const active = ACTIVE.includes(locust.state);
  const past = active || locust.p95_ms === null ? "" : " (last run)";
  const since = active && run && run.started_at ? `for ${duration((new Date(snapshot.at) - new Date(run.started_at)) / 1000)}` : "";
  showFacts(byId("locust"), [
    fact("state", locust.state, { detail: since }),
    fact("workers", `${here}/${locust.workers_expected}${short ? " !" : ""}`,
      { style: short ? "high" : "", detail: remote ? `and ${remote} on other machines` : "" }),
    fact("users", number(locust.users), { detail: active ? byClass(locust.users_by_class) : "" }),
    fact(`requests/s${past}`, number(locust.rps)),
    fact(`failed${past}`, `${(locust.fail_ratio * 100).toFixed(2)}%`,
      { style: locust.fail_ratio > 0 ? "bad" : "", detail: active ? `${number(locust.fail_per_second)}/s now` : "" }),
    fact(`p95${past}`, responseTime(locust.p95_ms), { detail: `median ${responseTime(locust.p50_ms)}` }),
  ]);
}

function showWarnings(warnings) {
  const list = byId("warnings").querySelector("ul");
  const key = JSON.stringify(warnings);
  if (list.shown === key) return;
  list.shown = key;
  const items = warnings.map((warning) =>
    make("li", warning.severity === "error" ? "error" : "warn",
      make("b", "", warning.severity === "error" ? "✗ error" : "! warn"), ` ${warning.text}`));
  if (!items.length) items.push(make("li", "fine", "✓ none"));
  list.replaceChildren(...items);
}

function answers(health) {
  return (health || []).map((one) => one.passed
    ? fact(one.name, responseTime(one.response_ms), { detail: one.uptime_percent === null ? "" : `${one.uptime_percent.toFixed(2)} % of checks OK (24 h)` })
    : fact(one.name, "✗ down", { style: "bad", detail: one.error }));
}

function machines(nodes) {
  return nodes.map((one) => {
    const name = one.leads ? `${one.name} (master)` : one.name;
    if (!one.answers) return fact(name, "✗ no answer", { style: "bad", detail: one.error || "" });
    if (one.master_error) return fact(name, "✗ cannot reach the master", { style: "bad", detail: one.master_error });
    const memoryUsed = one.host ? `memory ${percent(one.host.memory_percent)}, ` : "";
    return fact(name, one.host ? `cpu ${percent(one.host.cpu_percent)}` : UNKNOWN, { detail: `${memoryUsed}${one.running} ${one.running === 1 ? "container" : "containers"} running` });
  });
}

function showHost({ host, health, nodes }) {
  const list = byId("host");
  const many = (nodes || []).length > 1;
  setText(byId("host-title"), many ? `Nodes: ${nodes.length}` : "Host");
  if (many) {
    showFacts(list, [...machines(nodes), ...answers(health)]);
    return;
  }
  if (!host) {
    showFacts(list, [message("no data", "the host's figures could not be read"), ...answers(health)]);
    return;
  }
  const high = (value) => ({ style: value !== null && value >= HIGH_PERCENT ? "high" : "" });
  showFacts(list, [
    fact("CPU", percent(host.cpu_percent), { ...high(host.cpu_percent), detail: `${host.cpu_count} cores, load ${host.load_1m.toFixed(2)}` }),
    fact("memory", percent(host.memory_percent), { ...high(host.memory_percent), detail: `${memory(host.memory_used_bytes, 3)} of ${memory(host.memory_total_bytes, 3)}` }),
    fact("disk used", percent(host.disk_used_percent), high(host.disk_used_percent)),
    fact("disk read", rate(host.disk_read_bytes_per_second), { detail: `write ${rate(host.disk_write_bytes_per_second)}` }),
    fact("network in", rate(host.network_rx_bytes_per_second), { detail: `out ${rate(host.network_tx_bytes_per_second)}` }),
    ...answers(health),
  ]);
}

function link({ text, href }) {
  const made = make("a", "", text);
  made.href = href;
  return made;
}

function traceOf({ trace_id: text, trace_url: href }) {
  return /^https?:/.test(href) ? { text, href } : text;
}

function showTable(section, head, rows) {
  const key = JSON.stringify(rows);
  if (section.shown === key) return;
  section.shown = key;
  section.hidden = !rows.length;
  const cells = (tag, row) => row.map((cell, place) => make(tag, place ? "n" : "wide", cell.href ? link(cell) : cell));
  section.querySelector("tbody").replaceChildren(
    make("tr", "", ...cells("th", head)), ...rows.map((row) => make("tr", "", ...cells("td", row))));
}

export function showRun(snapshot) {
  setText(byId("run-name"), snapshot.run ? `${snapshot.run.run_id}: ${snapshot.run.state}` : "");
  const report = byId("run-report");
  report.hidden = !snapshot.run;
  if (snapshot.run) report.href = `/runs/${encodeURIComponent(snapshot.run.run_id)}`;
  showVerdict(snapshot);
  showLocust(snapshot);
  showWarnings(snapshot.warnings);
  showHost(snapshot);
  const traces = snapshot.failures.some((one) => one.trace_id) ? [traceOf] : [];
  showTable(byId("failures"), ["request and error", "times", ...traces.map(() => "trace")],
    snapshot.failures.map((one) => [`${one.method} ${one.name}: ${failureText(one)}`, number(one.occurrences),
      ...traces.map((trace) => trace(one))]));
  showTable(byId("endpoints"), ["endpoint", "requests", "failed", "requests/s", "p95"],
    snapshot.endpoints.map((one) => [`${one.method} ${one.name}`, number(one.requests), number(one.failures),
      one.rps === null ? UNKNOWN : number(one.rps), responseTime(one.p95_ms)]));
}
