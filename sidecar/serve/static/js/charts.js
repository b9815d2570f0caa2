// The three charts: memory against the limit and CPU of each container, users and requests of the run.
// Sixty lines stay readable: the busiest ones have a colour and a name, the others are grey until pointed at.

import { make, byId, setText, arrange } from "./dom.js";
import { percent, number, time, shortName, told, UNKNOWN } from "./format.js";
import { marks } from "./marks.js";

const NAMED = 5;
const RECENT_POINTS = 20;
const HEIGHT = 168;
const LIMIT_PERCENT = 100;
const [STAY, URGENT, PINNED] = [1.15, 1e3, 1e6];
const SYNC = "time";
const AXIS = 46;

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ...Object.fromEntries(["ink", "quiet", "line", "panel", "faint", "hatch", "bad", "warn"].map((name) => [name, of(name)])),
    lines: Array.from({ length: NAMED }, (_, place) => of(`line-${place + 1}`)),
  };
}

const axisTime = (_, ticks) => ticks.map((tick, place) => {
  const text = time(tick * 1000);
  const seconds = ticks.length > 1 && ticks[1] - ticks[0] < 60;
  return place === 0 && seconds ? text : text.slice(0, seconds ? 8 : 5);
});

// A line stops if there was no figure for longer than a few rounds, however close two points are drawn.
const gaps = (common) => (u, seriesIndex, from, to) => {
  const found = [];
  const [xs, ys] = [u.data[0], u.data[seriesIndex]];
  let before = -1;
  for (let place = from; place <= to; place += 1) {
    if (ys[place] === null || ys[place] === undefined) continue;
    if (before >= 0 && xs[place] - xs[before] > common.gapSeconds) {
      found.push([u.valToPos(xs[before], "x", true), u.valToPos(xs[place], "x", true)]);
    }
    before = place;
  }
  return found;
};

class Chart {
  constructor(figure, common, { scales, axes, format, limit }) {
    this.common = common;
    this.plot = figure.querySelector(".plot");
    this.legend = figure.querySelector(".legend");
    this.reading = figure.querySelector("figcaption").appendChild(make("span", "reading"));
    this.options = { scales, axes };
    this.format = format;
    this.limit = limit;
    this.slots = [];      // what each line of the chart shows: { name, label, colour, width, scale }
    this.items = new Map();
    this.u = null;
    new ResizeObserver(() => this.u && this.u.setSize(this.#size())).observe(this.plot);
  }

  // lines: [{ name, label, values, colour | null, scale }], the last ones drawn on top.
  show(at, lines) {
    this.slots = lines;
    const shape = lines.map((line) => line.scale).join();
    const xs = at.length ? at : [this.common.from, this.common.to];
    const data = [xs, ...lines.map((line) => (at.length ? line.values : [null, null]))];
    if (!this.u || this.shape !== shape) this.#build(shape, data);
    else {
      lines.forEach((line, place) => { this.u.series[place + 1].width = line.colour ? 2 : 1; });
      this.u.setData(data);
    }
    this.#showLegend();
  }

  redraw() {
    if (this.u) this.u.redraw(false);
  }

  #size() {
    return { width: this.plot.clientWidth, height: HEIGHT };
  }

  #build(shape, data) {
    if (this.u) this.u.destroy();
    this.shape = shape;
    const { common } = this;
    const stroke = (_, place) => {
      const line = this.slots[place - 1];
      return (line && line.colour) || common.colours.faint;
    };
    const grid = { stroke: () => common.colours.line, width: 1 };
    const axis = { stroke: () => common.colours.quiet, font: "12px system-ui, sans-serif", grid, ticks: grid };
    this.u = new uPlot({
      ...this.#size(),
      padding: [18, this.options.axes.length > 1 ? 0 : AXIS, null, 8],  // one time axis: all plots end at the same place
      legend: { show: false },
      cursor: {
        sync: { key: SYNC, setSeries: false },
        drag: { x: false, y: false },
        focus: { prox: 24 },
        points: { size: 6 },
        y: false,
      },
      focus: { alpha: 0.35 },
      scales: { x: { time: true, range: () => [common.from, common.to] }, ...this.options.scales },
      axes: [{ ...axis, values: axisTime, space: 70, size: 30 }, ...this.options.axes.map((one) => ({ ...axis, size: AXIS, ...one }))],
      series: [{}, ...this.slots.map((line) => ({
        scale: line.scale, stroke, width: line.colour ? 2 : 1, points: { show: false }, gaps: gaps(common),
      }))],
      plugins: [marks(common, () => this.#tip())],
      hooks: {
        draw: [(u) => this.#drawLimit(u)],
        setCursor: [() => this.#showLegend()],
        setSeries: [(_, place) => { this.focused = place; this.#showLegend(); }],
      },
    }, data, this.plot);
    this.u.root.setAttribute("aria-hidden", "true");
  }

  #drawLimit(u) {
    if (!this.limit) return;
    const { ctx: pen, bbox } = u;
    const ratio = devicePixelRatio || 1;
    const y = u.valToPos(LIMIT_PERCENT, "y", true);
    pen.save();
    pen.strokeStyle = pen.fillStyle = this.common.colours.bad;
    pen.lineWidth = 1.5 * ratio;
    pen.setLineDash([6 * ratio, 4 * ratio]);
    pen.beginPath();
    pen.moveTo(bbox.left, y);
    pen.lineTo(bbox.left + bbox.width, y);
    pen.stroke();
    pen.font = `${11 * ratio}px system-ui, sans-serif`;
    pen.textBaseline = "top";
    pen.textAlign = "left";
    pen.fillText("limit", bbox.left + 4 * ratio, y + 3 * ratio);
    pen.restore();
  }

  #showLegend() {
    const place = this.u ? this.u.cursor.idx : null;
    const at = place !== null && place !== undefined && this.u.cursor.left >= 0 ? this.u.data[0][place] : null;
    const value = (line) => {
      const from = at === null ? line.values.length - 1 : place;
      return line.values[from] ?? null;
    };
    const named = this.slots.filter((line) => line.colour).reverse();
    arrange(this.legend, named.map((line) => {
      let item = this.items.get(line.name);
      if (!item) {
        item = make("li", "", make("i"), make("span"), make("b"));
        this.items.set(line.name, item);
      }
      item.firstChild.style.background = line.colour;
      setText(item.children[1], line.label);
      item.children[1].title = line.label;
      setText(item.children[2], this.format(value(line), line));
      return item;
    }));
    for (const name of this.items.keys()) if (!named.some((line) => line.name === name)) this.items.delete(name);
    const focused = at === null || !this.focused ? null : this.slots[this.focused - 1];
    const what = focused ? `  ${focused.label} ${this.format(value(focused), focused)}` : "";
    setText(this.reading, at === null ? "" : `${time(at * 1000)}${what}`);
  }

  #tip() {
    const element = make("div", "tip");
    return {
      element,
      show: (incidents) => {
        const newest = [...incidents].reverse();
        const lines = newest.slice(0, 3).map((one) => make("p", "", `${time(one.at)}  ${one.text}`));
        if (newest.length > 3) lines.push(make("p", "quiet", `and ${newest.length - 3} more`));
        element.replaceChildren(...lines);
      },
    };
  }
}

export class Charts {
  constructor(store, open) {
    this.store = store;
    this.pinned = new Set();
    this.urgent = new Set();
    this.colourOf = new Map();
    this.common = { from: 0, to: 1, gapSeconds: 10, incidents: [], blind: [], highlight: null, colours: colours(), open };
    const shares = (_, ticks) => ticks.map((tick) => `${tick}%`);
    const share = (value) => percent(value, 0);
    this.memory = new Chart(byId("chart-memory"), this.common, {
      scales: { y: { range: (_, __, max) => [0, Math.max(108, (max ?? 0) * 1.05)] } },
      axes: [{ scale: "y", values: shares, splits: () => [0, 25, 50, 75, 100] }], format: share, limit: true,
    });
    this.cpu = new Chart(byId("chart-cpu"), this.common, {
      scales: { y: { range: (_, __, max) => [0, Math.max(10, (max ?? 0) * 1.1)] } },
      axes: [{ scale: "y", values: shares }], format: share,
    });
    const counts = (_, ticks) => ticks.map((tick) => number(tick));
    const up = (_, __, max) => [0, Math.max(5, (max ?? 0) * 1.1)];
    this.run = new Chart(byId("chart-run"), this.common, {
      scales: { users: { range: up }, rate: { range: up } },
      axes: [
        { scale: "users", values: counts },
        { scale: "rate", values: counts, side: 1, grid: { show: false } },
      ],
      format: (value) => (value === null ? UNKNOWN : number(value)),
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.common.colours = colours();
      this.show();
    });
  }

  // The axis ends at the monitor's current time: `seconds` since 1970 on its clock.
  moveTo(seconds, interval) {
    this.common.to = seconds;
    this.common.from = seconds - this.store.windowSeconds;
    this.common.gapSeconds = this.store.gapSeconds(interval);
  }

  setIncidents(incidents, project) {
    this.common.incidents = incidents
      .map((one) => ({ id: one.id, at: one.at, seconds: Date.parse(one.at) / 1000, severity: one.severity, text: told(one, project) }))
      .filter((one) => one.seconds >= this.common.from - 60)
      .sort((a, b) => a.seconds - b.seconds);
  }

  setBlind(spans) {
    this.common.blind = spans.map((span) => ({
      from: Date.parse(span.since) / 1000, to: span.until ? Date.parse(span.until) / 1000 : null, covered: span.covered,
    }));
  }

  highlight(id) {
    if (this.common.highlight === id) return;
    this.common.highlight = id;
    for (const chart of [this.memory, this.cpu, this.run]) chart.redraw();
  }

  show(project = this.project) {
    this.project = project;
    const { at, run } = this.store;
    this.#choose();
    this.memory.show(at, this.#lines("memory"));
    this.cpu.show(at, this.#lines("cpu"));
    const [users, rps, failures] = this.common.colours.lines;
    this.run.show(at, [
      { name: "failures", label: "failures/s", values: run.failures, colour: this.common.colours.bad, scale: "rate" },
      { name: "rps", label: "requests/s", values: run.rps, colour: rps, scale: "rate" },
      { name: "users", label: "users", values: run.users, colour: users, scale: "users" },
    ]);
  }

  // The containers with a colour, the same in both charts: pinned ones, those with an OOM forecast or throttling, and
  // those with the most memory or CPU use lately. A chosen one stays for a while.
  #choose() {
    const recent = (values) => {
      const known = values.slice(-RECENT_POINTS).filter((value) => value !== null);
      return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : 0;
    };
    const pressure = (name, one) => Math.max(recent(one.memory), recent(one.cpu)) * (this.colourOf.has(name) ? STAY : 1)
      + (this.urgent.has(name) ? URGENT : 0) + (this.pinned.has(name) ? PINNED : 0);
    this.pressures = new Map([...this.store.containers].map(([name, one]) => [name, pressure(name, one)]));
    const first = [...this.pressures].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).slice(0, NAMED).map(([name]) => name);
    for (const name of [...this.colourOf.keys()]) if (!first.includes(name)) this.colourOf.delete(name);
    for (const name of first) {
      if (this.colourOf.has(name)) continue;
      const taken = new Set(this.colourOf.values());
      this.colourOf.set(name, this.common.colours.lines.findIndex((_, place) => !taken.has(place)));
    }
  }

  #lines(column) {
    return [...this.store.containers]
      .sort(([a], [b]) => this.pressures.get(a) - this.pressures.get(b) || b.localeCompare(a))
      .map(([name, one]) => ({
        name, label: shortName(name, this.project), values: one[column], scale: "y",
        colour: this.colourOf.has(name) ? this.common.colours.lines[this.colourOf.get(name)] : null,
      }));
  }
}
