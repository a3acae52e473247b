/**
 * The whole recording as an envelope, with the page as a window in it, annotations as ticks and gaps hatched.
 *
 *     const overview = new OverviewView(element);
 *     overview.setData(page, { seconds, annotations, gaps, startTime });   // page: one channel, minmax; see decode.js
 *     overview.setWindow(start, pageSeconds);
 *     overview.addEventListener("seek", ({ detail }) => view.goTo(detail.start));
 *
 * A press or drag seeks, so do ←/→ (a page; with Shift ten), Home and End.
 */

import { MISSING } from "./decode.js";
import { axisHeight, drawAxis } from "./frame.js";
import { drawNothing } from "./marks.js";
import { GUTTER, RIGHT, clamp, secondOfDay, timeText } from "./scales.js";
import { Surface } from "./surface.js";

const TICKS = 9;

export class OverviewView extends EventTarget {
  constructor(container, { gutter = GUTTER } = {}) {
    super();
    this.gutter = gutter;
    this.data = { seconds: 0, annotations: [], gaps: [] };
    this.page = null;
    this.version = 0;
    this.clock = null;
    this.window = { start: 0, seconds: 0 };
    this.placed = null;
    this.surface = new Surface(container, {
      label: "Overview of the recording",
      role: "slider",
      draw: () => this.#draw(),
    });
    this.canvas = this.surface.canvas;
    this.canvas.style.touchAction = "pan-y";
    this.canvas.style.cursor = "pointer";
    this.#listen();
    this.#describe();
  }

  /** The envelope (null: none yet) and what the recording has. */
  setData(page, { seconds, annotations = [], gaps = [], startTime = null }) {
    this.page = page;
    this.data = { seconds, annotations, gaps };
    this.clock = secondOfDay(startTime);
    this.version += 1;
    this.#describe();
    this.surface.redraw();
  }

  setWindow(start, seconds) {
    this.window = { start, seconds };
    this.#describe();
    if (this.placed === null || this.placed !== this.#place()) this.surface.redraw();
  }

  /** Where the window stands, in halves of the screen's pixels: in a night one pans long until it moves by one. */
  #place() {
    const { start, seconds } = this.window;
    const half = (at) => Math.round(2 * this.surface.ratio * this.frame.x(at));
    return this.frame ? `${half(start)} ${half(start + seconds)}` : null;
  }

  /** The clock stands under the times where there is room for both. */
  get #shownClock() { return this.surface.height >= 84 ? this.clock : null; }

  refreshColours() { this.surface.refreshColours(); }
  destroy() { this.surface.destroy(); }

  #describe() {
    const { start, seconds } = this.window;
    const all = this.data.seconds;
    const stop = Math.min(all, start + seconds);
    const said = {
      valuemin: 0,
      valuemax: Math.round(Math.max(0, all - seconds)),
      valuenow: Math.round(start),
      valuetext: `${timeText(start)} to ${timeText(stop)} of ${timeText(all)}`,
    };
    for (const [name, value] of Object.entries(said)) {
      const known = this.canvas.getAttribute(`aria-${name}`);
      if (known !== String(value)) this.canvas.setAttribute(`aria-${name}`, value);
    }
  }

  #seek(start) {
    const to = clamp(start, 0, Math.max(0, this.data.seconds - this.window.seconds));
    this.setWindow(to, this.window.seconds);
    this.dispatchEvent(new CustomEvent("seek", { detail: { start: to } }));
  }

  /** Keys of the view; true where the event was for it. */
  keydown(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.data.seconds) return false;
    const { start, seconds } = this.window;
    const step = seconds * (event.shiftKey ? 10 : 1);
    const to = {
      ArrowLeft: start - step, ArrowDown: start - step, ArrowRight: start + step, ArrowUp: start + step,
      PageDown: start + 10 * seconds, PageUp: start - 10 * seconds, Home: 0, End: this.data.seconds,
    }[event.key];
    if (to === undefined) return false;
    event.preventDefault();
    event.stopPropagation();
    this.#seek(to);
    return true;
  }

  #listen() {
    const { canvas } = this;
    let grip = null; // where in the window it was taken, seconds
    const second = (event) => {
      const frame = this.frame;
      return (event.clientX - canvas.getBoundingClientRect().left - frame.left) / frame.pixelsPerSecond;
    };
    canvas.addEventListener("keydown", (event) => this.keydown(event));
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.data.seconds || !this.frame) return;
      const at = second(event);
      const { start, seconds } = this.window;
      grip = at >= start && at <= start + seconds ? at - start : seconds / 2;
      canvas.setPointerCapture(event.pointerId);
      this.#seek(at - grip);
    });
    canvas.addEventListener("pointermove", (event) => grip !== null && this.#seek(second(event) - grip));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (grip = null));
  }

  #draw() {
    const { surface } = this;
    const { context, colours } = surface;
    const left = this.gutter;
    const right = Math.max(left + 1, surface.width - RIGHT);
    const { seconds } = this.data;
    const pixelsPerSecond = (right - left) / Math.max(seconds, 1e-9);
    const frame = (this.frame = {
      surface, left, right, seconds, pixelsPerSecond,
      top: 2,
      bottom: surface.height - axisHeight(this.#shownClock),
      start: 0,
      stop: seconds,
      x: (at) => left + at * pixelsPerSecond,
    });
    this.placed = this.#place();
    surface.cached(this.version, () => this.#drawRecording(frame));
    if (seconds) this.#drawWindow(frame);
    if (surface.focused) {
      context.strokeStyle = colours.get("focus");
      context.lineWidth = 2;
      context.strokeRect(1, 1, surface.width - 2, surface.height - 2);
    }
  }

  /** All but the window, which alone moves. */
  #drawRecording(frame) {
    const { surface } = frame;
    const { context, colours } = surface;
    context.fillStyle = colours.get("plot");
    context.fillRect(0, 0, surface.width, surface.height);
    if (this.data.seconds) {
      this.#drawEnvelope(frame);
      for (const [start, stop] of this.data.gaps) {
        const width = Math.max(1, (stop - start) * frame.pixelsPerSecond);
        drawNothing(surface, frame.x(start), frame.top, width, frame.bottom - frame.top, "no data");
      }
      this.#drawTicks(frame);
      drawAxis(frame, this.#shownClock);
    }
    context.font = colours.font(11);
    context.fillStyle = colours.get("plot-soft");
    context.textBaseline = "middle";
    context.fillText("overview", 10, (frame.top + frame.bottom) / 2);
  }

  /** Largest extent but for the topmost hundredth, so that one artefact does not flatten all else. */
  #extent() {
    const { values, columns } = this.page;
    const sizes = [];
    for (let i = 0; i < columns; i++) {
      if (values[2 * i] !== MISSING) sizes.push(Math.max(Math.abs(values[2 * i]), Math.abs(values[2 * i + 1])));
    }
    sizes.sort((one, other) => one - other);
    return Math.max(1, sizes[Math.floor(0.985 * (sizes.length - 1))] ?? 1);
  }

  #drawEnvelope(frame) {
    if (!this.page) return;
    const { context, colours } = frame.surface;
    const { values, columns, start, seconds } = this.page;
    const top = frame.top + TICKS;
    const middle = (top + frame.bottom) / 2;
    const half = (frame.bottom - top) / 2 - 1;
    this.scaleOf ??= new WeakMap();
    if (!this.scaleOf.has(this.page)) this.scaleOf.set(this.page, this.#extent());
    const scale = half / this.scaleOf.get(this.page);
    const width = Math.max((seconds / columns) * frame.pixelsPerSecond, 1 / frame.surface.ratio);
    context.fillStyle = colours.get("plot-soft");
    for (let i = 0; i < columns; i++) {
      if (values[2 * i] === MISSING) continue;
      const high = Math.min(half, values[2 * i + 1] * scale);
      const low = Math.max(-half, values[2 * i] * scale);
      context.fillRect(frame.x(start + (i * seconds) / columns), middle - high, width, Math.max(1, high - low));
    }
  }

  #drawTicks(frame) {
    const { context, colours } = frame.surface;
    for (const { start, duration, bad } of this.data.annotations) {
      context.fillStyle = colours.get(bad ? "annotation-bad" : "annotation");
      const x = frame.x(start);
      const width = Math.max(1.5, (duration || 0) * frame.pixelsPerSecond);
      context.fillRect(x, frame.top, width, bad ? TICKS - 1 : TICKS - 3);
    }
  }

  #drawWindow(frame) {
    const { context, colours } = frame.surface;
    const { start, seconds } = this.window;
    if (!seconds) return;
    const width = Math.max(6, Math.min(seconds, this.data.seconds) * frame.pixelsPerSecond);
    const x = clamp(frame.x(start + seconds / 2) - width / 2, frame.left, Math.max(frame.left, frame.right - width));
    context.fillStyle = colours.get("focus");
    context.globalAlpha = 0.2;
    context.fillRect(x, frame.top, width, frame.bottom - frame.top);
    context.globalAlpha = 1;
    context.strokeStyle = colours.get("focus");
    context.lineWidth = 2;
    context.strokeRect(x, frame.top, width, frame.bottom - frame.top);
  }
}
