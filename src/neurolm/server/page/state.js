// What is remembered, and where: the token in this tab, tastes in this browser, the place in the address.

const TOKEN = "neurolm-token";
const TASTES = "neurolm-tastes";
const ANSWERS = "neurolm-answers";
const SENSITIVITIES = "neurolm-sensitivities";

function stored(area, key, otherwise) {
  try {
    return JSON.parse(area.getItem(key)) ?? otherwise;
  } catch {
    return otherwise; // storage that is off, or was written by something else
  }
}

function store(area, key, value) {
  try {
    area.setItem(key, JSON.stringify(value));
  } catch {
    // storage that is off or full: the page works, it only forgets
  }
}

/** The token; the address gives it once, after which it is no longer in the address. */
export function token() {
  return stored(sessionStorage, TOKEN, null);
}

export function setToken(value) {
  store(sessionStorage, TOKEN, value);
}

/** Takes the token out of the address, and keeps the rest of it. */
export function takeToken() {
  const words = new URLSearchParams(location.hash.slice(1));
  if (!words.has("token")) return;
  setToken(words.get("token"));
  words.delete("token");
  history.replaceState(null, "", words.size ? `#${words}` : location.pathname + location.search);
}

/** Where one is: the recording, and the second; without a second, what was understood of it. */
export function place() {
  const words = new URLSearchParams(location.hash.slice(1));
  const second = Number.parseFloat(words.get("t"));
  return { recording: words.get("r"), second: Number.isFinite(second) ? Math.max(0, second) : null };
}

export function addressOf(recording, second = null) {
  if (!recording) return location.pathname + location.search;
  const words = new URLSearchParams({ r: recording });
  if (second !== null) words.set("t", String(Math.round(second * 100) / 100));
  return `#${words}`;
}

/** Puts the place into the address; a step of its own can be gone back. */
export function setPlace(recording, second = null, { step = false } = {}) {
  const address = addressOf(recording, second);
  if (step) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}

/** Tastes: page length, filters, montages of one's own, light or dark. */
export function taste(key, otherwise = null) {
  return stored(localStorage, TASTES, {})[key] ?? otherwise;
}

export function setTaste(key, value) {
  store(localStorage, TASTES, { ...stored(localStorage, TASTES, {}), [key]: value });
}

/** The answers of a recording that this tab has seen; the service keeps them, so that a reload loses none. */
export function answersOf(recording) {
  return stored(sessionStorage, ANSWERS, {})[recording] ?? [];
}

export function setAnswersOf(recording, ids) {
  store(sessionStorage, ANSWERS, { ...stored(sessionStorage, ANSWERS, {}), [recording]: ids });
}

/** The sensitivity, µV/mm, that this tab has chosen for a recording; null where it has not. */
export function sensitivityOf(reading) {
  return stored(sessionStorage, SENSITIVITIES, {})[reading] ?? null;
}

export function setSensitivityOf(reading, value) {
  store(sessionStorage, SENSITIVITIES, { ...stored(sessionStorage, SENSITIVITIES, {}), [reading]: value });
}

/** Light or dark: as the system has it, until one chooses. */
export function applyTheme() {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light"; // so that the style has each set once
}

export function isDark() {
  const chosen = taste("theme");
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
