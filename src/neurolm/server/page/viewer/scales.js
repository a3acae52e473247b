/**
 * What clinical EEG is drawn to: millimetres, the steps of sensitivity, ticks of time, and times in words.
 */

/** CSS pixels in a millimetre: an inch has 96 of them by definition. */
export const MM = 96 / 25.4;
/** µV/mm, in the steps of clinical recorders. */
export const SENSITIVITIES = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000];
export const SENSITIVITY = 7;
/** Typical amplitude of EEG in µV goes up to this; of more, traces at the usual sensitivity may be one dark block. */
const USUAL = 30;
/** Space at the left for names of channels, the same for all views so that their time axes align; CSS pixels. */
export const GUTTER = 76;
/** Space at the right, half a time that stands under the last line. */
export const RIGHT = 28;

/** The next step of sensitivity: +1 draws larger (fewer µV/mm), -1 smaller. */
export function nextSensitivity(value, direction) {
  if (direction > 0) return SENSITIVITIES.findLast((step) => step < value * 0.999) ?? SENSITIVITIES[0];
  return SENSITIVITIES.find((step) => step > value * 1.001) ?? SENSITIVITIES.at(-1);
}

/**
 * The step at which a recording is opened, of its typical amplitude (µV; null: not known) and the height of its rows
 * (CSS pixels): the usual one, or where the amplitude is no EEG's one at which it fills half a row, so that traces keep
 * apart.
 */
export function firstSensitivity(amplitude, row) {
  if (amplitude === null || amplitude <= USUAL) return SENSITIVITY;
  const wanted = (2 * amplitude * MM) / Math.max(1, row);
  return SENSITIVITIES.find((step) => step >= Math.max(SENSITIVITY, wanted)) ?? SENSITIVITIES.at(-1);
}

// longest page in seconds, thin lines, bold lines; the first that fits is taken
const GRIDS = [
  [2, 0.1, 0.5], [5, 0.2, 1], [60, 1, 5], [120, 5, 30], [300, 10, 60], [900, 30, 300], [1800, 60, 600],
  [7200, 300, 1800], [21600, 600, 3600], [43200, 1800, 7200], [90000, 3600, 14400], [Infinity, 7200, 43200],
];
const LABELS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 43200, 86400];

/** Seconds between thin lines and between bold ones on a page of so many seconds. */
export function gridSteps(pageSeconds) {
  const [, thin, bold] = GRIDS.find(([longest]) => pageSeconds <= longest);
  return { thin, bold };
}

/** Seconds between labels that are to be `apart` CSS pixels from each other at least. */
export function labelStep(pixelsPerSecond, apart) {
  return LABELS.find((step) => step * pixelsPerSecond >= apart) ?? LABELS.at(-1);
}

/** Multiples of a step within a span; counted in whole numbers, so that no rounding adds up. */
export function ticks(start, stop, step) {
  const found = [];
  for (let i = Math.ceil(start / step - 1e-6); i * step <= stop + step * 1e-6; i++) found.push(i * step);
  return found;
}

const two = (value) => String(value).padStart(2, "0");

/** Seconds as h:mm:ss, with so many decimals. */
export function timeText(seconds, decimals = 0) {
  const unit = 10 ** decimals;
  const all = Math.round(Math.max(0, seconds) * unit);
  const whole = Math.floor(all / unit);
  const rest = decimals ? `.${String(all % unit).padStart(decimals, "0")}` : "";
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}${rest}`;
}

/**
 * Second of the day at which a recording began, of "2024-03-01T22:13:05"; null where it is not known. Midnight sharp is
 * what files say whose time was taken away, and by it the clock would say what the time since the start says already.
 */
export function secondOfDay(startTime) {
  const found = /(?:T| |^)(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?/.exec(startTime ?? "");
  return found ? Number(found[1]) * 3600 + Number(found[2]) * 60 + Number(found[3] ?? 0) || null : null;
}

/** The clock's hh:mm:ss so many seconds after the start. */
export function clockText(startOfDay, seconds) {
  const all = Math.floor((startOfDay + seconds + 1e-6) % 86400);
  return `${two(Math.floor(all / 3600))}:${two(Math.floor(all / 60) % 60)}:${two(all % 60)}`;
}

/** A number with a sign that is a minus, not a hyphen. */
export function signed(value, decimals) {
  const text = Math.abs(value).toFixed(decimals);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : "+") + text;
}

/** µV in words: whole above 10, with a decimal below. */
export function microvolts([lowest, highest]) {
  const decimals = Math.max(Math.abs(lowest), Math.abs(highest)) < 10 ? 1 : 0;
  const low = lowest.toFixed(decimals).replace("-", "−");
  const high = highest.toFixed(decimals).replace("-", "−");
  return low === high ? `${low} µV` : `${low} … ${high} µV`;
}

export const clamp = (value, lowest, highest) => Math.max(lowest, Math.min(highest, value));
