/**
 * A tile of traces drawn onto a canvas of its own; whether in a thread beside the page's or in it is all the same.
 */

import { MISSING } from "./decode.js";
import { MM } from "./scales.js";

/**
 * @param {OffscreenCanvas} canvas whose size is made to fit
 * @param {object} job {page, tileStart, width, height (CSS pixels), ratio, pixelsPerSecond, sensitivity, negativeUp,
 *   rows: [{channel, y, colour, bad, weaker}]}
 */
export function paint(canvas, job) {
  canvas.width = Math.round(job.width * job.ratio);
  canvas.height = Math.round(job.height * job.ratio);
  const context = canvas.getContext("2d");
  context.setTransform(job.ratio, 0, 0, job.ratio, 0, 0);
  context.lineJoin = "bevel";
  for (const row of job.rows) {
    if (row.channel < job.page.channels.length) drawChannel(context, row, job);
  }
}

function drawChannel(context, row, job) {
  const { page } = job;
  context.strokeStyle = row.colour;
  context.lineWidth = row.bad ? 0.8 : Math.max(0.8, 1.1 / Math.sqrt(job.ratio));
  context.beginPath();
  const path = page.kind === "minmax" ? minmaxPath : samplesPath;
  path(context, page, row.channel, {
    x: (page.start - job.tileStart) * job.pixelsPerSecond,
    step: (page.seconds / page.columns) * job.pixelsPerSecond,
    y: row.y,
    slope: ((job.negativeUp ? 1 : -1) * page.scale[row.channel] * MM) / (job.sensitivity * row.weaker),
    limit: job.height * 2,
    dashed: row.bad,
  });
  context.stroke();
}

/** Whether a dashed line is drawn at x; by hand, since a dash of the canvas costs as much as all else together. */
const inked = (x) => x % 9 < 6;

function samplesPath(context, page, channel, { x, step, y, slope: k, limit, dashed }) {
  const { values, columns } = page;
  let at = channel * columns;
  let pen = false;
  for (let i = 0; i < columns; i++, at++, x += step) {
    const value = values[at];
    if (value === MISSING || (dashed && !inked(x))) {
      pen = false;
      continue;
    }
    const to = y + Math.max(-limit, Math.min(limit, value * k));
    if (pen) context.lineTo(x, to);
    else context.moveTo(x, to);
    pen = true;
  }
}

function minmaxPath(context, page, channel, { x, step, y, slope: k, limit, dashed }) {
  const { values, columns } = page;
  let at = 2 * channel * columns;
  let pen = false;
  let last = 0;
  x += step / 2;
  for (let i = 0; i < columns; i++, at += 2, x += step) {
    if (values[at] === MISSING || (dashed && !inked(x))) {
      pen = false;
      continue;
    }
    let near = y + Math.max(-limit, Math.min(limit, values[at] * k));
    let far = y + Math.max(-limit, Math.min(limit, values[at + 1] * k));
    if (pen && Math.abs(far - last) < Math.abs(near - last)) [near, far] = [far, near];
    if (pen) context.lineTo(x, near);
    else context.moveTo(x, near);
    if (Math.abs(far - near) > 0.25 || !pen) context.lineTo(x, far);
    last = far;
    pen = true;
  }
}
