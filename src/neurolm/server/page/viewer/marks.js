/**
 * Annotations and gaps: the lane in which a name stands, how they are drawn, and which one is under the pointer.
 */

const LANE = 18;
const MOST_LANES = 3;
const LONGEST = 220;
/** Share of the annotations from which on they get another lane above the traces. */
const CROWD = 0.1;
const SIZE = 11.5;

/** Annotations with lanes, laid out for a scale of time; lanes stay while one pans. */
export class Marks {
  constructor() {
    this.set([]);
  }

  set(annotations) {
    this.all = annotations.map((annotation, index) => ({ annotation, index }));
    this.all.sort((one, other) => one.annotation.start - other.annotation.start);
    this.longest = this.all.reduce((longest, { annotation }) => Math.max(longest, annotation.duration || 0), 0);
    this.lanes = 0;
    this.scale = null;
    this.drawn = [];
  }

  /** Gives every annotation a lane in which its name covers no other; -1 where all lanes are taken. */
  layOut(context, font, pixelsPerSecond) {
    const scale = `${font} ${pixelsPerSecond}`;
    if (scale === this.scale) return;
    this.scale = scale;
    context.font = font;
    const widths = new Map();
    const ends = [];
    for (const mark of this.all) {
      const { start, duration } = mark.annotation;
      const text = label(mark.annotation);
      if (!widths.has(text)) widths.set(text, Math.min(LONGEST, context.measureText(text).width + 14));
      mark.width = widths.get(text);
      const from = start * pixelsPerSecond;
      const lane = Array.from({ length: MOST_LANES }, (_, i) => i).find((i) => (ends[i] ?? -Infinity) <= from);
      mark.lane = lane ?? -1;
      if (lane !== undefined) ends[lane] = from + Math.max(mark.width, (duration || 0) * pixelsPerSecond) + 3;
    }
    this.lanes = ends.length;
    // a lane that few need lies over the uppermost traces, so that they leave no room empty on all other pages
    const inLast = () => this.all.filter((mark) => mark.lane >= this.lanes - 1).length;
    while (this.lanes > 1 && inLast() < this.all.length * CROWD) this.lanes -= 1;
  }

  /** Room above the traces. */
  get height() {
    return this.lanes ? this.lanes * LANE + 4 : 0;
  }

  /** Those that reach into a span, in the order of their starts. */
  within(start, stop) {
    const found = [];
    for (let i = this.firstFrom(start - this.longest); i < this.all.length; i++) {
      const mark = this.all[i];
      if (mark.annotation.start > stop) break;
      if (mark.annotation.start + (mark.annotation.duration || 0) >= start) found.push(mark);
    }
    return found;
  }

  firstFrom(start) {
    let low = 0;
    let high = this.all.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.all[middle].annotation.start < start) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The next annotation after a second, or the one before it; null where there is none. */
  next(second, direction) {
    const from = this.firstFrom(second + (direction > 0 ? 1e-3 : -1e-3));
    return this.all[direction > 0 ? from : from - 1] ?? null;
  }

  /** Spans as light fields, behind the traces. */
  drawSpans(frame) {
    const { context, colours } = frame.surface;
    for (const { annotation } of this.within(frame.start, frame.stop)) {
      if (!annotation.duration) continue;
      const from = Math.max(frame.left, frame.x(annotation.start));
      const to = Math.min(frame.right, frame.x(annotation.start + annotation.duration));
      context.globalAlpha = 0.09;
      context.fillStyle = colour(colours, annotation);
      context.fillRect(from, frame.top, to - from, frame.bottom - frame.top);
      context.globalAlpha = 1;
    }
  }

  /** Lines through the traces, and names in their lanes above. */
  drawNames(frame, selected) {
    const { surface } = frame;
    const { context, colours } = surface;
    this.drawn = [];
    context.font = colours.font(SIZE, 500);
    context.textBaseline = "middle";
    context.textAlign = "left";
    for (const mark of this.within(frame.start, frame.stop)) {
      this.drawOne(frame, mark, mark.index === selected);
    }
  }

  drawOne(frame, mark, selected) {
    const { context, colours } = frame.surface;
    const { annotation, lane, width } = mark;
    const ink = colour(colours, annotation);
    const x = frame.x(annotation.start);
    const end = frame.x(annotation.start + (annotation.duration || 0));
    if (!annotation.duration && (x < frame.left || x > frame.right)) return;
    const laneTop = lane * LANE + 2;
    context.strokeStyle = context.fillStyle = ink;
    context.lineWidth = selected ? 2 : 1;
    const from = lane < 0 ? frame.top : laneTop;
    if (x >= frame.left && x <= frame.right) line(frame, x, from, annotation.bad ? [] : [4, 3]);
    if (annotation.duration && end <= frame.right && end >= frame.left) line(frame, end, frame.top, [1, 3]);
    if (lane < 0) {
      this.drawn.push({ mark, x: x - 3, y: frame.top, width: 6, height: frame.bottom - frame.top });
      return;
    }
    const near = Math.max(frame.left, x);
    const to = Math.min(frame.right, Math.max(x + width, end));
    if (to - near < 6) return;
    context.save();
    context.beginPath();
    context.rect(near, laneTop, to - near, LANE - 2);
    context.clip();
    context.fillStyle = colours.get("plot");
    context.fillRect(near, laneTop, to - near, LANE - 2);
    context.globalAlpha = selected ? 0.32 : 0.15;
    context.fillStyle = ink;
    context.fillRect(near, laneTop, to - near, LANE - 2);
    context.globalAlpha = 1;
    if (x >= frame.left) context.fillRect(near, laneTop, 3, LANE - 2);
    context.fillStyle = colours.get("plot-text");
    context.fillText(label(annotation), near + 7, laneTop + LANE / 2 - 0.5);
    context.restore();
    if (selected) {
      context.strokeStyle = colours.get("focus");
      context.setLineDash([]);
      context.lineWidth = 2;
      context.strokeRect(near + 1, laneTop + 1, to - near - 2, LANE - 4);
    }
    this.drawn.push({ mark, x: near, y: laneTop, width: to - near, height: LANE - 2 });
    this.drawn.push({ mark, x: x - 3, y: laneTop, width: 6, height: frame.bottom - laneTop, line: true });
  }

  /** The mark at a point of the last frame; names go before lines. */
  hit(x, y) {
    const inside = (box) => x >= box.x && x <= box.x + box.width && y >= box.y && y <= box.y + box.height;
    const over = this.drawn.filter(inside);
    return (over.find((box) => !box.line) ?? over[0])?.mark ?? null;
  }
}

const label = (annotation) => (annotation.bad ? "✕ " : "") + shown(annotation.text);
const colour = (colours, annotation) => colours.get(annotation.bad ? "annotation-bad" : "annotation");

function line(frame, x, from, dash) {
  const { context } = frame.surface;
  const at = frame.surface.sharp(x);
  context.setLineDash(dash);
  context.beginPath();
  context.moveTo(at, from);
  context.lineTo(at, frame.bottom);
  context.stroke();
  context.setLineDash([]);
}

/** A name as it is drawn: without what turns the direction of text or breaks the line, and not endless. */
export function shown(text) {
  const plain = String(text ?? "").replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim() || "(no text)";
  return plain.length > 60 ? `${plain.slice(0, 59)}…` : plain;
}

/** A field of hatching that says why nothing is there. */
export function drawNothing(surface, x, y, width, height, text) {
  if (width <= 0.5 || height <= 0) return;
  const { context, colours } = surface;
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.fillStyle = colours.get("plot");
  context.fillRect(x, y, width, height);
  context.globalAlpha = 0.45;
  context.fillStyle = surface.gapPattern();
  context.fillRect(x, y, width, height);
  context.globalAlpha = 1;
  context.font = colours.font(12, 600);
  const wide = context.measureText(text).width;
  if (text && width > wide + 14 && height > 16) {
    const middle = x + width / 2;
    const at = y + height / 2;
    context.fillStyle = colours.get("plot");
    context.fillRect(middle - wide / 2 - 7, at - 11, wide + 14, 22);
    context.fillStyle = colours.get("plot-text");
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(text, middle, at);
    context.textAlign = "left";
  }
  context.restore();
}
