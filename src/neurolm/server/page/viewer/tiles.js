/**
 * Pages of traces, fetched ahead and kept: what is seen first, then neighbours in the direction of travel.
 *
 * Time is cut into tiles as long as the page; a tile is asked for with a little more than its length, so that the lines
 * of neighbours meet. Tiles unused for longest are dropped; requests for tiles that nobody wants any more are aborted.
 */

const AT_ONCE = 4;
const MOST_BYTES = 96 * 2 ** 20;
/** Milliseconds after which a tile that could not be had is asked for again. */
const RETRY = 3000;
/** Share of a tile that is asked for beyond its end, so that its last line reaches the next tile's first. */
const OVERLAP = 1 / 64;

export class Tiles {
  /**
   * @param {() => void} changed called when a tile has come or failed
   */
  constructor(changed) {
    this.changed = changed;
    this.kept = new Map(); // index → {page, bytes}, the longest unused first
    this.asked = new Map(); // index → AbortController
    this.failed = new Map(); // index → {message, at}
    this.generation = 0;
    this.retry = RETRY;
    this.bytes = 0;
  }

  /** Forgets all: another source, montage, filter, length of page or width. */
  reset({ source, seconds, columns, end }) {
    for (const controller of this.asked.values()) controller.abort();
    this.kept.clear();
    this.asked.clear();
    this.failed.clear();
    this.bytes = 0;
    this.generation += 1;
    Object.assign(this, { source, seconds, columns, end });
  }

  get count() {
    return Math.max(1, Math.ceil(this.end / this.seconds - 1e-9));
  }

  get(index) {
    const tile = this.kept.get(index);
    if (!tile) return null;
    this.kept.delete(index); // the last used goes last
    this.kept.set(index, tile);
    return tile.page;
  }

  /** Wants these tiles, in this order; what is asked for and not among them is aborted. */
  want(indices) {
    const wanted = indices.filter((index) => index >= 0 && index < this.count);
    for (const [index, controller] of this.asked) {
      if (!wanted.includes(index)) {
        controller.abort();
        this.asked.delete(index);
      }
    }
    this.wanted = wanted;
    this.next();
  }

  next() {
    for (const index of this.wanted ?? []) {
      if (this.asked.size >= AT_ONCE) return;
      if (this.kept.has(index) || this.asked.has(index)) continue;
      const failure = this.failed.get(index);
      if (failure && performance.now() - failure.at < this.retry) continue;
      this.ask(index);
    }
  }

  async ask(index) {
    const controller = new AbortController();
    const generation = this.generation;
    this.asked.set(index, controller);
    const start = index * this.seconds;
    const length = Math.min(this.seconds * (1 + OVERLAP), this.end - start);
    const columns = Math.max(1, Math.round((this.columns * length) / this.seconds));
    try {
      const page = await this.source.traces({ start, seconds: length, columns, signal: controller.signal });
      if (generation !== this.generation || controller.signal.aborted) return;
      this.keep(index, page);
      this.failed.delete(index);
    } catch (error) {
      if (generation !== this.generation || controller.signal.aborted || error?.name === "AbortError") return;
      this.failed.set(index, { message: String(error?.message ?? error), at: performance.now() });
      setTimeout(() => generation === this.generation && this.next(), this.retry + 50);
    } finally {
      if (this.asked.get(index) === controller) this.asked.delete(index);
    }
    this.changed();
    this.next();
  }

  keep(index, page) {
    const bytes = page.values.byteLength;
    this.kept.set(index, { page, bytes });
    this.bytes += bytes;
    for (const [oldest, tile] of this.kept) {
      if (this.bytes <= MOST_BYTES || this.kept.size <= 8) break;
      this.kept.delete(oldest);
      this.bytes -= tile.bytes;
    }
  }
}
