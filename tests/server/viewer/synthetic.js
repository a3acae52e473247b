/**
 * Made-up EEG that is a function of time, so that every page of it can be computed by itself and checked.
 */

import { MISSING } from "/viewer/decode.js";

export const NAMES = [
  "Fp1", "F7", "T3", "T5", "O1", "F3", "C3", "P3", "Fp2", "F8", "T4", "T6", "O2", "F4", "C4", "P4", "Fz", "Cz", "Pz",
];
const MORE = ["AF3", "FC5", "FC1", "CP5", "CP1", "PO3", "AF4", "FC6", "FC2", "CP6", "CP2", "PO4", "Oz"];

/** A number between −1 and 1 that depends on whole numbers alone. */
function noise(i, seed) {
  let x = (i * 374761393 + seed * 668265263) | 0;
  x = Math.imul(x ^ (x >>> 13), 1274126177);
  return ((x ^ (x >>> 16)) >>> 0) / 2147483648 - 1;
}

/** µV of a channel at a sample. */
export function microvoltsAt(channel, sample, rate) {
  const t = sample / rate;
  const back = channel % 8 > 2 ? 1 : 0.4;
  const waxing = 0.6 + 0.4 * Math.sin(t * 0.9 + channel * 0.3);
  const alpha = 22 * back * waxing * Math.sin(2 * Math.PI * (9.6 + 0.05 * channel) * t + channel);
  const slow = 14 * Math.sin(2 * Math.PI * 1.7 * t + channel * 0.7) + 9 * Math.sin(2 * Math.PI * 0.45 * t + channel);
  const blink = channel % 8 === 0 && t % 4.3 < 0.35 ? 90 * Math.sin((Math.PI * (t % 4.3)) / 0.35) : 0;
  return alpha + slow + blink + 6 * noise(sample, channel) + 4 * noise(sample >> 2, channel + 50);
}

/** A source of traces. `slow`: milliseconds that every answer takes. */
export function makeSource({ ecg = null, count, seconds, rate = 200, gaps = [[95, 103]], slow = 5, square = false }) {
  const names = [...NAMES, ...MORE].slice(0, count);
  const asked = [];
  const value = square ? (channel, sample) => ((sample / rate) % 2 < 1 ? 50 : -50) : microvoltsAt;
  const traces = ({ start, seconds: length, columns, signal }) =>
    new Promise((resolve, reject) => {
      asked.push({ start, length, columns });
      signal?.addEventListener("abort", () => {
        source.aborted += 1;
        reject(new DOMException("no longer wanted", "AbortError"));
      });
      setTimeout(() => resolve(page(names, value, { start, length, columns, rate, gaps, seconds })), slow);
    });
  const source = {
    aborted: 0, seconds, gaps, traces, asked, startTime: "2024-03-01T22:13:05",
    channels: names.map((name, i) => {
      return { name, bad: i === 6 ? "flat for 80 % of the time" : null, kind: name === ecg ? "ecg" : "eeg" };
    }),
    annotations: annotations(seconds),
  };
  return source;
}

function annotations(seconds) {
  const made = [
    { start: 1.2, duration: 0, text: "eyes closed", bad: false },
    { start: 3.1, duration: 2.4, text: "BAD movement", bad: true },
    { start: 3.4, duration: 0, text: "photic stimulation 12 Hz", bad: false },
    { start: 3.6, duration: 0, text: "<b>not bold</b>\u202e", bad: false },
    { start: 8.0, duration: 0, text: "eyes open", bad: false },
  ];
  for (let start = 60; start < seconds; start += 47) {
    const long = start % 3 === 0;
    made.push({ start, duration: long ? 12 : 0, text: long ? "seizure?" : "spike", bad: false });
  }
  return made;
}

function page(names, value, { start, length, columns, rate, gaps, seconds }) {
  const first = Math.round(start * rate);
  const samples = Math.round(length * rate);
  const kind = samples > 2 * columns ? "minmax" : "samples";
  const width = kind === "minmax" ? columns : samples;
  const values = new Int16Array(names.length * width * (kind === "minmax" ? 2 : 1));
  const missing = (t) => t >= seconds || gaps.some(([from, to]) => t >= from && t < to);
  let at = 0;
  for (let channel = 0; channel < names.length; channel++) {
    for (let i = 0; i < width; i++) {
      if (kind === "samples") {
        values[at++] = missing((first + i) / rate) ? MISSING : Math.round(value(channel, first + i, rate) * 10);
        continue;
      }
      let [low, high] = [Infinity, -Infinity];
      const stop = Math.round(((i + 1) * samples) / width);
      for (let j = Math.round((i * samples) / width); j < stop; j += Math.max(1, Math.floor((stop - j) / 12))) {
        const now = value(channel, first + j, rate);
        [low, high] = [Math.min(low, now), Math.max(high, now)];
      }
      const gone = missing(start + ((i + 0.5) * length) / width);
      values[at++] = gone ? MISSING : Math.round(low * 10);
      values[at++] = gone ? MISSING : Math.round(high * 10);
    }
  }
  return { start, seconds: length, columns: width, kind, channels: names, scale: names.map(() => 0.1), values };
}

/** An envelope of the whole recording. */
export function envelope(seconds, columns = 1200) {
  const values = new Int16Array(2 * columns);
  for (let i = 0; i < columns; i++) {
    const size = 200 + 120 * Math.sin(i / 40) + 90 * noise(i, 3) + (noise(i, 9) > 0.97 ? 700 : 0);
    values[2 * i] = -size - 40 * noise(i, 5);
    values[2 * i + 1] = size;
  }
  return { start: 0, seconds, columns, kind: "minmax", channels: ["overview"], scale: [0.1], values };
}

const NIGHT = [0, 0, 1, 2, 3, 3, 2, 4, 2, 3, 3, 2, 1, 4, 4, 2, 3, 2, 4, 2, 1, 0, 2, 4, 4, 1, 0];

/** Windows of an answer of a kind, with plausible probabilities. */
export function makeWindows(kind, { seconds, length, stride, count }) {
  const windows = [];
  for (let i = 0, start = 0; start + length <= seconds + 1e-9; i++, start = i * stride) {
    const chances = new Array(count).fill(0).map((_, k) => 0.15 + 0.12 * noise(i, k + 20));
    let winner = 0;
    if (kind === "sleep") winner = NIGHT[Math.floor((start / seconds) * NIGHT.length + 0.25 * noise(i, 7))] ?? 0;
    else if (kind === "yes_no") winner = Math.sin(start / (seconds / 19)) + 0.25 * noise(i, 4) > 0 ? 0 : 1;
    else if (kind === "events") winner = noise(i, 31) > 0.9 ? 1 + (i % (count - 1)) : 0;
    chances[winner] += 0.5 + 0.5 * noise(i >> 2, 2) + (kind === "events" ? 0.5 : 0.3);
    const sum = chances.reduce((one, other) => one + other, 0);
    const probabilities = chances.map((chance) => chance / sum);
    const decided = Math.max(...probabilities) > 0.42;
    windows.push({ start, stop: start + length, probabilities, decided, unlike: noise(i >> 4, 77) > 0.86 });
  }
  return windows;
}

export const PLACES = {
  Fp1: [-0.29, 0.9], Fp2: [0.29, 0.9], F7: [-0.76, 0.55], F8: [0.76, 0.55], F3: [-0.4, 0.5], F4: [0.4, 0.5],
  T3: [-0.94, 0], T4: [0.94, 0], C3: [-0.47, 0], C4: [0.47, 0], T5: [-0.76, -0.55], T6: [0.76, -0.55],
  P3: [-0.4, -0.5], P4: [0.4, -0.5], O1: [-0.29, -0.9], O2: [0.29, -0.9], Fz: [0, 0.46], Cz: [0, 0], Pz: [0, -0.46],
};
