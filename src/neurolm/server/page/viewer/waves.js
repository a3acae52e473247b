/**
 * Traces as pictures: every tile is drawn once onto a canvas of its own, channel by channel within the time a frame has, and
 * panning only moves these pictures. So 32 channels pan as lightly as one, and a tile that is not ready holds nothing up.
 */

import { MISSING } from "./decode.js";
import { MM } from "./scales.js";

/** Milliseconds of a frame for what is seen, and for what lies ahead. */
const SEEN = 24;
const AHEAD = 4;
const MOST = 6;

export class Waves {
  constructor() {
    this.pictures = new Map(); // index → {canvas, page, done, version}, the longest unused first
    this.version = 0;
  }

  /** All pictures are to be drawn again: sensitivity, sizes, colours or channels have changed. */
  invalidate() {
    this.version += 1;
  }

  clear() {
    this.pictures.clear();
  }

  /**
   * Draws what is missing of these tiles while time is left.
   *
   * @param {{index: number, page: object, seen: boolean}[]} tiles in the order of their worth
   * @param {object} look {width, height, ratio, pixelsPerSecond, tileSeconds, rows, sensitivity, negativeUp, colours}
   * @returns {boolean} whether something is left to be drawn
   */
  work(tiles, look) {
    const began = performance.now();
    let left = false;
    for (const { index, page, seen } of tiles) {
      const picture = this.picture(index, page, look);
      while (picture.done < look.rows.length) {
        if (performance.now() - began > (seen ? SEEN : AHEAD)) {
          left = true;
          break;
        }
        drawChannel(picture.context, page, look.rows[picture.done], index * look.tileSeconds, look);
        picture.done += 1;
      }
    }
    return left;
  }

  picture(index, page, look) {
    let picture = this.pictures.get(index);
    if (picture && picture.page === page && picture.version === this.version) {
      this.pictures.delete(index);
      this.pictures.set(index, picture);
      return picture;
    }
    const canvas = picture?.canvas ?? this.spare() ?? new OffscreenCanvas(1, 1);
    const width = Math.round(look.tileSeconds * look.pixelsPerSecond * look.ratio);
    const height = Math.round(look.height * look.ratio);
    const context = canvas.getContext("2d");
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    } else {
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, width, height);
    }
    context.setTransform(look.ratio, 0, 0, look.ratio, 0, 0);
    picture = { canvas, context, page, done: 0, version: this.version };
    this.pictures.delete(index);
    this.pictures.set(index, picture);
    return picture;
  }

  /** The canvas of the picture that was unused for longest, once there are enough of them. */
  spare() {
    if (this.pictures.size < MOST) return null;
    const [index, picture] = this.pictures.entries().next().value;
    this.pictures.delete(index);
    return picture.canvas;
  }

  get(index) {
    return this.pictures.get(index)?.version === this.version ? this.pictures.get(index) : null;
  }
}

/** Pixels up or down per unit of a channel's int16. */
const slope = (page, channel, look) => ((look.negativeUp ? 1 : -1) * page.scale[channel] * MM) / look.sensitivity;

function drawChannel(context, page, row, tileStart, look) {
  const channel = row.channel;
  if (channel >= page.channels.length) return;
  context.strokeStyle = row.bad ? look.colours.get("bad") : look.colours.trace(row.side);
  context.lineWidth = row.bad ? 0.8 : Math.max(1, 1.1 / Math.max(1, look.ratio * 0.75));
  context.lineJoin = "bevel";
  const path = page.kind === "minmax" ? minmaxPath : samplesPath;
  context.beginPath();
  path(context, page, channel, {
    x: (page.start - tileStart) * look.pixelsPerSecond,
    step: (page.seconds / page.columns) * look.pixelsPerSecond,
    y: row.y,
    slope: slope(page, channel, look),
    limit: look.height * 2,
    dashed: Boolean(row.bad),
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
