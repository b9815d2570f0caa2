// The logs: the latest lines, or the result of a search.

import { make, byId, setText, ask } from "./dom.js";
import { when, number, logText, shortName } from "./format.js";

const LIMIT = 200;

// The text with every find of `wanted` marked, in any case.
function marked(text, wanted) {
  if (!wanted) return [text];
  const [low, find] = [text.toLowerCase(), wanted.toLowerCase()];
  if (low.length !== text.length) return [text];  // a letter that changes its length in lower case: places do not agree
  const parts = [];
  let from = 0;
  for (let at = low.indexOf(find); at >= 0; at = low.indexOf(find, from)) {
    parts.push(text.slice(from, at), make("mark", "", text.slice(at, at + find.length)));
    from = at + find.length;
  }
  parts.push(text.slice(from));
  return parts;
}

function line(entry, project, wanted) {
  const { text, style } = logText(entry.text);
  const row = make("li", "", make("time", "", entry.at ? when(entry.at) : ""),
    make("span", "who", shortName(entry.container, project)), make("span", style, ...marked(text, wanted)));
  return row;
}

export class Logs {
  constructor() {
    this.project = "";
    this.live = [];
    this.searching = null;
    byId("logs-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.search();
    });
    byId("logs-live").addEventListener("click", () => this.#toLive());
  }

  show(snapshot) {
    this.project = snapshot.project;
    this.at = Date.parse(snapshot.at);
    this.live = snapshot.logs;
    this.#offer(snapshot.containers.map((one) => one.name));
    if (!this.searching) this.#showLive();
  }

  searchContainer(container) {
    this.#offer([container]);
    byId("logs-container").value = container;
    byId("logs-text").value = "";
    byId("logs-since").value = "";
    this.search();
    byId("logs").scrollIntoView();
    byId("logs-text").focus({ preventScroll: true });
  }

  async search() {
    if (this.searching) this.searching.abort();
    const asked = (this.searching = new AbortController());
    byId("logs-live").hidden = false;
    setText(byId("logs-what"), "searching…");
    const wanted = byId("logs-text").value;
    const seconds = byId("logs-since").value;
    const query = new URLSearchParams({ q: wanted, limit: LIMIT });
    if (byId("logs-container").value) query.set("container", byId("logs-container").value);
    if (seconds) query.set("since", new Date((this.at || Date.now()) - seconds * 1000).toISOString());
    try {
      const found = await ask(`/api/logs?${query}`, asked.signal);
      byId("log-lines").replaceChildren(...found.lines.map((entry) => line(entry, this.project, wanted)));
      setText(byId("logs-what"), found.lines.length
        ? `${number(found.lines.length)} lines found${found.more ? "; there are more, only the newest are shown" : ""}` : "nothing found");
    } catch (error) {
      if (error.name === "AbortError") return;
      setText(byId("logs-what"), `cannot search: ${error.message}`);
      byId("log-lines").replaceChildren();
    }
    this.shown = "";
  }

  #toLive() {
    if (this.searching) this.searching.abort();
    this.searching = null;
    byId("logs-live").hidden = true;
    this.#showLive();
  }

  #showLive() {
    setText(byId("logs-what"), this.live.length ? `latest lines of ${this.live[0].service}` : "no lines yet");
    const key = JSON.stringify(this.live);
    if (key === this.shown) return;  // somebody may be selecting text in it
    this.shown = key;
    byId("log-lines").replaceChildren(...this.live.map((entry) => line(entry, this.project, "")));
  }

  // Removed containers stay in the list: their lines are still stored.
  #offer(names) {
    const select = byId("logs-container");
    this.offered ??= new Set();
    for (const name of [...names].sort()) {
      if (this.offered.has(name) || this.offered.size >= 500) continue;
      this.offered.add(name);
      const option = make("option", "", shortName(name, this.project));
      option.value = name;
      select.append(option);
    }
  }
}
