/**
 * A canvas that fills its container, knows the screen's pixels, and draws once a frame however often it is asked to.
 */

import { Colours, pattern } from "./colours.js";

export class Surface {
  /**
   * @param {HTMLElement} container
   * @param {{label: string, draw: (surface: Surface) => void, resized?: () => void, role?: string}} options
   *   `draw` is called before a frame is shown, at most once for each.
   */
  constructor(container, { label, draw, resized, role = "application" }) {
    this.container = container;
    this.draw = draw;
    this.resized = resized;
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", role);
    this.canvas.setAttribute("aria-label", label);
    const fill = { display: "block", position: "absolute", inset: "0", width: "100%", height: "100%" };
    Object.assign(this.canvas.style, { ...fill, outline: "none" }); // the focus is drawn by the views
    if (getComputedStyle(container).position === "static") container.style.position = "relative";
    container.append(this.canvas);
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.colours = new Colours(container);
    this.width = this.height = 0;
    this.ratio = 1;
    this.frame = 0;
    this.patterns = new Map();
    this.cache = null;
    this.observer = new ResizeObserver(() => this.measure());
    this.observer.observe(container);
    this.schemes = matchMedia("(prefers-color-scheme: dark)");
    this.onScheme = () => this.refreshColours();
    this.schemes.addEventListener("change", this.onScheme);
    this.canvas.addEventListener("focus", () => this.redraw());
    this.canvas.addEventListener("blur", () => this.redraw());
    this.measure();
  }

  get focused() {
    return document.activeElement === this.canvas && this.canvas.matches(":focus-visible");
  }

  measure() {
    const ratio = globalThis.devicePixelRatio || 1;
    const width = this.container.clientWidth;
    const height = this.container.clientHeight;
    if (width === this.width && height === this.height && ratio === this.ratio) return;
    Object.assign(this, { width, height, ratio });
    this.cache = null;
    this.stale = true; // the canvas is emptied by its new size, so that happens in the frame that fills it again
    this.patterns.clear();
    this.resized?.();
    this.redraw();
  }

  redraw() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.frame = 0;
    if (!this.width || !this.height) return;
    if (this.stale) {
      this.canvas.width = Math.round(this.width * this.ratio);
      this.canvas.height = Math.round(this.height * this.ratio);
      this.stale = false;
    }
    this.context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.draw(this);
  }

  refreshColours() {
    this.colours.refresh();
    this.cache = null;
    this.patterns.clear();
    this.resized?.();
    this.redraw();
  }

  /** A pattern made by `make(context)`, kept until size or colours change. */
  pattern(key, make) {
    if (!this.patterns.has(key)) this.patterns.set(key, make(this.context, this.ratio));
    return this.patterns.get(key);
  }

  /** What `draw` draws onto the whole surface, kept as a picture as long as the key is the same. */
  cached(key, draw) {
    const { context } = this;
    if (this.cache?.key !== key) {
      const canvas = this.cache?.canvas ?? new OffscreenCanvas(this.canvas.width, this.canvas.height);
      this.context = canvas.getContext("2d", { alpha: false });
      this.context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
      draw();
      this.context = context;
      this.cache = { key, canvas };
    }
    const { canvas } = this.cache;
    context.drawImage(canvas, 0, 0, canvas.width / this.ratio, canvas.height / this.ratio);
  }

  gapPattern() {
    return this.pattern("gap", (context, ratio) => pattern(context, "gap", this.colours.get("no-data"), ratio, 1));
  }

  /** A length in CSS pixels moved onto the screen's pixels, so that a thin line is sharp. */
  sharp(value) {
    return (Math.round(value * this.ratio) + (Math.round(this.ratio) % 2 ? 0.5 : 0)) / this.ratio;
  }

  /** Says for a screen reader what is shown; a new text is read where the canvas has the focus. */
  describe(text) {
    if (this.canvas.getAttribute("aria-label") !== text) this.canvas.setAttribute("aria-label", text);
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    this.observer.disconnect();
    this.schemes.removeEventListener("change", this.onScheme);
    this.canvas.remove();
  }
}
