/**
 * What stands around the traces: where the rows lie, names of channels, the grid of time, times, and the scale bar.
 */

import { shown } from "./marks.js";
import { MM, RIGHT, clockText, gridSteps, labelStep, ticks, timeText } from "./scales.js";

const AXIS = 22;
const CLOCK = 15;
/** Room between chains, or between left, right and midline, in rows. */
const APART = 0.55;
/** Pixels that a row needs at least whose sensitivity stands under its name. */
const TWO_LINES = 26;

/** How many times fewer millimetres a kind of channel gets: an ECG has millivolts, and would cover its neighbours. */
const WEAKER = { ecg: 10 };

/** Left, right or midline by the numbers of a name (odd, even, z), where the channel does not say; null: neither. */
export function sideOf(channel) {
  if (channel.side !== undefined) return channel.side;
  const sides = new Set(
    channel.name.split("-").map((part) => {
      const found = /^[A-Za-z]+?(\d+|[zZ])$/.exec(part.trim());
      return !found ? null : /[zZ]/.test(found[1]) ? "mid" : Number(found[1]) % 2 ? "left" : "right";
    }),
  );
  sides.delete(null);
  return sides.size === 1 ? [...sides][0] : null;
}

/** The two electrodes of a name such as Fp1-F7; null where it is no such pair. */
function pairOf({ name }) {
  const parts = name.split("-");
  return parts.length === 2 && parts.every(Boolean) ? parts : null;
}

/**
 * Whether a row stands apart from the one before it: of another kind; in a bipolar montage where a chain of electrodes
 * ends, as readers follow chains; else, and among pairs with one reference, between left, right and midline.
 */
function isApart(before, row) {
  if (before.kind !== row.kind) return true;
  const [one, other] = [pairOf(before), pairOf(row)];
  if (one && other && one[1] !== other[1]) return one[1] !== other[0];
  return sideOf(before) !== sideOf(row);
}

/**
 * Rows of channels between two heights: {channel, name, side, bad, weaker, y}, chains or sides slightly apart, and
 * below one of another sensitivity room to say it, however many rows there are.
 */
export function layRows(channels, top, bottom) {
  const sides = channels.map(sideOf);
  let [slots, room] = [0, 0];
  const places = channels.map((channel, i) => {
    if (i && isApart(channels[i - 1], channel)) slots += APART;
    slots += 1;
    const place = [slots - 0.5, room];
    if (WEAKER[channel.kind]) room += TWO_LINES / 2;
    return place;
  });
  const step = Math.max(1, bottom - top - room) / Math.max(1, slots);
  return {
    step,
    rows: channels.map(({ name, bad, kind }, channel) => {
      const [place, below] = places[channel];
      const y = top + place * step + below;
      return { channel, name, y, bad: bad || null, side: sides[channel], weaker: WEAKER[kind] ?? 1 };
    }),
  };
}

export const axisHeight = (clock) => AXIS + (clock === null ? 0 : CLOCK);

/** Vertical lines of time; the bold ones where a label may stand. */
export function drawGrid(frame) {
  const { surface } = frame;
  const { context, colours } = surface;
  const { thin, bold } = gridSteps(frame.seconds);
  for (const [step, name] of [[thin, "grid"], [bold, "grid-bold"]]) {
    if (step * frame.pixelsPerSecond < 4) continue;
    context.strokeStyle = colours.get(name);
    context.lineWidth = 1;
    context.beginPath();
    for (const second of ticks(frame.start, frame.stop, step)) {
      const x = surface.sharp(frame.x(second));
      if (x < frame.left || x > frame.right) continue;
      context.moveTo(x, frame.top);
      context.lineTo(x, frame.bottom);
    }
    context.stroke();
  }
}

/** Times under the plot: since the start of the recording and, where it is known, the clock's. */
export function drawAxis(frame, clock) {
  const { surface } = frame;
  const { context, colours, height } = surface;
  context.fillStyle = colours.get("plot");
  context.fillRect(0, frame.bottom, surface.width, height - frame.bottom);
  context.strokeStyle = colours.get("grid-bold");
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(frame.left, surface.sharp(frame.bottom));
  context.lineTo(frame.right, surface.sharp(frame.bottom));
  const step = labelStep(frame.pixelsPerSecond, 78);
  const decimals = step < 1 ? 1 : 0;
  context.textBaseline = "middle";
  context.textAlign = "center";
  for (const second of ticks(frame.start, frame.stop, step)) {
    const x = frame.x(second);
    if (x < frame.left - 0.5 || x > frame.right + 0.5) continue;
    context.moveTo(surface.sharp(x), frame.bottom);
    context.lineTo(surface.sharp(x), frame.bottom + 4);
    const text = timeText(second, decimals);
    context.font = colours.font(12);
    context.fillStyle = colours.get("plot-text");
    context.fillText(text, x, frame.bottom + 13);
    if (clock === null) continue;
    context.font = colours.font(11);
    context.fillStyle = colours.get("plot-soft");
    context.fillText(clockText(clock, second), x, frame.bottom + 13 + CLOCK);
  }
  context.stroke();
  context.textAlign = "left";
  context.font = colours.font(11);
  context.fillStyle = colours.get("plot-soft");
  context.fillText("time", 10, frame.bottom + 13);
  if (clock !== null) context.fillText("clock", 10, frame.bottom + 13 + CLOCK);
}

/** Names of channels; bad ones with a cross, struck through and in another colour. */
export function drawLabels(frame, { rows, step, sensitivity }, hovered) {
  const { surface } = frame;
  const { context, colours } = surface;
  context.fillStyle = colours.get("plot");
  context.fillRect(0, 0, frame.left, frame.bottom);
  context.strokeStyle = colours.get("grid-bold");
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(surface.sharp(frame.left) - 1 / surface.ratio, frame.top);
  context.lineTo(surface.sharp(frame.left) - 1 / surface.ratio, frame.bottom);
  context.stroke();
  const size = Math.min(12.5, Math.max(8, step * 0.85));
  const every = Math.max(1, Math.ceil((size * 0.95) / step));
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const row of rows) {
    if (row.channel % every && row.channel !== hovered && row.weaker === 1) continue;
    drawLabel(frame, row, size, row.channel === hovered);
    if (row.weaker > 1) {
      context.font = colours.font(9.5);
      context.fillStyle = colours.get("plot-soft");
      context.fillText(`${number(sensitivity * row.weaker)} µV/mm`, frame.left - 8, row.y + size / 2 + 5.5);
    }
  }
  context.textAlign = "left";
}

function drawLabel(frame, row, size, hovered) {
  const { context, colours } = frame.surface;
  const right = frame.left - 8;
  context.font = colours.font(size, hovered ? 700 : row.bad ? 400 : 500);
  const name = shown(row.name);
  const room = right - (row.bad ? 20 : 4);
  const wide = Math.min(room, context.measureText(name).width);
  context.fillStyle = colours.get(row.bad ? "bad" : "plot-text");
  context.fillText(name, right, row.y, room);
  if (!row.bad) return;
  context.strokeStyle = colours.get("bad");
  context.lineWidth = size < 10 ? 0.8 : 1.3;
  context.beginPath();
  context.moveTo(right - wide - 1, row.y);
  context.lineTo(right + 1, row.y);
  const x = right - wide - 10;
  context.moveTo(x - 3.5, row.y - 3.5);
  context.lineTo(x + 3.5, row.y + 3.5);
  context.moveTo(x + 3.5, row.y - 3.5);
  context.lineTo(x - 3.5, row.y + 3.5);
  context.stroke();
}

/** Ten millimetres in µV as a bar, with sensitivity, polarity and speed in words: beside the plot, where no EEG is. */
export function drawScale(frame, { sensitivity, negativeUp }) {
  const { context, colours } = frame.surface;
  const up = 10 * MM;
  const [x, foot] = [frame.right + 8, frame.bottom - 6];
  context.save();
  context.fillStyle = colours.get("plot");
  context.fillRect(frame.right + 1, 0, RIGHT - 3, frame.bottom);
  context.strokeStyle = context.fillStyle = colours.get("plot-text");
  context.lineWidth = 1.5;
  bar(context, x, foot, up);
  context.translate(x + 11, foot);
  context.rotate(-Math.PI / 2);
  context.textBaseline = "middle";
  context.font = colours.font(12, 600);
  const bold = `${number(sensitivity * 10)} µV`;
  context.fillText(bold, 0, 0);
  const from = context.measureText(bold).width + 8;
  context.font = colours.font(11);
  context.fillStyle = colours.get("plot-soft");
  const words = scaleWords({ sensitivity, negativeUp, pixelsPerSecond: frame.pixelsPerSecond });
  const fits = (text) => context.measureText(text).width <= foot - from - 4;
  while (words.length && !fits(words.join("  ·  "))) words.pop();
  context.fillText(words.join("  ·  "), from, 0);
  context.restore();
}

/** What stands beside the bar, the most needed first. */
export function scaleWords({ sensitivity, negativeUp, pixelsPerSecond }) {
  const polarity = negativeUp ? "negative up" : "positive up";
  return [`${number(sensitivity)} µV/mm`, polarity, `${number(pixelsPerSecond / MM)} mm/s`];
}

/** An upright bar with strokes at its ends. */
function bar(context, x, foot, up) {
  context.beginPath();
  context.moveTo(x - 4, foot - up);
  context.lineTo(x + 4, foot - up);
  context.moveTo(x, foot - up);
  context.lineTo(x, foot);
  context.moveTo(x - 4, foot);
  context.lineTo(x + 4, foot);
  context.stroke();
}

export function number(value) {
  if (value >= 100) return value.toFixed(0);
  return String(Number(value.toPrecision(value >= 10 ? 3 : 2)));
}
