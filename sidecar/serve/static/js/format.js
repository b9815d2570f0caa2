// Figures as text, in the formats of `docker stats`.

export const UNKNOWN = "–";

function scaled(size, base, units, digits) {
  let step = 0;
  while (size >= base && step < units.length - 1) { size /= base; step += 1; }
  return `${Number(size.toPrecision(digits))}${units[step]}`;
}

export const memory = (bytes, digits = 4) => scaled(bytes, 1024, ["B", "KiB", "MiB", "GiB", "TiB"], digits);
export const traffic = (bytes) => scaled(bytes, 1000, ["B", "kB", "MB", "GB", "TB"], 3);
export const rate = (bytes) => (bytes === null ? UNKNOWN : `${traffic(bytes)}/s`);
export const percent = (value, decimals = 0) => (value === null || value === undefined ? UNKNOWN : `${value.toFixed(decimals)}%`);
export const pair = (first, second) => (first === null || second === null ? UNKNOWN : `${traffic(first)} / ${traffic(second)}`);
export const number = (value) => (value >= 100 || value % 1 === 0 ? Math.round(value).toLocaleString("en") : value.toFixed(1));

const HOURS = { hourCycle: "h23" };
export const time = (text) => (text ? new Date(text).toLocaleTimeString([], HOURS) : "");
export const moment = (date) => date.toLocaleString([], { dateStyle: "medium", timeStyle: "medium", ...HOURS });

// The time of day for today, with the date before it for any other day.
export function when(text) {
  const date = new Date(text);
  return date.toDateString() === new Date().toDateString() ? time(text) : moment(date);
}

export function responseTime(ms) {
  if (ms === null) return UNKNOWN;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

export function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (value) => String(value).padStart(2, "0");
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${two(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / 86400)}d ${two(Math.floor((s % 86400) / 3600))}h`;
}

// Locust's log lines without their time stamp, which the row already shows, and their level.
export function logText(text) {
  const level = /^\[[^\]]+\] [^/\s]+\/(WARNING|ERROR|CRITICAL)\//.exec(text);
  return {
    text: text.replace(/^\[[^\]]+\] [^/\s]+\/(?:INFO\/)?/, ""),
    style: level ? (level[1] === "WARNING" ? "high" : "bad") : "",
  };
}

// An incident's sentence names a container without its project; a container of another project needs its full name.
export function told(incident, project) {
  if (!incident.container || !incident.project || incident.project === project) return incident.text;
  const short = shortName(incident.container, incident.project).replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return incident.text.replace(new RegExp(`(?<![\\w/-])${short}(?![\\w-])`, "g"), () => incident.container);
}

// A container's name without its project, if the project is ours: `locust-worker-3`, `master` of one.
export function shortName(container, project) {
  return container.startsWith(`${project}-`) ? container.slice(project.length + 1) : container;
}
