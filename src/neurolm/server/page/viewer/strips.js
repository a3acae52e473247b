/**
 * Strips of answers: hypnogram and hypnodensity, the probability of a yes, marks of events, and where caution is due.
 */

import { optionPattern, pattern, textOn } from "./colours.js";
import { shown } from "./marks.js";

export const CAUTION = 13;
const ROW = 17;
const EVENT_ROW = 30;
const DENSITY = 78;

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
  frame.surface.context.save();
  if (answers.kind === "events") drawEvents(frame, answers, slices, frame.top + 4, bottom - 4);
  else if (answers.kind === "yes_no") drawYesNo(frame, answers, slices, frame.top + 6, bottom - 4);
  else {
    const rows = ROW * answers.options.length;
    drawHypnogram(frame, answers, slices, frame.top + 6, frame.top + 6 + rows);
    drawDensity(frame, answers, slices, frame.top + 14 + rows, bottom - 2);
  }
  frame.surface.context.restore();
  drawCaution(frame, slices, frame.bottom - CAUTION, frame.bottom - 1);
}

/** A pattern of the frame's surface for what is undecided or unlike the training. */
export function cautionPattern(surface, kind) {
  return surface.pattern(kind, (context, ratio) => pattern(context, kind, surface.colours.get("plot-text"), ratio, 1));
}

export function fillOption(surface, answers, option, alpha = 1) {
  const { context, colours } = surface;
  const colour = colours.band(answers.bands[option]);
  context.globalAlpha = alpha;
  context.fillStyle = colour;
  context.fill();
  const over = surface.pattern(`option ${answers.bands[option]}`, (brush, ratio) => optionPattern(brush, answers.bands[option], colour, ratio));
  if (over) {
    context.fillStyle = over;
    context.fill();
  }
  context.globalAlpha = 1;
}

function gutterText(frame, text, y, soft = false) {
  const { context, colours } = frame.surface;
  context.font = colours.font(11, soft ? 400 : 500);
  context.fillStyle = colours.get(soft ? "plot-soft" : "plot-text");
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.fillText(text, frame.left - 10, y, frame.left - 14);
  context.textAlign = "left";
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

const edges = (frame, { from, to }) => [Math.max(frame.left, frame.x(from)), Math.min(frame.right, Math.max(frame.x(to), frame.x(from) + 0.5))];

function drawHypnogram(frame, answers, slices, top, bottom) {
  const { surface } = frame;
  const { context, colours } = surface;
  const step = (bottom - top) / answers.options.length;
  const heights = [];
  answers.order.forEach((option, place) => {
    heights[option] = top + (place + 0.5) * step;
    rule(frame, heights[option]);
    gutterText(frame, shown(answers.options[option]), heights[option]);
  });
  context.strokeStyle = colours.get("plot-soft");
  context.lineWidth = 1;
  context.beginPath();
  slices.forEach((slice, i) => {
    if (!i || !slice.joins || slices[i - 1].best === slice.best) return;
    const x = surface.sharp(frame.x(slice.from));
    if (x < frame.left) return;
    context.moveTo(x, heights[slices[i - 1].best]);
    context.lineTo(x, heights[slice.best]);
  });
  context.stroke();
  const thick = Math.min(9, step * 0.5);
  for (const option of answers.order) {
    context.beginPath();
    for (const slice of slices) {
      if (slice.best !== option || slice.undecided) continue;
      const [from, to] = edges(frame, slice);
      context.rect(from, heights[option] - thick / 2, to - from, thick);
    }
    context.fillStyle = colours.band(answers.bands[option]);
    context.fill();
  }
  context.beginPath();
  for (const slice of slices) {
    if (!slice.undecided) continue;
    const [from, to] = edges(frame, slice);
    context.rect(from, heights[slice.best] - thick / 2, to - from, thick);
  }
  fillHatched(surface);
}

/** Fills the current path as undecided: hatched, with a thin outline where there is room. */
function fillHatched(surface) {
  const { context, colours } = surface;
  context.fillStyle = colours.get("plot");
  context.fill();
  context.fillStyle = cautionPattern(surface, "hatch");
  context.fill();
}

function drawDensity(frame, answers, slices, top, bottom) {
  const { surface } = frame;
  const { context } = surface;
  const height = bottom - top;
  gutterText(frame, "100 %", top + 5, true);
  gutterText(frame, "0 %", bottom - 5, true);
  const below = slices.map(() => 0);
  const upwards = [...answers.order].reverse();
  for (const option of upwards) {
    context.beginPath();
    slices.forEach((slice, i) => {
      const [from, to] = edges(frame, slice);
      const share = slice.chances[option];
      const y = bottom - (below[i] + share) * height;
      below[i] += share;
      context.rect(from, y, to - from, share * height);
    });
    fillOption(surface, answers, option);
  }
  nameAreas(frame, answers, slices, upwards, bottom, height);
}

/** Names of options on their areas, where these are high and wide enough. */
function nameAreas(frame, answers, slices, upwards, bottom, height) {
  const { context, colours } = frame.surface;
  context.font = colours.font(11, 600);
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const option of upwards) {
    const text = shown(answers.options[option]);
    const wide = context.measureText(text).width + 8;
    let run = null;
    const close = () => {
      if (run && run.to - run.from > wide + 24) {
        const y = bottom - (run.y / run.count) * height;
        const x = (run.from + run.to) / 2;
        const colour = colours.band(answers.bands[option]);
        context.fillStyle = colour;
        context.fillRect(x - wide / 2, y - 7, wide, 14);
        context.fillStyle = textOn(colour);
        context.fillText(text, x, y + 0.5);
      }
      run = null;
    };
    for (const slice of slices) {
      const share = slice.chances[option];
      if (!slice.joins || share * height < 20) close();
      if (share * height < 20) continue;
      let under = 0;
      for (const other of upwards) {
        if (other === option) break;
        under += slice.chances[other];
      }
      const [from, to] = edges(frame, slice);
      run ??= { from, to, y: 0, count: 0 };
      run.to = to;
      run.y += under + share / 2;
      run.count += 1;
    }
    close();
  }
  context.textAlign = "left";
}

function drawYesNo(frame, answers, slices, top, bottom) {
  const { surface } = frame;
  const { context, colours } = surface;
  const { yes } = answers;
  const no = answers.options.findIndex((_, i) => i !== yes);
  const middle = (top + bottom) / 2;
  const y = (chance) => bottom - chance * (bottom - top);
  rule(frame, top);
  rule(frame, bottom);
  gutterText(frame, shown(answers.options[yes]), top + 6);
  gutterText(frame, "50 %", middle, true);
  gutterText(frame, shown(answers.options[no] ?? "not"), bottom - 6);
  for (const [option, above] of [[yes, true], [no, false]]) {
    if (option < 0) continue;
    context.beginPath();
    for (const slice of slices) {
      const chance = slice.chances[yes];
      if (chance >= 0.5 !== above || slice.undecided) continue;
      const [from, to] = edges(frame, slice);
      context.rect(from, Math.min(middle, y(chance)), to - from, Math.abs(middle - y(chance)));
    }
    fillOption(surface, answers, option, 0.85);
  }
  context.beginPath();
  for (const slice of slices) {
    if (!slice.undecided) continue;
    const [from, to] = edges(frame, slice);
    const at = y(slice.chances[yes]);
    context.rect(from, Math.min(middle, at), to - from, Math.max(1, Math.abs(middle - at)));
  }
  fillHatched(surface);
  stepLine(frame, slices, (slice) => y(slice.chances[yes]));
  rule(frame, middle, "plot-soft", [5, 4]);
}

function stepLine(frame, slices, height) {
  const { context, colours } = frame.surface;
  context.strokeStyle = colours.get("plot-text");
  context.lineWidth = 1.25;
  context.lineJoin = "round";
  context.beginPath();
  for (const slice of slices) {
    const [from, to] = edges(frame, slice);
    const at = height(slice);
    if (slice.joins) context.lineTo(from, at);
    else context.moveTo(from, at);
    context.lineTo(to, at);
  }
  context.stroke();
}

function drawEvents(frame, answers, slices, top, bottom) {
  const { surface } = frame;
  const { context } = surface;
  const options = answers.order.filter((option) => option !== answers.background);
  const step = (bottom - top) / Math.max(1, options.length);
  options.forEach((option, place) => {
    const foot = top + (place + 1) * step - 3;
    const tall = step - 8;
    rule(frame, foot, "grid-bold");
    gutterText(frame, shown(answers.options[option]), foot - tall / 2);
    context.beginPath();
    for (const slice of slices) {
      const [from, to] = edges(frame, slice);
      context.rect(from, foot - slice.most[option] * tall, to - from, slice.most[option] * tall);
    }
    fillOption(surface, answers, option, 0.28);
    const marks = slices.filter((slice) => slice.votes[option] > 0 && (slice.best === option || slice.count > 1));
    context.beginPath();
    for (const slice of marks.filter((one) => !one.undecided)) markPath(context, frame, slice, option, foot, tall);
    fillOption(surface, answers, option);
    context.beginPath();
    for (const slice of marks.filter((one) => one.undecided)) markPath(context, frame, slice, option, foot, tall);
    fillHatched(surface);
    nameMarks(frame, answers, option, marks, foot, tall);
  });
}

function markPath(context, frame, slice, option, foot, tall) {
  const [from, to] = edges(frame, slice);
  const width = Math.max(3, to - from);
  context.rect((from + to - width) / 2, foot - slice.most[option] * tall, width, slice.most[option] * tall);
}

/** An option's name and probability beside its marks, where there is room up to the next. */
function nameMarks(frame, answers, option, marks, foot, tall) {
  const { context, colours } = frame.surface;
  context.font = colours.font(11, 600);
  context.textBaseline = "middle";
  let free = -Infinity;
  marks.forEach((slice, i) => {
    if (marks[i - 1] && slice.joins && marks[i - 1].to >= slice.from - 1e-6) return;
    const text = `${shown(answers.options[option])} ${Math.round(100 * slice.most[option])} %`;
    const [from] = edges(frame, slice);
    const wide = context.measureText(text).width + 8;
    if (from < free || from + wide > frame.right) return;
    context.globalAlpha = 0.9;
    context.fillStyle = colours.get("plot");
    context.fillRect(from + 2, foot - tall / 2 - 8, wide - 2, 15);
    context.globalAlpha = 1;
    context.fillStyle = colours.get("plot-text");
    context.fillText(text, from + 5, foot - tall / 2);
    free = from + wide + 4;
  });
}

/** Where caution is due: hatched where no option is likely enough, cross-hatched where EEG is unlike the training. */
function drawCaution(frame, slices, top, bottom) {
  const { surface } = frame;
  const { context } = surface;
  if (!slices.some((slice) => slice.undecided || slice.unlike)) return;
  gutterText(frame, "caution", (top + bottom) / 2, true);
  for (const [kind, is] of [["hatch", (slice) => slice.undecided && !slice.unlike], ["cross", (slice) => slice.unlike]]) {
    context.beginPath();
    for (const slice of slices) {
      if (!is(slice)) continue;
      const [from, to] = edges(frame, slice);
      context.rect(from, top, Math.max(1, to - from), bottom - top);
    }
    context.fillStyle = cautionPattern(surface, kind);
    context.fill();
  }
}
