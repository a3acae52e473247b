/**
 * Strips of answers: hypnogram and hypnodensity, the probability of a yes, marks of events, and where caution is due.
 */

import { optionPattern, pattern, textOn } from "./colours.js";
import { shown } from "./marks.js";

export const CAUTION = 13;
const SQUEEZED = 1.2;
const ROW = 17;
const EVENT_ROW = 30;
const DENSITY = 78;
/** Slices from which on a line through them is thin. */
const MANY = 400;

/** CSS pixels that a kind of answers takes without its axis. */
export function stripsHeight(answers) {
  const { kind, options } = answers;
  if (kind === "events") return EVENT_ROW * Math.max(1, options.length - 1) + CAUTION + 14;
  if (kind === "yes_no") return 84 + CAUTION + 12;
  return ROW * options.length + DENSITY + CAUTION + 22;
}

/** Draws the strips of answers between the top of a frame and its bottom. */
export function drawStrips(frame, answers) {
  const slices = answers.slices(frame.start, frame.stop, frame.pixelsPerSecond);
  const bottom = frame.bottom - CAUTION - 4;
  if (answers.kind === "events") drawEvents(frame, answers, slices, frame.top + 4, bottom - 4);
  else if (answers.kind === "yes_no") drawYesNo(frame, answers, slices, frame.top + 6, bottom - 4);
  else {
    const rows = ROW * answers.options.length;
    drawHypnogram(frame, answers, slices, frame.top + 6, frame.top + 6 + rows);
    drawDensity(frame, answers, slices, frame.top + 14 + rows, bottom - 2);
  }
  drawCaution(frame, slices, frame.bottom - CAUTION, frame.bottom - 1);
}

/** A pattern of the frame's surface for what is undecided or unlike the training. */
export function cautionPattern(surface, kind) {
  return surface.pattern(kind, (context, ratio) => pattern(context, kind, surface.colours.get("plot-text"), ratio, 1));
}

/** Fills boxes ([x, y, width, height] one after the other) with an option's colour and pattern. */
export function fillOption(surface, answers, option, boxes, alpha = 1) {
  const { context, colours } = surface;
  const band = answers.bands[option];
  const colour = colours.band(band);
  context.globalAlpha = alpha;
  fillBoxes(context, boxes, colour);
  const over = surface.pattern(`option ${band}`, (brush, ratio) => optionPattern(brush, band, colour, ratio));
  if (over) fillBoxes(context, boxes, over);
  context.globalAlpha = 1;
}

/** Box by box: one path of a thousand boxes takes a browser without graphics hardware a hundred times as long. */
function fillBoxes(context, boxes, style) {
  context.fillStyle = style;
  for (let i = 0; i < boxes.length; i += 4) context.fillRect(boxes[i], boxes[i + 1], boxes[i + 2], boxes[i + 3]);
}

/** Text in the gutter, right-aligned: on two lines where it is long and there is room, cut where it is longer still. */
function gutterText(frame, text, y, { soft = false, lines = 1 } = {}) {
  const { context, colours } = frame.surface;
  context.font = colours.font(11, soft ? 400 : 500);
  context.fillStyle = colours.get(soft ? "plot-soft" : "plot-text");
  context.textAlign = "right";
  context.textBaseline = "middle";
  const room = frame.left - 12;
  const parts = lines > 1 && context.measureText(text).width > room ? wrap(context, text, room) : [text];
  parts.forEach((part, i) => {
    context.fillText(cut(context, part, room), frame.left - 8, y + 12 * (i - (parts.length - 1) / 2), room);
  });
  context.textAlign = "left";
}

function wrap(context, text, room) {
  const words = text.split(" ");
  let first = words.shift();
  while (words.length && context.measureText(`${first} ${words[0]}`).width <= room) first += ` ${words.shift()}`;
  return words.length ? [first, words.join(" ")] : [first];
}

/** As much of a text as has room; a little more than fits is drawn narrower. */
function cut(context, text, room) {
  if (context.measureText(text).width <= room * SQUEEZED) return text;
  let length = text.length;
  while (length > 1 && context.measureText(`${text.slice(0, length)}…`).width > room) length -= 1;
  return `${text.slice(0, length)}…`;
}

function rule(frame, y, name = "grid", dash = []) {
  const { context, colours } = frame.surface;
  context.strokeStyle = colours.get(name);
  context.lineWidth = 1;
  context.setLineDash(dash);
  context.beginPath();
  context.moveTo(frame.left, frame.surface.sharp(y));
  context.lineTo(frame.right, frame.surface.sharp(y));
  context.stroke();
  context.setLineDash([]);
}

/** Where a slice begins and ends, on whole pixels of the screen, so that no seam shows between two. */
function edges(frame, { from, to }) {
  const { ratio } = frame.surface;
  const left = Math.round(frame.x(from) * ratio) / ratio;
  const right = Math.max(left + 1 / ratio, Math.round(frame.x(to) * ratio) / ratio);
  return [Math.max(frame.left, left), Math.min(frame.right, right)];
}

function drawHypnogram(frame, answers, slices, top, bottom) {
  const { surface } = frame;
  const step = (bottom - top) / answers.options.length;
  const heights = [];
  answers.order.forEach((option, place) => {
    heights[option] = top + (place + 0.5) * step;
    rule(frame, heights[option]);
    gutterText(frame, shown(answers.options[option]), heights[option]);
  });
  const thick = Math.min(11, step * 0.62);
  for (const option of answers.order) {
    const boxes = [];
    for (const slice of slices) {
      if (slice.best !== option || slice.undecided) continue;
      const [from, to] = edges(frame, slice);
      boxes.push(from, heights[option] - thick / 2, to - from, thick);
    }
    fillBoxes(surface.context, boxes, surface.colours.band(answers.bands[option]));
  }
  const hatched = [];
  for (const slice of slices) {
    if (!slice.undecided) continue;
    const [from, to] = edges(frame, slice);
    hatched.push(from, heights[slice.best] - thick / 2, to - from, thick);
  }
  fillHatched(surface, hatched);
  stepLine(frame, slices, (slice) => surface.sharp(heights[slice.best]));
}

/** Fills boxes as undecided: hatched. */
function fillHatched(surface, boxes) {
  fillBoxes(surface.context, boxes, surface.colours.get("plot"));
  fillBoxes(surface.context, boxes, cautionPattern(surface, "hatch"));
}

function drawDensity(frame, answers, slices, top, bottom) {
  const height = bottom - top;
  gutterText(frame, "100 %", top + 5, { soft: true });
  gutterText(frame, "0 %", bottom - 5, { soft: true });
  const below = slices.map(() => 0);
  const upwards = [...answers.order].reverse();
  for (const option of upwards) {
    const boxes = [];
    slices.forEach((slice, i) => {
      const [from, to] = edges(frame, slice);
      const share = slice.chances[option];
      below[i] += share;
      boxes.push(from, bottom - below[i] * height, to - from, share * height);
    });
    fillOption(frame.surface, answers, option, boxes);
    stepLine(frame, slices, (slice, i) => bottom - below[i] * height, 0.6);
  }
  nameAreas(frame, answers, slices, upwards, bottom, height);
}

/** Names of options on their areas, where these are high and wide enough; of single windows the probability, too. */
function nameAreas(frame, answers, slices, upwards, bottom, height) {
  const { colours } = frame.surface;
  const single = slices.length <= 8;
  for (const option of upwards) {
    const colour = colours.band(answers.bands[option]);
    let run = null;
    const close = () => {
      if (run) {
        const chance = single ? ` ${Math.round((100 * run.share) / run.count)} %` : "";
        const text = shown(answers.options[option]) + chance;
        const y = bottom - (run.y / run.count) * height;
        plateText(frame, text, (run.from + run.to) / 2, y, run.to - run.from - 20, [colour, textOn(colour)]);
      }
      run = null;
    };
    for (const slice of slices) {
      const share = slice.chances[option];
      if (!slice.joins || single || share * height < 15) close();
      if (share * height < 15) continue;
      let under = 0;
      for (const other of upwards) {
        if (other === option) break;
        under += slice.chances[other];
      }
      const [from, to] = edges(frame, slice);
      run ??= { from, to, y: 0, count: 0, share: 0 };
      run.to = to;
      run.y += under + share / 2;
      run.share += share;
      run.count += 1;
    }
    close();
  }
}

function drawYesNo(frame, answers, slices, top, bottom) {
  const { surface } = frame;
  const { yes } = answers;
  const no = answers.options.findIndex((_, i) => i !== yes);
  const middle = (top + bottom) / 2;
  const y = (chance) => bottom - chance * (bottom - top);
  rule(frame, top);
  rule(frame, bottom);
  gutterText(frame, shown(answers.options[yes]), top + 6);
  gutterText(frame, "50 %", middle, { soft: true });
  gutterText(frame, shown(answers.options[no] ?? "not"), bottom - 6);
  for (const [option, above] of [[yes, true], [no, false]]) {
    if (option < 0) continue;
    const boxes = [];
    for (const slice of slices) {
      const chance = slice.chances[yes];
      if (chance >= 0.5 !== above || slice.undecided) continue;
      const [from, to] = edges(frame, slice);
      boxes.push(from, Math.min(middle, y(chance)), to - from, Math.abs(middle - y(chance)));
    }
    fillOption(surface, answers, option, boxes);
  }
  const hatched = [];
  for (const slice of slices) {
    if (!slice.undecided) continue;
    const [from, to] = edges(frame, slice);
    const at = y(slice.chances[yes]);
    hatched.push(from, Math.min(middle, at), to - from, Math.max(1, Math.abs(middle - at)));
  }
  fillHatched(surface, hatched);
  stepLine(frame, slices, (slice) => y(slice.chances[yes]), slices.length > MANY ? 0.8 : 1.25);
  rule(frame, middle, "plot-soft", [5, 4]);
  for (const slice of slices) {
    const [from, to] = edges(frame, slice);
    if (slice.count > 1 || to - from < 40) continue;
    const chance = slice.chances[yes];
    const option = chance >= 0.5 || no < 0 ? yes : no;
    const text = `${shown(answers.options[option])} ${Math.round(100 * slice.chances[option])} %`;
    plateText(frame, text, (from + to) / 2, chance >= 0.5 ? middle + 11 : middle - 11, to - from);
  }
}

function stepLine(frame, slices, height, width = 1.25) {
  const { context, colours } = frame.surface;
  context.strokeStyle = colours.get("plot-text");
  context.lineWidth = width;
  context.lineJoin = "round";
  context.beginPath();
  slices.forEach((slice, i) => {
    const [from, to] = edges(frame, slice);
    const at = height(slice, i);
    if (slice.joins) context.lineTo(from, at);
    else context.moveTo(from, at);
    context.lineTo(to, at);
  });
  context.stroke();
}

function drawEvents(frame, answers, slices, top, bottom) {
  const { surface } = frame;
  const options = answers.order.filter((option) => option !== answers.background);
  const step = (bottom - top) / Math.max(1, options.length);
  options.forEach((option, place) => {
    const foot = top + (place + 1) * step - 3;
    const tall = step - 8;
    rule(frame, foot, "grid-bold");
    gutterText(frame, shown(answers.options[option]), foot - tall / 2, { lines: 2 });
    fillOption(surface, answers, option, slices.flatMap((slice) => markBox(frame, slice, option, foot, tall)), 0.28);
    const marks = slices.filter((slice) => slice.votes[option] > 0 && (slice.best === option || slice.count > 1));
    const boxes = (undecided) =>
      marks.filter((one) => one.undecided === undecided).flatMap((one) => markBox(frame, one, option, foot, tall, 3));
    fillOption(surface, answers, option, boxes(false));
    fillHatched(surface, boxes(true));
    outline(surface, [...boxes(false), ...boxes(true)]);
    nameMarks(frame, answers, option, marks, foot, tall);
  });
}

/** A box as high as an option is likely, and so wide at least. */
function markBox(frame, slice, option, foot, tall, least = 0) {
  const [from, to] = edges(frame, slice);
  const width = Math.max(least, to - from);
  return [(from + to - width) / 2, foot - slice.most[option] * tall, width, slice.most[option] * tall];
}

/** Lines around boxes that are wide enough for them, so that light colours stand out, too. */
function outline(surface, boxes) {
  const { context, colours } = surface;
  context.strokeStyle = colours.get("plot-text");
  context.lineWidth = 1;
  for (let i = 0; i < boxes.length; i += 4) {
    if (boxes[i + 2] > 4) context.strokeRect(boxes[i] + 0.5, boxes[i + 1] + 0.5, boxes[i + 2] - 1, boxes[i + 3] - 1);
  }
}

/** The probability of marks, with the option's name where there is room; no text covers another mark. */
function nameMarks(frame, answers, option, marks, foot, tall) {
  const { context, colours } = frame.surface;
  context.font = colours.font(11, 600);
  marks.forEach((slice, i) => {
    const [from, to] = edges(frame, slice);
    const next = marks.slice(i + 1).find((other, k) => other.from > marks[i + k].to + 1e-6);
    if (marks[i - 1] && marks[i - 1].to >= slice.from - 1e-6) return;
    const end = Math.min(frame.right, next ? frame.x(next.from) : Infinity);
    const share = `${Math.round(100 * slice.most[option])} %`;
    const text = [`${shown(answers.options[option])} ${share}`, share].find((one) => fits(context, one, end - from));
    if (!text) return;
    const colour = colours.band(answers.bands[option]);
    const half = context.measureText(text).width / 2;
    const inside = fits(context, text, to - from) && !slice.undecided && slice.most[option] * tall > 12;
    const y = foot - (inside ? (slice.most[option] * tall) / 2 : tall / 2);
    plateText(frame, text, from + 7 + half, y, Infinity, inside ? [colour, textOn(colour)] : null);
  });
}

const fits = (context, text, room) => context.measureText(text).width + 16 <= room;

/**
 * Where caution is due: hatched where no option is likely enough, cross-hatched where EEG is unlike the training; where
 * windows share pixels, as high as the share of them for which that is so.
 */
function drawCaution(frame, slices, top, bottom) {
  const { context } = frame.surface;
  if (!slices.some((slice) => slice.openShare || slice.strangeShare)) return;
  gutterText(frame, "caution", (top + bottom) / 2, { soft: true });
  const runs = [];
  for (const slice of slices) {
    const kind = slice.unlike ? "cross" : slice.undecided ? "hatch" : null;
    const run = runs.at(-1);
    if (kind && run?.kind === kind && run.to >= slice.from - 1e-6) run.to = slice.to;
    else if (kind) runs.push({ kind, from: slice.from, to: slice.to });
    else drawShares(frame, slice, top, bottom);
  }
  context.strokeStyle = frame.surface.colours.get("plot-text");
  context.lineWidth = 1;
  for (const run of runs) {
    const [from, to] = edges(frame, run);
    fillBoxes(context, [from, top, to - from, bottom - top], cautionPattern(frame.surface, run.kind));
    context.strokeRect(from + 0.5, top + 0.5, Math.max(1, to - from - 1), bottom - top - 1);
    const text = run.kind === "cross" ? "unlike the training" : "undecided";
    plateText(frame, text, (from + to) / 2, (top + bottom) / 2, to - from - 24);
  }
}

/** The minority of a slice's windows that are unlike the training, below, and that are undecided, above. */
function drawShares(frame, slice, top, bottom) {
  const [from, to] = edges(frame, slice);
  let foot = bottom;
  for (const [share, kind] of [[slice.strangeShare, "cross"], [slice.openShare, "hatch"]]) {
    if (!share) continue;
    const height = Math.max(3, share * (bottom - top));
    fillBoxes(frame.surface.context, [from, foot - height, to - from, height], cautionPattern(frame.surface, kind));
    foot -= height;
  }
}

/** A word on a plate of the background, where it has room. */
function plateText(frame, text, x, y, room, pair = null) {
  const { context, colours } = frame.surface;
  const [plate, ink] = pair ?? [colours.get("plot"), colours.get("plot-text")];
  context.font = colours.font(11, 600);
  const wide = context.measureText(text).width + 8;
  if (wide > room) return;
  context.fillStyle = plate;
  context.fillRect(x - wide / 2, y - 7, wide, 14);
  context.fillStyle = ink;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, x, y + 0.5);
  context.textAlign = "left";
}
