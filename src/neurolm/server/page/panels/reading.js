// How a recording is to be read where it does not say so itself: a small form for each remedy that a problem names.

import { add, button, field, fill, h, select } from "../dom.js";
import { progress } from "./problem.js";

const UNITS = [
  ["", "as the file says"],
  ["auto", "find out by the amplitude"],
  ["V", "V"],
  ["mV", "mV"],
  ["uV", "µV"],
  ["nV", "nV"],
];
const UNKNOWN = [
  ["nearest", "take them for the electrode nearest to their position"],
  ["drop", "leave them out"],
  ["interpolate", "compute the electrodes from the others"],
  ["error", "refuse the recording"],
];
const FIELDS = {
  unit: { words: "Unit of the file’s numbers", choices: UNITS },
  mains: {
    words: "Mains, Hz",
    choices: [
      ["", "as found"],
      ["50", "50 Hz"],
      ["60", "60 Hz"],
    ],
    number: true,
  },
  rate: { words: "Samples per second", hint: "for tables and arrays that do not say it", number: true, type: "number" },
  unknown: { words: "Unknown and flat channels", choices: UNKNOWN },
  truncated: {
    words: "A file that ends early",
    choices: [
      ["refuse", "refuse it"],
      ["accept", "take what is there"],
    ],
  },
  channels: { words: "Electrodes to read", hint: "Fp1, Cz, or what the file’s names stand for: E36=C3, E70=O1" },
  cap: { words: "Cap", hint: "where contacts are only counted: biosemi64, GSN-HydroCel-128" },
  stream: { words: "Stream or variable", hint: "of a file that holds several: its name or number" },
};

// how a message of the library spells a setting: truncated='accept', rate=250, channels=; or a flag, as a command does
const KEYS = Object.keys(FIELDS).join("|");
const VALUE = String.raw`('[^']*'|"[^"]*"|\d[\d.]*|\{[^}]*\}|\[[^\]]*\])`;
const WORD = String.raw`(auto|V|mV|uV|nV|drop|nearest|interpolate|error|accept|refuse|\d[\d.]*)\b`;
const SPELT = new RegExp(String.raw`\b(${KEYS})=${VALUE}?|--(${KEYS})\b(?: ${WORD})?(?: \(of neurolm prepare\))?`, "g");

/** The settings that a message names as remedies. */
export function settingsIn(text) {
  return [...new Set([...text.matchAll(SPELT)].map(([, one, , other]) => one ?? other))];
}

/** A message with the words that this page has for the settings. */
export function inWords(text) {
  return text.replace(SPELT, (all, one, quoted, other, plain) => {
    const { words, choices } = FIELDS[one ?? other];
    const value = (quoted ?? plain ?? "").replace(/^(['"])(.*)\1$/, "$2");
    const choice = choices?.find(([key]) => key === value)?.[1] ?? value;
    return `“${words}${choice ? `: ${choice}` : ""}”`;
  });
}

/** A form for some of the settings (null: for all); `apply(form, body)` is told what was chosen. */
export function readingForm(found, keys, apply) {
  const reading = found.reading ?? {};
  const controls = {};
  const fields = (keys ?? Object.keys(FIELDS)).map((key) => {
    const { words, hint, choices, type } = FIELDS[key];
    const value = asText(reading[key]);
    controls[key] = choices
      ? select(choices, value, () => {})
      : h("input", {
          type: type ?? "text",
          value,
          min: type && 1,
          step: type && "any",
          autocomplete: "off",
          spellcheck: "false",
        });
    return field(words, controls[key], { hint });
  });
  const state = h("div", {});
  const submit = button("Apply", () => {}, { kind: "small primary" });
  submit.type = "submit";
  const form = h(
    "form",
    {
      class: "reading",
      onsubmit: (event) => {
        event.preventDefault();
        const body = {};
        for (const [key, control] of Object.entries(controls))
          body[key] = FIELDS[key].number ? asNumber(control.value) : asValue(key, control.value);
        apply(form, body);
      },
    },
    fields,
    h("div", { class: "row" }, submit),
    state,
  );
  form.wait = () => {
    submit.disabled = true;
    fill(state, progress("Reading it like that"));
  };
  form.refuse = (box) => {
    submit.disabled = false;
    fill(state, box);
  };
  add(form);
  return form;
}

function asText(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value === "object")
    return Object.entries(value)
      .map(([key, one]) => `${key}=${one}`)
      .join(", ");
  return String(value);
}

function asNumber(text) {
  return text.trim() === "" ? null : Number(text);
}

function asValue(key, text) {
  const words = text.trim();
  if (words === "") return null;
  if (key !== "channels") return words;
  const parts = words
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
  if (!parts.every((part) => part.includes("="))) return parts;
  return Object.fromEntries(parts.map((part) => part.split("=", 2).map((one) => one.trim())));
}
