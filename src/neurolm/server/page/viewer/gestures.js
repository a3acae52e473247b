/**
 * Pointer, wheel, touch and keys of the traces.
 */

import { rangeOf } from "./readings.js";

/** Pixels from which a press is a drag. */
const DRAG = 4;
/** A wheel's notch in pixels, about. */
const NOTCH = 100;

/** Every key of the traces with what it does, for a page that lists them. */
export const KEYS = [
  ["← / →", "a second back / on"],
  ["Page Up / Page Down, Shift+Space / Space", "a page back / on"],
  ["Home / End", "start / end of the recording"],
  ["↑ / ↓", "draw larger / smaller (µV/mm)"],
  ["[ / ]", "previous / next annotation"],
  ["Shift+← / Shift+→", "move the reading cursor"],
  ["Shift+↑ / Shift+↓", "cursor to the channel above / below"],
  ["Escape", "take cursor, selection and highlight away"],
  ["Drag, wheel", "move along the recording"],
  ["Ctrl+wheel", "draw larger / smaller"],
  ["Shift+drag", "measure time, frequency and µV"],
];

/** Handles a key; whether it was one of the view's. */
export function onKey(view, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return false;
  const doIt = event.shiftKey ? SHIFTED[event.key] : PLAIN[event.key];
  if (!doIt || !view.source.seconds) return false;
  event.preventDefault();
  doIt(view);
  return true;
}

const PLAIN = {
  ArrowLeft: (view) => view.pan(-1),
  ArrowRight: (view) => view.pan(1),
  PageUp: (view) => view.page(-1),
  PageDown: (view) => view.page(1),
  " ": (view) => view.page(1),
  Home: (view) => view.goTo(0),
  End: (view) => view.goTo(view.source.seconds),
  ArrowUp: (view) => view.zoomSensitivity(1),
  ArrowDown: (view) => view.zoomSensitivity(-1),
  "[": (view) => view.nextAnnotation(-1),
  "]": (view) => view.nextAnnotation(1),
  Escape: (view) => {
    view.setCursor(null);
    view.setHighlight();
    view.measured = null;
    view.selectAnnotation(null);
  },
};

const SHIFTED = {
  " ": (view) => view.page(-1),
  ArrowLeft: (view) => moveCursor(view, -1, 0),
  ArrowRight: (view) => moveCursor(view, 1, 0),
  ArrowUp: (view) => moveCursor(view, 0, -1),
  ArrowDown: (view) => moveCursor(view, 0, 1),
};

/** Moves the reading by hundredths of the page or by channels; it begins in the middle. */
function moveCursor(view, steps, rows) {
  const { frame, cursor } = view;
  if (!frame || !view.rows.length) return;
  const step = (frame.right - frame.left) / 200;
  const x = cursor ? frame.x(cursor.second) + steps * step : (frame.left + frame.right) / 2;
  const row = Math.max(0, Math.min(view.rows.length - 1, (cursor?.row.channel ?? 0) + rows));
  const reading = view.at(Math.max(frame.left, Math.min(frame.right, x)), view.rows[row].y);
  view.setCursor(reading);
  if (reading) view.surface.describe(reading.text);
}

/** Connects a view's canvas with pointer, wheel and keys. */
export function listen(view) {
  const { canvas } = view;
  canvas.style.touchAction = "pan-y pinch-zoom"; // a finger that moves sideways pans the EEG, up and down the page
  canvas.style.cursor = "grab";
  let press = null;
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("keydown", (event) => view.keydown(event));
  canvas.addEventListener("wheel", (event) => onWheel(view, event), { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !view.frame) return;
    const [x, y] = point(event);
    press = { x, y, start: view.start, moved: false, measure: event.shiftKey && view.at(x, y) };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = point(event);
    if (press) return drag(view, press, x);
    if (event.pointerType !== "touch") hover(view, x, y);
  });
  canvas.addEventListener("pointerup", (event) => {
    const [x, y] = point(event);
    if (press && !press.moved) click(view, x, y, event);
    press = null;
    canvas.style.cursor = "grab";
  });
  canvas.addEventListener("pointercancel", () => (press = null));
  canvas.addEventListener("pointerleave", () => !press && view.setCursor(null));
}

/** The channel whose name, left of the traces, is under a point; null where none is. */
function nameAt(view, x, y) {
  const { frame, rows } = view;
  if (!frame || !rows?.length || x >= frame.left || y < frame.top || y > frame.bottom) return null;
  return rows.reduce((best, other) => (Math.abs(other.y - y) < Math.abs(best.y - y) ? other : best)).name;
}

function drag(view, press, x) {
  if (!press.moved && Math.abs(x - press.x) < DRAG) return;
  press.moved = true;
  const { frame, canvas } = view;
  if (press.measure) {
    const to = frame.start + (Math.max(frame.left, Math.min(frame.right, x)) - frame.left) / frame.pixelsPerSecond;
    const { second, row } = press.measure;
    view.measured = { from: second, to, y: row.y, range: rangeOf(view, row.channel, second, to) };
    view.surface.redraw();
    return;
  }
  canvas.style.cursor = "grabbing";
  view.cursor = null;
  view.goTo(press.start - (x - press.x) / frame.pixelsPerSecond);
}

function hover(view, x, y) {
  const over = view.marks.hit(x, y);
  view.canvas.style.cursor = over || nameAt(view, x, y) ? "pointer" : "grab";
  view.canvas.title = over ? String(over.annotation.text) : "";
  view.setCursor(over && y < view.frame.top ? null : view.at(x, y));
}

function click(view, x, y, event) {
  view.measured = null;
  const name = nameAt(view, x, y);
  if (name) view.dispatchEvent(new CustomEvent("channel", { detail: { name } }));
  const mark = view.marks.hit(x, y);
  if (mark) view.selectAnnotation(mark);
  else if (event.pointerType === "touch") view.setCursor(view.at(x, y));
  view.surface.redraw();
}

function onWheel(view, event) {
  if (!view.source.seconds) return;
  event.preventDefault();
  const unit = event.deltaMode === 1 ? 33 : event.deltaMode === 2 ? 300 : 1;
  const delta = (Math.abs(event.deltaX) > Math.abs(event.deltaY) ? event.deltaX : event.deltaY) * unit;
  if (event.ctrlKey || event.metaKey || event.shiftKey) {
    view.wheeled = (view.wheeled ?? 0) + delta;
    if (Math.abs(view.wheeled) < NOTCH / 2) return;
    view.zoomSensitivity(view.wheeled < 0 ? 1 : -1);
    view.wheeled = 0;
    return;
  }
  view.pan((delta / NOTCH) * (view.pageSeconds / 10));
}
