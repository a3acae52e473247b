/**
 * The answers of windows as they come in, and what of them a row of pixels shows.
 */

import { timeText } from "./scales.js";

/** Seconds between two windows from which on time is missing between them. */
const GAP = 0.01;
/** The conventional order of a hypnogram, top to bottom. */
const STAGES = ["wake", "rem", "n1", "n2", "n3", "n4"];
/** Bands of the stages: what is alike lies close, whatever the order of the options. */
const STAGE_BANDS = { wake: 4, rem: 1, n1: 5, n2: 0, n3: 3, n4: 7 };
const BACKGROUND = /^(background|normal|none|nothing|no\b|other)/i;

/** Which stage of sleep a label means: "NREM-2", "Stage 2", "N2", "S2", "2" → "n2"; null for none. */
export function stageOf(label) {
  const plain = label.toLowerCase().replace(/[^a-z0-9]/g, "");
  if (/^(w|wake|awake|wakefulness|stagew|sleepstagew)$/.test(plain)) return "wake";
  const deep = /^(?:sleep)?(?:stage)?(?:n|s|nrem|nonrem|nremstage|nonremstage)?(?:stage)?([1-4])$/.exec(plain);
  if (deep) return `n${deep[1]}`;
  return /^(?:sleep)?(?:stage)?(r|rem|remsleep)$/.test(plain) ? "rem" : null;
}

/** Answers to a question: its options as they are to be shown, and the windows that have come. */
export class Answers {
  constructor({ options, kind, seconds, length, name = "" }) {
    Object.assign(this, { options, kind, seconds, length, name });
    this.size = 0;
    this.room = 0;
    this.#grow(1024);
    const stages = options.map((label) => (kind === "sleep" ? stageOf(label) : null));
    const rank = (i) => (stages[i] === null ? STAGES.length + i : STAGES.indexOf(stages[i]));
    /** Options from top to bottom. */
    this.order = options.map((_, i) => i).sort((one, other) => rank(one) - rank(other));
    /** Place of every option in the palette --band-0 … --band-7. */
    this.bands = options.map((_, i) => STAGE_BANDS[stages[i]] ?? i);
    const background = options.findIndex((label) => BACKGROUND.test(label));
    this.background = kind === "events" ? Math.max(0, background) : -1;
    this.yes = Math.max(0, options.findIndex((label) => /^yes\b/i.test(label)));
    this.counts = new Uint32Array(options.length);
    this.undecided = this.unlike = 0;
  }

  #grow(room) {
    const keep = (Type, old, each) => {
      const grown = new Type(room * each);
      if (old) grown.set(old);
      return grown;
    };
    this.starts = keep(Float64Array, this.starts, 1);
    this.stops = keep(Float64Array, this.stops, 1);
    this.chances = keep(Float32Array, this.chances, this.options.length);
    this.best = keep(Uint8Array, this.best, 1);
    this.decided = keep(Uint8Array, this.decided, 1);
    this.strange = keep(Uint8Array, this.strange, 1);
    this.room = room;
  }

  /** Takes windows in the order of time. */
  add(windows) {
    for (const { start, stop, probabilities, decided = true, unlike = null } of windows) {
      if (this.size === this.room) this.#grow(2 * this.room);
      const i = this.size++;
      this.starts[i] = start;
      this.stops[i] = stop;
      this.chances.set(probabilities, i * this.options.length);
      this.best[i] = probabilities.indexOf(Math.max(...probabilities));
      this.decided[i] = decided ? 1 : 0;
      this.strange[i] = unlike ? 1 : 0;
      this.counts[this.best[i]] += 1;
      this.undecided += decided ? 0 : 1;
      this.unlike += unlike ? 1 : 0;
    }
  }

  window(i) {
    const count = this.options.length;
    return {
      start: this.starts[i],
      stop: this.stops[i],
      probabilities: Array.from(this.chances.subarray(i * count, (i + 1) * count)),
      decided: Boolean(this.decided[i]),
      unlike: Boolean(this.strange[i]),
    };
  }

  /** First window that stops after a second. */
  firstAfter(second) {
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.stops[middle] <= second) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Where a window's part of the time axis begins: half-way to the one before, where they overlap. */
  from(i) {
    if (!i || this.starts[i] > this.stops[i - 1] + GAP) return this.starts[i];
    return (this.starts[i] + this.stops[i] + this.starts[i - 1] + this.stops[i - 1]) / 4;
  }

  to(i) {
    return i + 1 < this.size && this.starts[i + 1] <= this.stops[i] + GAP ? this.from(i + 1) : this.stops[i];
  }

  /** The window to which a second belongs; null where there is none. */
  at(second) {
    for (let i = this.firstAfter(second); i < this.size && this.starts[i] <= second; i++) {
      if (second >= this.from(i) && second < this.to(i)) return i;
    }
    return null;
  }

  /** Windows of a span, those that share a pixel put together: means of chances, and the most frequent answer. */
  slices(start, stop, pixelsPerSecond) {
    const found = [];
    const count = this.options.length;
    for (let i = this.firstAfter(start); i < this.size && this.starts[i] < stop; i++) {
      const from = this.from(i);
      const to = this.to(i);
      if (to <= start || from >= stop) continue;
      const pixel = Math.floor((from - start) * pixelsPerSecond);
      let slice = found.at(-1);
      if (slice?.pixel !== pixel) {
        slice = {
          pixel, from, to, count: 0, undecided: 0, unlike: 0, joins: Boolean(slice) && from <= slice.to + GAP,
          chances: new Float32Array(count), most: new Float32Array(count), votes: new Uint16Array(count),
        };
        found.push(slice);
      }
      slice.to = to;
      slice.count += 1;
      slice.votes[this.best[i]] += 1;
      slice.undecided += 1 - this.decided[i];
      slice.unlike += this.strange[i];
      for (let k = 0; k < count; k++) {
        const chance = this.chances[i * count + k];
        slice.chances[k] += chance;
        if (chance > slice.most[k]) slice.most[k] = chance;
      }
    }
    for (const slice of found) finish(slice);
    return found;
  }

  /** A window in words. */
  text(i) {
    const { start, stop, probabilities, decided, unlike } = this.window(i);
    const best = this.best[i];
    const said = `${this.options[best]} ${Math.round(100 * probabilities[best])} %`;
    const doubt = [decided ? "" : "undecided", unlike ? "unlike the training" : ""].filter(Boolean).join(", ");
    return `${timeText(start)} – ${timeText(stop)}  ${said}${doubt ? `  (${doubt})` : ""}`;
  }
}

/** A share in words; what is there is never said to be none of it. */
export function percent(count, all) {
  const share = all ? (100 * count) / all : 0;
  return share > 0 && share < 1 ? "< 1 %" : `${Math.round(share)} %`;
}

function finish(slice) {
  for (let k = 0; k < slice.chances.length; k++) slice.chances[k] /= slice.count;
  slice.best = slice.votes.indexOf(Math.max(...slice.votes));
  slice.openShare = slice.undecided / slice.count;
  slice.strangeShare = slice.unlike / slice.count;
  slice.undecided = slice.openShare > 0.5;
  slice.unlike = slice.strangeShare > 0.5;
}
