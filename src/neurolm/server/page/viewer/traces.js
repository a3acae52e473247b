/**
 * Traces by the conventions of clinical EEG, on a canvas; a module by itself, which knows no server and no file format.
 *
 * How to use it:
 *
 *     import { TraceView } from "./traces.js";
 *     const view = new TraceView(document.querySelector("#eeg"), {   // an element with a height
 *       seconds: 3600,
 *       channels: [{ name: "Fp1", bad: null, side: "left", kind: "eeg" }],   // in the order of the rows; bad: why, or
 *       gaps: [[600, 720]],                     // null; side (optional) parts the rows, kind "ecg" is drawn smaller
 *       annotations: [{ start: 12, duration: 0, text: "eyes closed", bad: false }],
 *       startTime: "2024-03-01T22:13:05",                        // optional: times of the clock, too
 *       traces: async ({ start, seconds, columns, signal }) => page,   // see decode.js; signal: AbortSignal
 *     });
 *     view.addEventListener("view", ({ detail }) => console.log(detail.start, detail.pageSeconds));
 *     view.pageSeconds = 30; view.negativeUp = false; view.goTo(120);
 *
 * Where a page has other `channels` than the source says (another montage), the rows follow the page. Events are
 * CustomEvents; `detail`: 'view' {start, pageSeconds}, 'sensitivity' {sensitivity}, 'annotation' {annotation, index},
 * 'channel' {name} (its name at the left was clicked),
 * 'hover' {second, channel, text} or null, 'drawn' {milliseconds, complete}, 'failed' {message}.
 * Keys (the canvas takes the focus; `keydown` lets an app pass keys on): KEYS of gestures.js lists them. Drag or wheel
 * pans, the wheel with Ctrl or Shift changes sensitivity, a drag with Shift measures. Colours: colours.js.
 */

import { axisHeight, drawAxis, drawGrid, drawLabels, drawScale, layRows } from "./frame.js";
import { listen, onKey } from "./gestures.js";
import { Marks, drawNothing } from "./marks.js";
import { drawCursor, drawHighlight, drawMeasure, drawPlaceholder } from "./overlay.js";
import { readingAt, textOf } from "./readings.js";
import { GUTTER, MM, RIGHT, SENSITIVITY, clamp, nextSensitivity, secondOfDay } from "./scales.js";
import { Surface } from "./surface.js";
import { Tiles } from "./tiles.js";
import { Waves } from "./waves.js";

const none = () => Promise.reject(new Error("no source"));
const NOTHING = { seconds: 0, channels: [], gaps: [], annotations: [], traces: none };
/** Columns asked for are rounded up to this, so that a slight resize asks for nothing anew. */
const COLUMNS = 128;
const MOST_COLUMNS = 4096;

export class TraceView extends EventTarget {
  #start = 0;
  #pageSeconds = 10;
  #sensitivity = SENSITIVITY;
  #negativeUp = true;

  constructor(container, source = null, { gutter = GUTTER, pageSeconds = 10 } = {}) {
    super();
    this.gutter = gutter;
    this.#pageSeconds = pageSeconds;
    this.tiles = new Tiles(() => this.#arrived());
    this.waves = new Waves(() => this.surface.redraw());
    this.marks = new Marks();
    this.highlight = this.cursor = this.measured = this.selected = null;
    this.travel = 1;
    this.surface = new Surface(container, {
      label: "EEG traces: nothing loaded",
      draw: () => this.#draw(),
      resized: () => this.#resized(),
    });
    this.canvas = this.surface.canvas;
    listen(this);
    this.setSource(source);
  }

  /** Shows another recording, or the same one anew; the position stays where `keep` says so. */
  setSource(source, { keep = false } = {}) {
    this.source = { ...NOTHING, ...source };
    this.clock = secondOfDay(this.source.startTime);
    this.marks.set(this.source.annotations);
    this.channels = this.source.channels;
    this.cursor = this.measured = null;
    if (!keep) {
      this.highlight = this.selected = null;
      this.#start = 0;
    }
    this.#start = this.#clamped(this.#start);
    this.reload();
    this.#moved();
  }

  /** Drops what was fetched: montage or filters have changed. */
  reload() {
    this.signature = null;
    this.waves.clear();
    this.#resized();
    this.surface.redraw();
  }

  get start() { return this.#start; }
  set start(second) { this.goTo(second); }

  get pageSeconds() { return this.#pageSeconds; }
  set pageSeconds(seconds) {
    if (!(seconds > 0) || seconds === this.#pageSeconds) return;
    this.#pageSeconds = seconds;
    this.#start = this.#clamped(this.#start);
    this.#resized();
    this.#moved();
  }

  /** µV/mm. */
  get sensitivity() { return this.#sensitivity; }
  set sensitivity(value) {
    if (!(value > 0) || value === this.#sensitivity) return;
    this.#sensitivity = value;
    this.#lookChanged();
    this.#emit("sensitivity", { sensitivity: value });
  }

  get negativeUp() { return this.#negativeUp; }
  set negativeUp(up) {
    this.#negativeUp = Boolean(up);
    this.#lookChanged();
  }

  /** mm/s as shown: the width of the plot in millimetres over the seconds of the page. */
  get speed() { return this.plotWidth / MM / this.#pageSeconds; }
  set speed(value) { this.pageSeconds = this.plotWidth / MM / value; }

  get plotWidth() { return Math.max(1, this.surface.width - this.gutter - RIGHT); }

  goTo(second) {
    const to = this.#clamped(second);
    if (to === this.#start) return;
    this.travel = to > this.#start ? 1 : -1;
    this.#start = to;
    this.#moved();
  }

  page(direction) { this.goTo(this.#start + direction * this.#pageSeconds); }
  pan(seconds) { this.goTo(this.#start + seconds); }

  /** A step of sensitivity: +1 draws larger, -1 smaller. */
  zoomSensitivity(direction) { this.sensitivity = nextSensitivity(this.#sensitivity, direction); }

  /** Marks a span of time, as a window's answer; without arguments it goes away. */
  setHighlight(start = null, stop = null) {
    this.highlight = start === null ? null : { start, stop };
    this.surface.redraw();
  }

  /** Goes to the next (+1) or previous (-1) annotation and selects it; false where there is none. */
  nextAnnotation(direction) {
    const here = this.selected === null ? null : this.marks.all.findIndex((mark) => mark.index === this.selected);
    const edge = this.#start + (direction > 0 ? 0 : this.#pageSeconds);
    const mark = here === null ? this.marks.next(edge, direction) : this.marks.all[here + direction];
    if (!mark) return false;
    const place = (mark.annotation.start - this.#start) / this.#pageSeconds;
    if (place < 0 || place > 0.95) this.goTo(mark.annotation.start - this.#pageSeconds * 0.25);
    this.selectAnnotation(mark);
    return true;
  }

  selectAnnotation(mark) {
    this.selected = mark?.index ?? null;
    this.#describe();
    this.surface.redraw();
    if (mark) this.#emit("annotation", { annotation: mark.annotation, index: mark.index });
  }

  /** Keys of the view; true where the event was for it. */
  keydown(event) { return onKey(this, event); }

  /** The page's properties have changed (light, dark): colours are read again. */
  refreshColours() { this.surface.refreshColours(); }

  /** What is shown, for people who do not see it. */
  get text() { return textOf(this); }

  /** Channel and second under a point of the canvas, and its value in µV where it is known; null outside the plot. */
  at(x, y) { return readingAt(this, x, y); }

  /** The tile to which a second belongs, if it has come. */
  pageAt(second) { return this.tiles.kept.get(this.#tileAt(second))?.page ?? null; }

  destroy() {
    this.tiles.reset({ source: null, seconds: 1, columns: 1, end: 0 });
    clearTimeout(this.saying);
    this.waves.destroy();
    this.surface.destroy();
  }

  /** Shows the reading at a point, or none; keys move it too. */
  setCursor(reading) {
    this.cursor = reading;
    this.#emit("hover", reading && { second: reading.second, channel: reading.row.name, text: reading.text });
    this.surface.redraw();
  }

  #clamped(second) {
    return clamp(second, 0, Math.max(0, this.source.seconds - this.#pageSeconds));
  }

  #tileAt(second) {
    return Math.floor(second / this.#pageSeconds + 1e-9);
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #moved() {
    this.surface.redraw();
    this.#emit("view", { start: this.#start, pageSeconds: this.#pageSeconds });
    clearTimeout(this.saying); // a screen reader hears where one has stopped, not every step on the way
    this.saying = setTimeout(() => this.#describe(), 300);
  }

  #describe() {
    if (this.surface) this.surface.describe(this.text);
  }

  #lookChanged() {
    this.waves.invalidate();
    this.surface?.redraw();
    this.#describe();
  }

  #arrived() {
    const page = [...this.tiles.kept.values()].at(-1)?.page;
    if (page && !sameNames(page.channels, this.channels)) {
      this.channels = page.channels.map((name, i) => this.#channel(name, page.bad?.[i]));
      this.waves.invalidate();
    }
    for (const { message } of this.tiles.failed.values()) this.#emit("failed", { message });
    this.surface.redraw();
  }

  /** A channel of a montage by its name: bad where the page says so, or one of its electrodes is. */
  #channel(name, bad) {
    const known = new Map(this.source.channels.map((channel) => [channel.name, channel]));
    if (known.has(name)) return known.get(name);
    if (bad !== undefined) return { name, bad };
    const parts = name.split(/\s*-\s*/);
    return { name, bad: parts.map((part) => known.get(part)?.bad).find(Boolean) ?? null };
  }

  #resized() {
    this.waves.invalidate();
    if (!this.surface?.width) return;
    const wide = this.plotWidth * this.surface.ratio;
    const columns = Math.min(MOST_COLUMNS, Math.ceil(wide / COLUMNS) * COLUMNS);
    const signature = `${this.#pageSeconds} ${columns}`;
    if (signature === this.signature) return;
    this.signature = signature;
    this.waves.clear();
    this.tiles.reset({ source: this.source, seconds: this.#pageSeconds, columns, end: this.source.seconds });
  }

  #makeFrame() {
    const { surface } = this;
    const pixelsPerSecond = this.plotWidth / this.#pageSeconds;
    this.marks.layOut(surface.context, surface.colours.font(11.5, 500), pixelsPerSecond);
    const top = this.marks.height;
    const bottom = Math.max(top + 20, surface.height - axisHeight(this.clock));
    if (this.laid !== this.channels || this.laidTop !== top || this.laidBottom !== bottom) {
      Object.assign(this, layRows(this.channels, top, bottom));
      Object.assign(this, { laid: this.channels, laidTop: top, laidBottom: bottom });
      this.waves.invalidate();
    }
    const left = this.gutter;
    const start = this.#start;
    return {
      surface, pixelsPerSecond, left, top, bottom, start,
      right: left + this.plotWidth,
      seconds: this.#pageSeconds,
      stop: start + this.#pageSeconds,
      x: (second) => left + (second - start) * pixelsPerSecond,
    };
  }

  #draw() {
    const began = performance.now();
    const { surface } = this;
    const { context, colours } = surface;
    const frame = (this.frame = this.#makeFrame());
    context.fillStyle = colours.get("plot");
    context.fillRect(0, 0, surface.width, surface.height);
    const { wanted, seen } = this.#wanted();
    this.tiles.want(wanted);
    const look = this.#look(frame);
    const tiles = wanted.slice(0, 4).map((index) => ({ index, page: this.tiles.get(index) }));
    this.waves.work(tiles.filter(({ page }) => page), look);
    this.marks.drawSpans(frame);
    drawGrid(frame);
    drawHighlight(frame, this.highlight);
    const complete = this.#blit(frame, seen, look);
    this.#drawGaps(frame);
    this.marks.drawNames(frame, this.selected);
    drawAxis(frame, this.clock);
    drawLabels(frame, this, this.cursor?.row.channel);
    if (this.source.seconds) drawScale(frame, this);
    drawMeasure(frame, this.measured);
    drawCursor(frame, this.cursor, this);
    if (surface.focused) {
      context.strokeStyle = colours.get("focus");
      context.lineWidth = 2;
      context.strokeRect(1, 1, surface.width - 2, surface.height - 2);
    }
    this.#emit("drawn", { milliseconds: performance.now() - began, complete });
  }

  /** Tiles that are seen, and all that are wanted: those, then two on in the direction of travel, then one behind. */
  #wanted() {
    const first = this.#tileAt(this.#start);
    const last = Math.max(first, Math.ceil((this.#start + this.#pageSeconds) / this.#pageSeconds - 1e-9) - 1);
    const seen = [];
    for (let i = first; i <= last; i++) seen.push(i);
    const [near, behind] = this.travel > 0 ? [last, first] : [first, last];
    if (!this.source.seconds) return { seen: [], wanted: [] };
    return { seen, wanted: [...seen, near + this.travel, near + 2 * this.travel, behind - this.travel] };
  }

  #look(frame) {
    const { colours, ratio } = this.surface;
    return {
      ratio,
      height: frame.bottom,
      width: this.plotWidth,
      pixelsPerSecond: frame.pixelsPerSecond,
      tileSeconds: this.#pageSeconds,
      sensitivity: this.#sensitivity,
      negativeUp: this.#negativeUp,
      rows: this.rows.map(({ channel, y, bad, side, weaker }) => {
        return { channel, y, weaker, bad: Boolean(bad), colour: bad ? colours.get("bad") : colours.trace(side) };
      }),
    };
  }

  /** Moves the pictures of tiles to where they belong; whether none was missing or is out of date. */
  #blit(frame, seen, look) {
    const { context, ratio } = this.surface;
    let complete = true;
    context.save();
    context.beginPath();
    context.rect(frame.left, 0, frame.right - frame.left, frame.bottom);
    context.clip();
    for (const index of seen) {
      const from = frame.x(index * this.#pageSeconds);
      const known = this.waves.get(index, look);
      if (known) {
        const { picture, current } = known;
        complete &&= current;
        context.drawImage(picture, Math.round(from * ratio) / ratio, 0, picture.width / ratio, picture.height / ratio);
      } else if (index < this.tiles.count) {
        complete = false;
        const end = Math.min(this.source.seconds, (index + 1) * this.#pageSeconds);
        drawPlaceholder(frame, this.rows, from, frame.x(end), this.tiles.failed.get(index)?.message);
      }
    }
    context.restore();
    return complete;
  }

  #drawGaps(frame) {
    const height = frame.bottom - frame.top;
    for (const [start, stop] of this.source.gaps) {
      if (stop < frame.start || start > frame.stop) continue;
      const from = Math.max(frame.left, frame.x(start));
      drawNothing(frame.surface, from, frame.top, Math.min(frame.right, frame.x(stop)) - from, height, "no data");
    }
    const end = frame.x(this.source.seconds);
    if (end < frame.right - 0.5 && this.source.seconds) {
      drawNothing(frame.surface, end, frame.top, frame.right - end, height, "end of recording");
    }
  }
}

const sameNames = (names, channels) =>
  names.length === channels.length && names.every((name, i) => name === channels[i].name);
