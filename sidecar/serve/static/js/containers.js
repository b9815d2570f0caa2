// The table of containers, those with problems first. A pressed name is drawn in the charts with its own colour.

import { make, byId, setText, setClass, arrange } from "./dom.js";
import { memory, pair, percent, duration, UNKNOWN } from "./format.js";

const MEMORY_PERCENT = 90;
const THROTTLED_PERCENT = 5;
const SOON_SECONDS = 600;

const isHigh = (one) => one.memory_limit_bytes !== null && one.memory_percent !== null && one.memory_percent >= MEMORY_PERCENT;
const isThrottled = (one) => one.throttled_percent !== null && one.throttled_percent >= THROTTLED_PERCENT;
const ends = (one) => one.oom_eta_seconds !== null && one.oom_eta_seconds !== undefined;
export const isUrgent = (one) => isThrottled(one) || ends(one);
const stopped = (one) => one.state === "exited" && ["stopped", "finished"].includes(one.exit_reason);

function badness(one) {
  if (stopped(one)) return 0;
  if (["exited", "dead", "restarting"].includes(one.state) || one.health === "unhealthy") return 2;
  return isHigh(one) || isUrgent(one) || one.state !== "running" || one.health === "starting" ? 1 : 0;
}

function state(one) {
  const why = one.exit_reason ? ` (${one.exit_reason.replace("_", " ")})` : "";
  if (one.state === "exited" || one.state === "dead") {
    return [`${one.state}${one.exit_code === null ? "" : ` ${one.exit_code}`}${why}`, stopped(one) ? "quiet" : "bad"];
  }
  if (one.state === "restarting") return [`restarting${why}`, "bad"];
  if (one.state !== "running") return [one.state, "high"];
  return [one.health || "running", { healthy: "good", unhealthy: "bad", starting: "high" }[one.health] || ""];
}

function used(one) {
  if (one.memory_working_set_bytes === null) return UNKNOWN;
  return `${memory(one.memory_working_set_bytes)} / ${one.memory_limit_bytes === null ? "no limit" : memory(one.memory_limit_bytes)}`;
}

const count = (value) => (value === null || value === undefined ? [UNKNOWN, "quiet"] : [String(value), value ? "" : "quiet"]);

// Columns: class, heading, label on a phone, and a container's content as [text, style].
const COLUMNS = [
  ["node", "Node", "", (one) => [one.node || UNKNOWN, one.state === "unknown" ? "bad" : "quiet"]],
  ["state", "State", "", (one) => state(one)],
  ["n", "Restarts", "restarts", (one) => [count(one.restarts)[0], one.restarts ? "high" : "quiet"]],
  ["n", "OOM kills", "OOM kills", (one) => [count(one.oom_kills)[0], one.oom_kills ? "bad strong" : "quiet"]],
  ["n", "OOM in", "OOM in", (one) => (ends(one) ? [`~${duration(one.oom_eta_seconds)}`, one.oom_eta_seconds < SOON_SECONDS ? "bad strong" : "high"] : [UNKNOWN, "quiet"])],
  ["n", "CPU", "cpu", (one) => [percent(one.cpu_percent, 1), ""]],
  ["n", "Throttled", "throttled", (one) => [percent(one.throttled_percent), isThrottled(one) ? "high strong" : "quiet"]],
  ["bar-cell", "Memory", "", null],
  ["n", "Used / limit", "memory", (one) => [used(one), ""]],
  ["n spare", "Net in / out", "net", (one) => [pair(one.network_rx_bytes, one.network_tx_bytes), ""]],
  ["n spare", "Block read / write", "block", (one) => [pair(one.block_read_bytes, one.block_write_bytes), ""]],
  ["n", "Users", "users", (one, { users }) => (users.has(one.name) ? [String(users.get(one.name)), ""] : [UNKNOWN, "quiet"])],
  ["n", "Up", "up", (one, { now }) => [one.state === "running" && one.started_at ? duration((now - new Date(one.started_at)) / 1000) : UNKNOWN, ""]],
];

class Row {
  constructor(pin) {
    this.button = make("button", "pin");
    this.button.type = "button";
    this.button.setAttribute("aria-pressed", "false");
    this.button.addEventListener("click", () => {
      const pressed = this.button.getAttribute("aria-pressed") !== "true";
      this.button.setAttribute("aria-pressed", String(pressed));
      pin(this.name, pressed);
    });
    this.cells = COLUMNS.map(([className, , label, content]) => {
      const inner = content ? make("span") : this.#bar();
      const cell = make("td", className, inner);
      if (label) cell.dataset.label = label;
      return inner;
    });
    this.element = make("tr", "", make("td", "name", this.button), ...this.cells.map((inner) => inner.parentNode));
  }

  #bar() {
    this.fill = make("i");
    this.track = make("div", "bar", this.fill);
    this.share = make("span");
    return make("div", "memory", this.track, this.share);
  }

  show(one, name, facts) {
    this.name = one.name;
    setText(this.button, name);
    setClass(this.element, ["", "attention", "broken"][badness(one)]);
    const title = `${one.name} (${one.id}): press to draw it in the charts`;
    if (this.button.title !== title) this.button.title = title;
    COLUMNS.forEach(([, , , content], place) => {
      if (!content) return;
      const [text, style] = content(one, facts);
      setText(this.cells[place], text);
      setClass(this.cells[place], style);
    });
    const limited = one.memory_limit_bytes !== null && one.memory_percent !== null;
    setClass(this.track, limited ? (isHigh(one) ? "bar over" : "bar") : "bar none");
    this.fill.style.width = limited ? `${Math.min(100, one.memory_percent)}%` : "0";
    setText(this.share, percent(one.memory_percent, 1));
    setClass(this.share, isHigh(one) ? "high strong" : "");
  }
}

export class Containers {
  constructor(pin) {
    this.pin = pin;
    this.rows = new Map();
    const head = byId("containers").querySelector("thead tr");
    for (const [className, title] of [["name", "Container"], ...COLUMNS]) {
      const cell = make("th", className, title);
      cell.scope = "col";
      head.append(cell);
    }
  }

  show(snapshot) {
    const { containers, services, project } = snapshot;
    const sizes = new Map(services.map((service) => [service.service, service.containers]));
    const name = (one) => {
      if (one.project && one.project !== project) return one.name;
      return sizes.get(one.service) === 1 && one.service !== "locust-worker" ? one.service : `${one.service}-${one.index}`;
    };
    const place = (one) => (one.project && one.project !== project ? 3 : { "locust-master": 0, "locust-worker": 1 }[one.service] ?? 2);
    const facts = { now: new Date(snapshot.at), users: new Map() };
    for (const worker of snapshot.locust ? snapshot.locust.workers : []) {
      if (worker.container) facts.users.set(worker.container, (facts.users.get(worker.container) || 0) + worker.users);
    }
    const ordered = [...containers].sort((a, b) => badness(b) - badness(a) || place(a) - place(b)
      || a.service.localeCompare(b.service) || a.index - b.index || a.name.localeCompare(b.name));
    arrange(byId("containers").querySelector("tbody"), ordered.map((one) => {
      if (!this.rows.has(one.name)) this.rows.set(one.name, new Row(this.pin));
      const row = this.rows.get(one.name);
      row.show(one, name(one), facts);
      return row.element;
    }));
    const there = new Set(containers.map((one) => one.name));
    for (const known of [...this.rows.keys()]) {
      if (there.has(known)) continue;
      this.rows.delete(known);
      this.pin(known, false);
    }
    byId("containers").classList.toggle("cluster", (snapshot.nodes || []).length > 1);
    setText(byId("services"), this.#summary(services));
  }

  #summary(services) {
    const sum = (field) => services.reduce((total, service) => total + service[field], 0);
    const parts = services.flatMap((service) => ["exited", "restarting", "unhealthy"]
      .filter((kind) => service[kind]).map((kind) => `${service[kind]} ${service.service} ${kind}`));
    parts.push(`${sum("running")} running`);
    if (sum("healthy")) parts.push(`${sum("healthy")} healthy`);
    return parts.join(", ");
  }
}
