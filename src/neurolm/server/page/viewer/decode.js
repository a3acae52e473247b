/**
 * A page of traces as it travels: a few bytes that say what follows, a JSON head, then int16.
 *
 * Little endian. Bytes 0–3 `NLT1`; uint32, the length of the JSON; the JSON (UTF-8, padded with spaces so that the
 * samples begin at a multiple of 4): {start, seconds, columns, kind: "samples" | "minmax", channels: [name…],
 * scale: [µV per unit…]}; then int16, `samples`: (channels, columns), `minmax`: (channels, columns, 2), lowest before
 * highest. MISSING: nothing there.
 */

export const MISSING = -32768;
const MAGIC = "NLT1";

/**
 * @param {ArrayBuffer} buffer
 * @returns {{start: number, seconds: number, columns: number, kind: "samples"|"minmax", channels: string[],
 *   scale: number[], values: Int16Array}} `values` looks into `buffer`, nothing is copied
 * @throws {Error} if the bytes are no such page, or their number is not what the head promises
 */
export function decodePage(buffer) {
  const bytes = new Uint8Array(buffer);
  if (bytes.length < 8 || String.fromCharCode(...bytes.subarray(0, 4)) !== MAGIC) {
    throw new Error(`these ${bytes.length} bytes are no page of traces: they do not begin with ${MAGIC}`);
  }
  const length = new DataView(buffer).getUint32(4, true);
  const from = 8 + length;
  if (from > bytes.length) {
    throw new Error(`a page of traces breaks off in its head: ${bytes.length} bytes came of ${from}`);
  }
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(8, from)));
  const count = head.channels.length * head.columns * (head.kind === "minmax" ? 2 : 1);
  if (bytes.length - from !== 2 * count || head.scale.length !== head.channels.length) {
    throw new Error(`a page of traces has ${bytes.length - from} bytes of samples; its head promises ${2 * count}`);
  }
  return { ...head, values: samples(buffer, from, count) };
}

const BIG_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 0;

function samples(buffer, from, count) {
  if (!BIG_ENDIAN && from % 2 === 0) return new Int16Array(buffer, from, count);
  const view = new DataView(buffer, from);
  return Int16Array.from({ length: count }, (_, i) => view.getInt16(2 * i, true));
}

/** Lowest and highest µV of a channel of a page at a second; null where nothing is there. */
export function valueAt(page, channel, second) {
  const column = Math.floor(((second - page.start) / page.seconds) * page.columns + (page.kind === "minmax" ? 0 : 0.5));
  if (column < 0 || column >= page.columns) return null;
  const scale = page.scale[channel];
  if (page.kind === "minmax") {
    const at = 2 * (channel * page.columns + column);
    if (page.values[at] === MISSING) return null;
    return [page.values[at] * scale, page.values[at + 1] * scale];
  }
  const value = page.values[channel * page.columns + column];
  return value === MISSING ? null : [value * scale, value * scale];
}
