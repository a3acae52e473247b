/**
 * Traces as pictures: every tile is drawn once, in a thread of its own, and panning only moves these pictures. So 32
 * channels pan as lightly as one, and a tile that is not ready holds nothing up; what was drawn before stays so long.
 */

import { paint } from "./paint.js";

const MOST = 8;
/** Tiles that are drawn at a time: one, and one that waits, so that what is wanted by then goes first. */
const AT_ONCE = 2;

export class Waves {
  /** @param {() => void} changed called when a picture is ready */
  constructor(changed) {
    this.changed = changed;
    this.pictures = new Map(); // index → {picture, page, version}, the longest unused first
    this.jobs = new Map(); // number → {index, page, version, job}
    this.version = 0;
    this.numbers = 0;
    this.thread = this.#start();
  }

  #start() {
    try {
      const thread = new Worker(new URL("./painter.js", import.meta.url), { type: "module" });
      thread.addEventListener("message", ({ data }) => this.#done(data.number, data.picture));
      thread.addEventListener("error", () => this.#alone());
      return thread;
    } catch {
      return null;
    }
  }

  /** Where no thread can be had, everything is drawn in this one. */
  #alone() {
    this.thread = null;
    for (const [number, { job }] of [...this.jobs]) this.#paintHere(number, job);
  }

  #paintHere(number, job) {
    const canvas = new OffscreenCanvas(1, 1);
    paint(canvas, job);
    queueMicrotask(() => this.#done(number, canvas));
  }

  /** All pictures are to be drawn again: sensitivity, sizes, colours or channels have changed. */
  invalidate() {
    this.version += 1;
  }

  /** Forgets all pictures, since they show something else. */
  clear() {
    this.version += 1;
    for (const { picture } of this.pictures.values()) picture.close?.();
    this.pictures.clear();
    this.jobs.clear();
  }

  /**
   * Has drawn what is missing of these tiles.
   *
   * @param {{index: number, page: object}[]} tiles in the order of their worth
   * @param {object} look {width, height, ratio, pixelsPerSecond, tileSeconds, rows, sensitivity, negativeUp}
   * @returns {boolean} whether something is left to be drawn
   */
  work(tiles, look) {
    let left = false;
    for (const { index, page } of tiles) {
      const known = this.pictures.get(index);
      if (known) {
        this.pictures.delete(index); // the last used goes last
        this.pictures.set(index, known);
      }
      if (known?.page === page && known.version === this.version) continue;
      left = true;
      const same = (job) => job.index === index && job.page === page && job.version === this.version;
      if ([...this.jobs.values()].some(same) || this.jobs.size >= AT_ONCE) continue;
      this.#ask(index, page, { ...look, page, tileStart: index * look.tileSeconds, number: ++this.numbers });
    }
    return left;
  }

  #ask(index, page, job) {
    this.jobs.set(job.number, { index, page, version: this.version, job });
    if (this.thread) this.thread.postMessage(job);
    else this.#paintHere(job.number, job);
  }

  #done(number, picture) {
    const asked = this.jobs.get(number);
    this.jobs.delete(number);
    if (asked) {
      const { index, page, version, job } = asked;
      this.pictures.get(index)?.picture.close?.();
      this.pictures.delete(index);
      this.pictures.set(index, { picture, page, version, width: job.width, height: job.height, ratio: job.ratio });
      if (this.pictures.size > MOST) this.#drop(this.pictures.keys().next().value);
    } else {
      picture.close?.();
    }
    this.changed();
  }

  #drop(index) {
    this.pictures.get(index).picture.close?.();
    this.pictures.delete(index);
  }

  /** The picture of a tile, also one drawn before something changed; `current` says whether it is as it should be. */
  get(index, look) {
    const known = this.pictures.get(index);
    if (!known || known.width !== look.width || known.height !== look.height || known.ratio !== look.ratio) return null;
    return { picture: known.picture, current: known.version === this.version };
  }

  destroy() {
    this.clear();
    this.thread?.terminate();
  }
}
