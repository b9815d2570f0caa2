// The incidents: the list, newest first, and one in detail with its evidence.

import { make, byId, setText, setClass, arrange, ask } from "./dom.js";
import { memory, number, when, time, shortName, logText, told } from "./format.js";

const MOST = 500;  // a page that is open for days must not grow
const SLACK = 200; // forgetting costs a sort: not at each one of a storm
const GRAVITY = { error: 2, warn: 1, info: 0 };
const SIGN = { error: "✗", warn: "!", info: "i" };
const WORDS = { error: "error", warn: "warning", info: "information" };
const KINDS = JSON.parse(byId("incident-kinds").textContent);  // by the server, from its one table
const kindName = (incident) => KINDS[incident.kind]?.label ?? incident.kind.replaceAll("_", " ");
const isOpen = (incident) => incident.until === null && Boolean(KINDS[incident.kind]?.lasts);

export class Incidents {
  // hooks: changed(), highlight(id | null), searchLog(container), announce(text), project()
  constructor(hooks) {
    this.hooks = hooks;
    this.known = new Map();
    this.items = new Map();
    this.open = null;
    byId("incidents-filter").addEventListener("change", () => this.show());
    byId("detail-close").addEventListener("click", () => byId("detail").close());
    byId("detail").addEventListener("close", () => {
      this.open = null;
      if (location.hash) history.replaceState(null, "", location.pathname);
    });
    byId("detail").addEventListener("click", (event) => {
      if (event.target === byId("detail")) byId("detail").close();  // on the ground beside it
    });
  }

  all() {
    return [...this.known.values()];
  }

  // Returns whether anything is new and show() is due. The higher of two revisions is kept, in any order of arrival.
  take(incidents, { announce = false } = {}) {
    let changed = false;
    for (const incident of incidents) {
      if (incident.helper) continue;
      const before = this.known.get(incident.id);
      if (before && before.revision >= incident.revision) continue;
      this.known.set(incident.id, { ...incident, evidence: [] });
      changed = true;
      if (announce && !before && incident.severity === "error") this.hooks.announce(`${kindName(incident)}: ${told(incident, this.hooks.project())}`);
      if (this.open === incident.id) this.openDetail(incident.id);
    }
    if (this.known.size > MOST + SLACK) this.#forget();
    return changed;
  }

  #forget() {
    for (const old of this.#newestFirst().slice(MOST)) this.known.delete(old.id);
  }

  #newestFirst() {
    return this.all().sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  }

  show() {
    const least = GRAVITY[byId("incidents-filter").value];
    this.#forget();
    const newest = this.#newestFirst();
    const shown = newest.filter((incident) => GRAVITY[incident.severity] >= least);
    const kills = newest.filter((one) => one.kind === "oom_kill").reduce((sum, one) => sum + one.count, 0);
    setText(byId("incidents-count"), newest.length
      ? `${newest.length}${newest.length >= MOST ? " latest" : ""}, ${kills} OOM ${kills === 1 ? "kill" : "kills"}` : "");
    arrange(byId("incident-list"), shown.length ? shown.map((incident) => this.#item(incident)) : [this.#none(newest.length)]);
    for (const id of [...this.items.keys()]) if (!this.known.has(id)) this.items.delete(id);
  }

  #none(others) {
    if (!this.empty) this.empty = make("li", "fine");
    setText(this.empty, others ? "no incident of this severity" : "✓ no incidents");
    return this.empty;
  }

  #item(incident) {
    let item = this.items.get(incident.id);
    if (!item) {
      const button = make("button", "", make("b", "sign"), make("span", "kind"), make("time"), make("span", "text"));
      button.type = "button";
      button.addEventListener("click", () => this.openDetail(incident.id));
      for (const [on, off] of [["mouseenter", "mouseleave"], ["focus", "blur"]]) {
        button.addEventListener(on, () => this.hooks.highlight(incident.id));
        button.addEventListener(off, () => this.hooks.highlight(null));
      }
      item = make("li", "", button);
      this.items.set(incident.id, item);
    }
    const [sign, kind, at, text] = item.firstChild.children;
    setClass(item, incident.severity);
    setText(sign, SIGN[incident.severity]);
    sign.title = WORDS[incident.severity];
    const times = incident.count > 1 ? ` ×${number(incident.count)}${incident.estimated ? " (estimate)" : ""}` : "";
    setText(kind, `${kindName(incident)}${times}${isOpen(incident) ? " (ongoing)" : incident.state === "provisional" ? " (may change)" : ""}`);
    setText(at, when(incident.at));
    at.dateTime = incident.at;
    setText(text, told(incident, this.hooks.project()));
    return item;
  }

  async openDetail(id) {
    const first = this.open !== id;
    this.open = id;
    const short = this.known.get(id);
    if (first) {
      setText(byId("detail-title"), short ? kindName(short) : "Incident");
      byId("detail-body").replaceChildren(make("p", "quiet", "loading the evidence…"));
      if (!byId("detail").open) byId("detail").showModal();
      history.replaceState(null, "", `#incident=${encodeURIComponent(id)}`);
    }
    let content;
    try {
      content = this.#detail(await ask(`/api/incidents/${encodeURIComponent(id)}`));
    } catch (error) {
      const known = short ? this.#detail(short) : [];
      content = [make("p", "bad", `The evidence cannot be shown: ${error.message}`), ...known];
    }
    if (this.open === id) byId("detail-body").replaceChildren(...content);
  }

  #detail(incident) {
    setText(byId("detail-title"), kindName(incident));
    const facts = this.#facts(incident).filter(([, value]) => value !== null && value !== undefined && value !== "");
    const list = make("dl", "", ...facts.map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value))));
    const parts = [make("p", `lead ${incident.severity}`, told(incident, this.hooks.project()))];
    if (incident.note) parts.push(make("p", "quiet", incident.note));
    if (incident.person_note) parts.push(make("p", "", make("b", "", "Note: "), incident.person_note));
    parts.push(list);
    if (incident.container) {
      const button = make("button", "", "Search its log");
      button.type = "button";
      button.addEventListener("click", () => {
        byId("detail").close();
        this.hooks.searchLog(incident.container);
      });
      parts.push(button);
    }
    if (incident.cause) {
      const button = make("button", "", "Show its cause");
      button.type = "button";
      button.addEventListener("click", () => this.openDetail(incident.cause));
      parts.push(button);
    }
    if (incident.evidence.length) parts.push(make("h3", "", "Evidence"), ...incident.evidence.map((one) => evidence(one, incident)));
    return parts;
  }

  #facts(incident) {
    const bytes = (value) => (value === null ? null : memory(value));
    return [
      ["when", `${when(incident.at)}${incident.until && when(incident.until) !== when(incident.at) ? ` to ${when(incident.until)}` : isOpen(incident) ? " (ongoing)" : ""}`],
      ["container", incident.container && shortName(incident.container, this.hooks.project())],
      ["count", `${number(incident.count)}${incident.estimated ? " (estimate)" : ""}`],
      ["exit reason", incident.reason && incident.reason.replaceAll("_", " ")],
      ["exit code", incident.exit_code === null ? null : String(incident.exit_code)],
      ["main process", incident.process_survived === null ? null : incident.process_survived ? "survived" : "died"],
      ["memory at death", bytes(incident.memory_at_death_bytes)],
      ["peak", bytes(incident.memory_peak_bytes)],
      ["limit", bytes(incident.memory_limit_bytes)],
      ["users lost", incident.users_lost === null ? null : number(incident.users_lost)],
      ["Locust workers", incident.workers.join(", ")],
      ["run", incident.run_id],
      ["state", `${incident.state}, revision ${incident.revision}`],
      ["engine events", incident.raw_events ? number(incident.raw_events) : null],
      ["id", incident.id],
    ];
  }
}

function evidence(one, incident) {
  const title = make("p", "", make("b", "", one.what.replaceAll("_", " ")), ` ${one.text}`);
  if (one.at) title.append(make("time", "quiet", ` ${time(one.at)}`));
  const made = make("div", "evidence", title);
  if (one.samples.length > 1) made.append(sparkline(one.samples, incident.memory_limit_bytes));
  if (one.lines.length) {
    const lines = make("ol", "log", ...one.lines.map((line) => {
      const { text, style } = logText(line);
      return make("li", "", make("span", style, text));
    }));
    lines.tabIndex = 0;  // it scrolls: the keyboard must get there
    lines.setAttribute("aria-label", "log lines");
    made.append(lines);
  }
  return made;
}

// Memory before the incident, raw usage against the limit: the limit applies to raw usage.
function sparkline(samples, limit) {
  const [width, height] = [600, 90];
  const space = "http://www.w3.org/2000/svg";
  const draw = (tag, attributes) => {
    const element = document.createElementNS(space, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const top = Math.max(limit || 0, ...samples.map((one) => one.usage_bytes)) * 1.05;
  const from = Date.parse(samples[0].at);
  const span = Math.max(1, Date.parse(samples[samples.length - 1].at) - from);
  const y = (bytes) => (height * (1 - bytes / top)).toFixed(1);
  const line = (field) => samples.map((one) => `${((width * (Date.parse(one.at) - from)) / span).toFixed(1)},${y(one[field])}`).join(" ");
  const last = samples[samples.length - 1];
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", class: "spark", role: "img" });
  svg.setAttribute("aria-label", `memory over ${Math.round(span / 1000)} seconds, to ${memory(last.usage_bytes)}`);
  if (limit) svg.append(draw("line", { x1: 0, x2: width, y1: y(limit), y2: y(limit), class: "limit" }));
  svg.append(draw("polyline", { points: line("working_set_bytes"), class: "set" }), draw("polyline", { points: line("usage_bytes"), class: "usage" }));
  const words = `working set ${memory(last.working_set_bytes)}, raw usage ${memory(last.usage_bytes)}${limit ? `, limit ${memory(limit)}` : ""}, at the end of ${Math.round(span / 1000)} s`;
  return make("div", "", svg, make("p", "quiet small", words));
}
