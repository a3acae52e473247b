// Numbers and times as people read them.

/** Seconds as 1:02:03 or 2:03, with tenths where wished. */
export function clock(seconds, tenths = false) {
  const sign = seconds < 0 ? "-" : "";
  let rest = Math.abs(tenths ? Math.round(seconds * 10) / 10 : Math.round(seconds));
  const hours = Math.floor(rest / 3600);
  const minutes = Math.floor((rest - hours * 3600) / 60);
  rest -= hours * 3600 + minutes * 60;
  const last = tenths && rest % 1 > 0.01 ? rest.toFixed(1).padStart(4, "0") : String(Math.floor(rest)).padStart(2, "0");
  return hours ? `${sign}${hours}:${String(minutes).padStart(2, "0")}:${last}` : `${sign}${minutes}:${last}`;
}

/** Where a page lies in a recording; of one shorter than a second in seconds, of which the clock would show none. */
export function spanOf(start, stop, total) {
  if (total < 1) return `${number(start)} – ${number(stop)} s of ${number(total)} s`;
  return `${clock(start, true)} – ${clock(stop, true)} of ${clock(total)}`;
}

/** What somebody typed as a time: seconds, m:ss or h:mm:ss; null if it is none. */
export function parseClock(text) {
  const parts = text.trim().split(":");
  if (!parts.length || parts.length > 3 || !parts.every((part) => /^\d+(\.\d+)?$/.test(part))) return null;
  return parts.reduce((sum, part) => sum * 60 + Number(part), 0);
}

/** A duration in words: 3 min 2 s. */
export function duration(seconds) {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min${rest ? ` ${rest} s` : ""}` : `${number(seconds)} s`;
}

/** A size in words. */
export function bytes(count) {
  for (const [unit, size] of [
    ["GB", 1e9],
    ["MB", 1e6],
    ["kB", 1e3],
  ]) {
    if (count >= size) return `${(count / size).toFixed(count < 10 * size ? 1 : 0)} ${unit}`;
  }
  return `${count} bytes`;
}

/** A number with three digits that count, without exponents or trailing zeros. */
export function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return String(Number(value.toPrecision(3)));
}

/** A probability as one reads it: two decimals, but never 1.00 or 0.00 for what is not certain. */
export function probability(value) {
  if (value > 0.99 && value < 1) return "more than 0.99";
  if (value < 0.01 && value > 0) return "less than 0.01";
  return value.toFixed(2);
}

/** A signed number, with a true minus. */
export function signed(value, decimals = 2) {
  const text = Math.abs(value).toFixed(decimals);
  return Number(text) === 0 ? text : `${value < 0 ? "−" : "+"}${text}`;
}

/** So many of a thing: 1 window, 2 windows. */
export function many(count, thing) {
  return `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;
}

/** A moment that lies ahead: in 23 h. */
export function until(when) {
  const then = typeof when === "number" ? when * 1000 : Date.parse(when);
  const seconds = (then - Date.now()) / 1000;
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 90) return "in a minute";
  return seconds < 5400 ? `in ${Math.round(seconds / 60)} min` : `in ${Math.round(seconds / 3600)} h`;
}
