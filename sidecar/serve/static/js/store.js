// The figures over time that the charts draw: what /api/history gave, and each snapshot since. It holds one window of
// time in steps and never more, so a page that is open for days stays as small as in its first minute.

const CONTAINER_COLUMNS = ["memory", "cpu"];
const RUN_COLUMNS = ["users", "rps", "failures"];

export class Store {
  constructor(windowSeconds) {
    this.windowSeconds = windowSeconds;
    this.points = 300;
    this.step = windowSeconds / this.points;
    this.clear();
  }

  clear() {
    this.at = [];              // seconds since 1970
    this.containers = new Map();  // name → { limit, memory: [percent of limit], cpu: [percent] }
    this.run = Object.fromEntries(RUN_COLUMNS.map((name) => [name, []]));
  }

  load(history) {
    this.clear();
    this.step = history.step_seconds;
    this.at = history.at.map((text) => Date.parse(text) / 1000);
    for (const one of history.containers) {
      const limit = one.memory_limit_bytes;
      const known = this.#container(one.container, limit);
      // A recreated container has the name of the one before it: they share one line.
      one.memory_working_set_bytes.forEach((value, place) => {
        if (value !== null && limit) known.memory[place] = (value / limit) * 100;
      });
      one.cpu_percent.forEach((value, place) => { if (value !== null) known.cpu[place] = value; });
    }
    this.run = { users: history.run.users, rps: history.run.rps, failures: history.run.fail_per_second };
  }

  add(snapshot) {
    if (snapshot.stale) return;  // a figure that was read before must not be drawn as one of now
    const now = Date.parse(snapshot.at) / 1000;
    const last = this.at[this.at.length - 1];
    if (last !== undefined && now < last) return;
    if (last === undefined || now - last >= Math.max(this.step, snapshot.interval_seconds * 0.9)) this.#step(now);
    const place = this.at.length - 1;
    const raise = (column, value) => {
      if (value !== null && value !== undefined) column[place] = Math.max(column[place] ?? value, value);
    };
    for (const one of snapshot.containers) {
      if (one.state !== "running" || one.memory_working_set_bytes === null) continue;
      const known = this.#container(one.name, one.memory_limit_bytes);
      if (one.memory_limit_bytes) raise(known.memory, (one.memory_working_set_bytes / one.memory_limit_bytes) * 100);
      raise(known.cpu, one.cpu_percent);
    }
    if (snapshot.locust) {
      raise(this.run.users, snapshot.locust.users);
      raise(this.run.rps, snapshot.locust.rps);
      raise(this.run.failures, snapshot.locust.fail_per_second);
    }
    this.#trim(now);
  }

  // The length of a pause that counts as a gap: a line across it would be invented.
  gapSeconds(interval) {
    const steps = [];
    for (let place = 1; place < this.at.length; place += 1) steps.push(this.at[place] - this.at[place - 1]);
    steps.sort((a, b) => a - b);
    return Math.max(4 * interval, 3 * this.step, 3 * (steps[steps.length >> 1] || 0));
  }

  #container(name, limit) {
    let known = this.containers.get(name);
    if (!known) {
      known = { limit };
      for (const column of CONTAINER_COLUMNS) known[column] = new Array(this.at.length).fill(null);
      this.containers.set(name, known);
    }
    known.limit = limit;
    return known;
  }

  #columns() {
    return [...Object.values(this.run), ...[...this.containers.values()].flatMap((one) => CONTAINER_COLUMNS.map((name) => one[name]))];
  }

  #step(now) {
    this.at.push(now);
    for (const column of this.#columns()) column.push(null);
  }

  #trim(now) {
    const first = this.at.findIndex((at) => at >= now - this.windowSeconds - this.step);
    if (first <= 0) return;
    this.at.splice(0, first);
    for (const column of this.#columns()) column.splice(0, first);
    for (const [name, one] of this.containers) {
      if (CONTAINER_COLUMNS.every((column) => one[column].every((value) => value === null))) this.containers.delete(name);
    }
  }
}
