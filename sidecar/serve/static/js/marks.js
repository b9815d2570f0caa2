// What all charts show on their common time axis: incidents as marks, blind spans as hatched gaps.

const NEAR_PIXELS = 7;
const HEAD_PIXELS = 5;
const NUMBER_PIXELS = 16;
const GRAVITY = { error: 2, warn: 1, info: 0 };

// Incidents at about the same place become one mark with a number, at the place of the most serious one. So two hundred
// kills stay readable. A mark with a number also needs the room of that number.
function clusters(u, incidents) {
  const made = [];
  for (const incident of incidents) {  // oldest first
    const x = u.valToPos(incident.seconds, "x");
    if (x < -1 || x > u.over.clientWidth + 1) continue;
    const last = made[made.length - 1];
    if (last && x - last.x < 2 * HEAD_PIXELS + (last.incidents.length > 1 ? NUMBER_PIXELS : 0)) {
      last.incidents.push(incident);
      if (GRAVITY[incident.severity] > GRAVITY[last.severity]) Object.assign(last, { severity: incident.severity, x });
    } else {
      made.push({ x, severity: incident.severity, incidents: [incident] });
    }
  }
  return made;
}

function hatch(context, colour, ratio) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8 * ratio;
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour;
  pen.lineWidth = 1.25 * ratio;
  for (const offset of [-8, 0, 8]) {
    pen.moveTo((offset - 1) * ratio, 9 * ratio);
    pen.lineTo((offset + 9) * ratio, -1 * ratio);
  }
  pen.stroke();
  return context.createPattern(tile, "repeat");
}

function drawBlind(u, common) {
  const { ctx: pen, bbox } = u;
  const ratio = devicePixelRatio || 1;
  pen.save();
  pen.beginPath();
  pen.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  pen.clip();
  for (const span of common.blind) {
    const from = u.valToPos(span.from, "x", true);
    const to = u.valToPos(Math.min(span.to ?? common.to, common.to), "x", true);
    if (to < bbox.left || from > bbox.left + bbox.width) continue;
    const width = Math.max(to - from, 2 * ratio);
    pen.fillStyle = hatch(pen, span.covered ? common.colours.faint : common.colours.hatch, ratio);
    pen.fillRect(from, bbox.top, width, bbox.height);
    const word = span.covered ? "made up for" : "blind";
    pen.font = `${11 * ratio}px system-ui, sans-serif`;
    if (width > pen.measureText(word).width + 12 * ratio) {
      const middle = from + width / 2;
      const half = pen.measureText(word).width / 2 + 4 * ratio;
      const middleY = bbox.top + bbox.height / 2;
      pen.fillStyle = common.colours.panel;
      pen.fillRect(middle - half, middleY - 9 * ratio, 2 * half, 18 * ratio);
      pen.fillStyle = common.colours.quiet;
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillText(word, middle, middleY);
    }
  }
  pen.restore();
}

// The shape says the severity too: a full triangle, a hollow one, a stroke.
function drawHead(pen, x, top, severity, ratio) {
  const size = HEAD_PIXELS * ratio;
  pen.beginPath();
  if (severity === "info") {
    pen.moveTo(x, top - 1.6 * size);
    pen.lineTo(x, top);
    pen.stroke();
    return;
  }
  pen.moveTo(x - size, top - 1.7 * size);
  pen.lineTo(x + size, top - 1.7 * size);
  pen.lineTo(x, top);
  pen.closePath();
  if (severity === "error") pen.fill();
  else pen.stroke();
}

function drawMarks(u, common) {
  const { ctx: pen, bbox } = u;
  const ratio = devicePixelRatio || 1;
  pen.save();
  for (const cluster of clusters(u, common.incidents)) {
    const chosen = cluster.incidents.some((incident) => incident.id === common.highlight);
    const x = bbox.left + cluster.x * ratio;
    const colour = common.colours[{ error: "bad", warn: "warn", info: "quiet" }[cluster.severity]];
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = (chosen ? 2.5 : 1.25) * ratio;
    pen.setLineDash([]);
    drawHead(pen, x, bbox.top, cluster.severity, ratio);
    if (cluster.incidents.length > 1) {
      pen.font = `600 ${10 * ratio}px system-ui, sans-serif`;
      pen.textBaseline = "bottom";
      pen.textAlign = "left";
      pen.fillText(`×${cluster.incidents.length}`, x + (HEAD_PIXELS + 1) * ratio, bbox.top - ratio);
    }
    pen.globalAlpha = chosen ? 1 : 0.55;
    pen.setLineDash(chosen ? [] : [3 * ratio, 3 * ratio]);
    pen.lineWidth = (chosen ? 2 : 1) * ratio;
    pen.beginPath();
    pen.moveTo(x, bbox.top);
    pen.lineTo(x, bbox.top + bbox.height);
    pen.stroke();
    pen.globalAlpha = 1;
  }
  pen.restore();
}

function nearest(u, common, x) {
  let found = null;
  for (const cluster of clusters(u, common.incidents)) {
    const distance = Math.abs(cluster.x - x);
    if (distance <= NEAR_PIXELS && (!found || distance < found.distance)) found = { distance, cluster };
  }
  return found && found.cluster;
}

// A plugin for uPlot. `common` is shared by the charts: from, to, incidents, blind, highlight, colours, open(id).
export function marks(common, makeTip) {
  let tip;
  return {
    hooks: {
      init: (u) => {
        tip = makeTip();
        tip.element.hidden = true;
        u.over.append(tip.element);
        u.over.addEventListener("click", (event) => {
          const cluster = nearest(u, common, event.offsetX);
          if (cluster) common.open(cluster.incidents[cluster.incidents.length - 1].id);
        });
      },
      drawClear: (u) => drawBlind(u, common),
      draw: (u) => drawMarks(u, common),
      setCursor: (u) => {
        const { left } = u.cursor;
        const cluster = left >= 0 && u.cursor.event ? nearest(u, common, left) : null;
        tip.element.hidden = !cluster;
        u.over.classList.toggle("on-mark", Boolean(cluster));
        if (!cluster) return;
        tip.show(cluster.incidents);
        const right = cluster.x > u.over.clientWidth / 2;
        tip.element.style.left = right ? "" : `${cluster.x + 8}px`;
        tip.element.style.right = right ? `${u.over.clientWidth - cluster.x + 8}px` : "";
      },
    },
  };
}
