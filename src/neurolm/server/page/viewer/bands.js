/**
 * Answers under the traces, on the same axis of time: for sleep and other classes a hypnogram and a hypnodensity, for
 * yes and no a band of probability, for events marks; undecided ones hatched, those unlike the training cross-hatched.
 *
 *     const bands = new BandsView(element);
 *     bands.begin({ options: ["Yes", "No"], kind: "yes_no", seconds: 3600, length: 4, name: "Is the person asleep?" });
 *     bands.add([{ start: 0, stop: 4, probabilities: [0.2, 0.8], decided: true, unlike: false }]);    // as they come
 *     bands.finish();
 *     bands.setRange(120, 10);      // the page's; bands.setWhole() shows the whole recording, setWindow the page in it
 *     bands.addEventListener("seek", ({ detail }) => view.goTo(detail.start));
 *     bands.addEventListener("select", ({ detail }) => console.log(detail.index, detail.window));
 *
 * The element grows to what the answers need unless it has a height. ←/→ move from window to window (with Shift ten;
 * 'move' {index, window}), Home and End to the first and last, Enter selects and seeks, so does a click.
 */

import { Answers, percent } from "./answers.js";
import { drawAxis, drawGrid } from "./frame.js";
import { Legend } from "./legend.js";
import { shown } from "./marks.js";
import { tip } from "./overlay.js";
import { GUTTER, RIGHT, clamp, secondOfDay } from "./scales.js";
import { drawStrips, stripsHeight } from "./strips.js";
import { Surface } from "./surface.js";

const AXIS = 22;
/** Milliseconds between two drawings while answers stream in. */
const BREATH = 150;

export class BandsView extends EventTarget {
  constructor(container, { gutter = GUTTER } = {}) {
    super();
    this.gutter = gutter;
    this.container = container;
    Object.assign(container.style, { display: "flex", flexDirection: "column" });
    this.legend = new Legend(container, gutter);
    this.plot = document.createElement("div");
    this.plot.style.position = "relative";
    this.plot.style.flex = "1 0 0px";
    container.append(this.plot);
    this.surface = new Surface(this.plot, { label: "No answers", draw: () => this.#draw() });
    this.canvas = this.surface.canvas;
    this.#listen();
    this.range = null;
    this.version = this.drawnAt = 0;
    this.clear();
  }

  /** A question is asked: what its windows will say. */
  begin({ options, kind, seconds, length, name = "", startTime = null }) {
    this.answers = new Answers({ options, kind, seconds, length, name });
    this.clock = secondOfDay(startTime);
    this.selected = this.hovered = null;
    this.running = true;
    this.plot.style.flexBasis = `${stripsHeight(this.answers) + AXIS}px`;
    this.plot.hidden = false;
    this.canvas.tabIndex = 0;
    this.#changed();
  }

  /** Windows that have been answered, in the order of time. */
  add(windows) {
    if (!this.answers) return;
    this.answers.add(windows);
    this.#changed(false);
  }

  finish() {
    this.running = false;
    this.#changed();
  }

  clear() {
    this.answers = null;
    this.selected = this.hovered = null;
    this.running = false;
    this.plot.style.flexBasis = "0px";
    this.plot.hidden = true;
    this.canvas.tabIndex = -1;
    this.#changed();
  }

  /** Shows a span, as the page of the traces. */
  setRange(start, seconds) {
    this.range = { start, seconds };
    this.surface.redraw();
  }

  /** Shows the whole recording. */
  setWhole() {
    this.range = null;
    this.surface.redraw();
  }

  /** The page as a window in the whole recording. */
  setWindow(start, seconds) {
    this.page = { start, seconds };
    if (!this.range) this.surface.redraw();
  }

  /** Outlines a window; null none. */
  setSelected(index) {
    const { answers } = this;
    this.selected = index === null || !answers?.size ? null : clamp(index, 0, answers.size - 1);
    this.#describe();
    this.surface.redraw();
  }

  refreshColours() {
    this.surface.refreshColours();
    this.legend.update(this.answers, this.surface, true);
  }

  destroy() {
    clearTimeout(this.updating);
    this.surface.destroy();
    this.legend.destroy();
    this.plot.remove();
  }

  /** Keys of the view; true where the event was for it. */
  keydown(event) {
    const { answers } = this;
    if (!answers?.size || event.ctrlKey || event.metaKey || event.altKey) return false;
    const here = this.selected ?? this.#firstShown() - (event.key === "ArrowRight" ? 1 : 0);
    const step = event.shiftKey ? 10 : 1;
    const to = { ArrowLeft: here - step, ArrowRight: here + step, Home: 0, End: answers.size - 1 }[event.key];
    if (to === undefined && event.key !== "Enter") return false;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Enter") {
      this.#choose(this.selected ?? this.#firstShown());
      return true;
    }
    this.setSelected(to);
    this.#emit("move", { index: this.selected, window: answers.window(this.selected) });
    return true;
  }

  #firstShown() {
    return Math.min(this.answers.size - 1, this.answers.firstAfter(this.range?.start ?? 0));
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #choose(index) {
    this.setSelected(index);
    const window = this.answers.window(this.selected);
    this.#emit("seek", { start: window.start });
    this.#emit("select", { index: this.selected, window });
  }

  /** Draws anew, at once or, while answers stream in, some times a second, as a night of them is no small picture. */
  #changed(atOnce = true) {
    clearTimeout(this.updating);
    const wait = atOnce ? 0 : Math.max(0, this.drawnAt + BREATH - performance.now());
    const update = () => {
      this.drawnAt = performance.now();
      this.version += 1;
      this.surface.redraw();
      this.#describe();
      this.legend.update(this.answers, this.surface);
    };
    if (wait) this.updating = setTimeout(update, wait);
    else update();
  }

  #describe() {
    const { answers } = this;
    if (!answers) return this.surface.describe("No answers");
    const name = shown(answers.name || answers.options.join(" or "));
    const shares = answers.options.map((label, i) => `${shown(label)} ${percent(answers.counts[i], answers.size)}`);
    const doubt = answers.undecided ? `, undecided ${percent(answers.undecided, answers.size)}` : "";
    const unlike = answers.unlike ? `, unlike the training ${percent(answers.unlike, answers.size)}` : "";
    const chosen = this.selected === null ? "" : `; selected window ${answers.text(this.selected)}`;
    const said = answers.size ? `: ${shares.join(", ")}${doubt}${unlike}` : "";
    this.surface.describe(`${name}: ${answers.size} windows answered${said}${chosen}`);
  }

  #listen() {
    const { canvas } = this;
    const indexAt = (event) => {
      const { frame, answers } = this;
      if (!frame || !answers) return null;
      const x = event.clientX - canvas.getBoundingClientRect().left;
      if (x < frame.left || x > frame.right) return null;
      return answers.at(frame.start + (x - frame.left) / frame.pixelsPerSecond);
    };
    canvas.addEventListener("keydown", (event) => this.keydown(event));
    canvas.addEventListener("click", (event) => {
      const index = indexAt(event);
      if (index !== null) this.#choose(index);
    });
    canvas.addEventListener("pointermove", (event) => {
      const index = event.pointerType === "touch" ? null : indexAt(event);
      canvas.style.cursor = index === null ? "default" : "pointer";
      if (index === this.hovered) return;
      this.hovered = index;
      this.surface.redraw();
    });
    canvas.addEventListener("pointerleave", () => {
      this.hovered = null;
      this.surface.redraw();
    });
  }

  #draw() {
    const { surface, answers } = this;
    const { context, colours } = surface;
    if (!answers) return;
    const left = this.gutter;
    const right = Math.max(left + 1, surface.width - RIGHT);
    const { start, seconds } = this.range ?? { start: 0, seconds: answers.seconds };
    const pixelsPerSecond = (right - left) / seconds;
    const frame = (this.frame = {
      surface, left, right, start, seconds, pixelsPerSecond,
      top: 0,
      bottom: surface.height - AXIS,
      stop: start + seconds,
      x: (second) => left + (second - start) * pixelsPerSecond,
    });
    surface.cached(`${start} ${seconds} ${this.version}`, () => {
      surface.context.fillStyle = colours.get("plot");
      surface.context.fillRect(0, 0, surface.width, surface.height);
      drawGrid(frame);
      drawStrips(frame, answers);
      drawAxis(frame, null);
    });
    if (!this.range && this.page) this.#outline(frame, this.page.start, this.page.start + this.page.seconds, 1.5, true);
    const { selected } = this;
    if (selected !== null) this.#outline(frame, answers.starts[selected], answers.stops[selected], 2.5, false);
    if (this.hovered !== null && this.hovered < answers.size) {
      const from = frame.x(answers.from(this.hovered));
      tip(frame, answers.text(this.hovered), clamp(from, left, right), frame.top + 36);
    }
    if (surface.focused) {
      context.strokeStyle = colours.get("focus");
      context.lineWidth = 2;
      context.strokeRect(1, 1, surface.width - 2, surface.height - 2);
    }
  }

  #outline(frame, start, stop, width, faint) {
    const { context, colours } = frame.surface;
    const from = Math.max(frame.left, frame.x(start));
    const to = Math.min(frame.right, Math.max(frame.x(stop), frame.x(start) + 3));
    if (to <= from) return;
    if (faint) {
      context.fillStyle = colours.get("focus");
      context.globalAlpha = 0.12;
      context.fillRect(from, frame.top, to - from, frame.bottom - frame.top);
      context.globalAlpha = 1;
    }
    context.strokeStyle = colours.get(faint ? "focus" : "plot-text");
    context.lineWidth = to - from < 8 ? 1.5 : width;
    context.strokeRect(from, frame.top + 1.5, to - from, frame.bottom - frame.top - 3);
  }
}
