/**
 * What lies over the traces for a moment: a span, the cursor with its reading, a measurement, a tile to come.
 */

import { MM, microvolts } from "./scales.js";

export function drawHighlight(frame, span) {
  if (!span || span.stop < frame.start || span.start > frame.stop) return;
  const { context, colours } = frame.surface;
  const from = Math.max(frame.left, frame.x(span.start));
  const to = Math.min(frame.right, frame.x(span.stop));
  context.fillStyle = colours.get("highlight");
  context.globalAlpha = 0.13;
  context.fillRect(from, frame.top, to - from, frame.bottom - frame.top);
  context.globalAlpha = 1;
  context.strokeStyle = colours.get("highlight");
  context.lineWidth = 1.5;
  context.beginPath();
  for (const second of [span.start, span.stop]) {
    const x = frame.x(second);
    if (x < frame.left || x > frame.right) continue;
    context.moveTo(x, frame.top);
    context.lineTo(x, frame.bottom);
  }
  context.stroke();
}

/** A line at the cursor, a point on the trace, and the reading beside it. */
export function drawCursor(frame, cursor, view) {
  if (!cursor) return;
  const { surface } = frame;
  const { context, colours } = surface;
  const x = frame.x(cursor.second);
  if (x < frame.left || x > frame.right) return;
  context.strokeStyle = colours.get("plot-soft");
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(surface.sharp(x), frame.top);
  context.lineTo(surface.sharp(x), frame.bottom);
  context.stroke();
  if (cursor.value) {
    const middle = (cursor.value[0] + cursor.value[1]) / 2;
    const y = cursor.row.y + ((view.negativeUp ? 1 : -1) * middle * MM) / (view.sensitivity * cursor.row.weaker);
    if (y > frame.top && y < frame.bottom) {
      context.fillStyle = colours.get("focus");
      context.beginPath();
      context.arc(x, y, 3.5, 0, 7);
      context.fill();
    }
  }
  tip(frame, cursor.text, x, cursor.row.y);
}

/** Δt, the rate that it would be, and the range of the channel, of a drag with Shift. */
export function drawMeasure(frame, measured) {
  if (!measured) return;
  const { context, colours } = frame.surface;
  const [from, to] = [measured.from, measured.to].map(frame.x).sort((one, other) => one - other);
  context.strokeStyle = colours.get("focus");
  context.lineWidth = 1.5;
  context.beginPath();
  for (const x of [from, to]) {
    context.moveTo(x, frame.top);
    context.lineTo(x, frame.bottom);
  }
  context.moveTo(from, measured.y);
  context.lineTo(to, measured.y);
  context.stroke();
  const seconds = Math.abs(measured.to - measured.from);
  const rate = seconds > 0 ? `  ${(1 / seconds).toFixed(1)} Hz` : "";
  const height = measured.range ? `  ${microvolts([measured.range, measured.range])}` : "";
  tip(frame, `${(seconds * 1000).toFixed(0)} ms${rate}${height}`, to, measured.y);
}

/** A reading in a box beside a point, inside the view. */
export function tip(frame, text, x, y) {
  const { context, colours, width: full } = frame.surface;
  context.font = colours.font(12, 500);
  const width = context.measureText(text).width + 16;
  const left = x + 12 + width > full ? x - 12 - width : x + 12;
  const top = Math.max(frame.top + 2, Math.min(frame.bottom - 26, y - 34));
  context.fillStyle = colours.get("plot-text");
  context.beginPath();
  context.roundRect(left, top, width, 24, 4);
  context.fill();
  context.fillStyle = colours.get("plot");
  context.textBaseline = "middle";
  context.textAlign = "left";
  context.fillText(text, left + 8, top + 12.5);
}

/** Baselines and a word where a tile is still to come, or why it does not. */
export function drawPlaceholder(frame, rows, from, to, message) {
  const { context, colours } = frame.surface;
  const left = Math.max(frame.left, from);
  const right = Math.min(frame.right, to);
  if (right - left < 2) return;
  context.strokeStyle = colours.get("grid");
  context.lineWidth = 1;
  context.beginPath();
  for (const { y } of rows) {
    const at = frame.surface.sharp(y);
    context.moveTo(left, at);
    context.lineTo(right, at);
  }
  context.stroke();
  const text = message ? `could not be loaded: ${message}` : "loading …";
  context.font = colours.font(12, 500);
  context.textAlign = "center";
  context.textBaseline = "middle";
  const wide = context.measureText(text).width + 20;
  if (right - left > wide) {
    const x = (left + right) / 2;
    const y = (frame.top + frame.bottom) / 2;
    context.fillStyle = colours.get("plot");
    context.fillRect(x - wide / 2, y - 12, wide, 24);
    context.fillStyle = colours.get("plot-soft");
    context.fillText(text, x, y);
  }
  context.textAlign = "left";
}
