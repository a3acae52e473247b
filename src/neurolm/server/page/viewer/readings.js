/**
 * What the traces say at a place, between two moments, and altogether: in words and µV.
 */

import { valueAt } from "./decode.js";
import { number } from "./frame.js";
import { shown } from "./marks.js";
import { microvolts, timeText } from "./scales.js";

/** Names of bad channels, and of annotations, that the text has at most. */
const [MOST_BAD, MOST_MARKS] = [8, 5];

/** Channel and second under a point of a view's canvas, and the value in µV if it is known; null outside the plot. */
export function readingAt(view, x, y) {
  const { frame, rows } = view;
  if (!frame || x < frame.left || x > frame.right || y < 0 || y > frame.bottom || !rows.length) return null;
  const second = frame.start + (x - frame.left) / frame.pixelsPerSecond;
  const row = rows.reduce((best, other) => (Math.abs(other.y - y) < Math.abs(best.y - y) ? other : best));
  const value = valueOf(view, row.channel, second);
  const parts = [timeText(second, 2), shown(row.name), value ? microvolts(value) : "no data"];
  if (row.bad) parts.push(typeof row.bad === "string" ? `(bad: ${shown(row.bad)})` : "(bad)");
  return { x, y, second, row, value, text: parts.join("  ") };
}

function valueOf(view, channel, second) {
  const page = view.pageAt(second);
  return page && channel < page.channels.length ? valueAt(page, channel, second) : null;
}

/** µV from the lowest to the highest of a channel between two seconds; null where that is not known. */
export function rangeOf(view, channel, one, other) {
  let [lowest, highest] = [Infinity, -Infinity];
  const [from, to] = one < other ? [one, other] : [other, one];
  const step = Math.max((to - from) / 2000, 1e-3);
  for (let second = from; second <= to; second += step) {
    const value = valueOf(view, channel, second);
    if (value) [lowest, highest] = [Math.min(lowest, value[0]), Math.max(highest, value[1])];
  }
  return highest >= lowest ? highest - lowest : null;
}

/** What a view shows, for people who do not see it. */
export function textOf(view) {
  const { rows = [], source, start } = view;
  if (!source.seconds) return "EEG traces: nothing loaded";
  const stop = Math.min(source.seconds, start + view.pageSeconds);
  const bad = rows.filter((row) => row.bad).map((row) => shown(row.name));
  const seen = view.marks.within(start, stop).map(({ annotation }) => shown(annotation.text));
  const selected = view.selected === null ? null : source.annotations[view.selected];
  const polarity = view.negativeUp ? "negative" : "positive";
  return [
    `EEG traces ${timeText(start)} to ${timeText(stop)} of ${timeText(source.seconds)}`,
    `${rows.length} channels, ${number(view.sensitivity)} µV/mm, ${polarity} up`,
    bad.length ? `bad: ${some(bad, MOST_BAD)}` : "",
    seen.length ? `annotations: ${some(seen, MOST_MARKS)}` : "",
    selected ? `selected: ${shown(selected.text)} at ${timeText(selected.start)}` : "",
  ].filter(Boolean).join("; ");
}

const some = (names, most) =>
  names.slice(0, most).join(", ") + (names.length > most ? ` and ${names.length - most} more` : "");
