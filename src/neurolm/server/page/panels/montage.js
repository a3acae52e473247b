// A montage of one's own: traces as differences of electrodes, kept in this browser.

import { button, dialog, field, fill, h, name, pictureButton, printable } from "../dom.js";
import { setTaste, taste } from "../state.js";
import { problem } from "./problem.js";

/** Where a browser keeps montages: [{name, channels}], channels as "Fp1-F7,F7-T3". */
export const OWN = "montages";

/** Lets one write a montage; `done(name)` is told which was made, or null where one was deleted. */
export function montageDialog(facts, done) {
  const known = facts.channels.map((channel) => channel.electrode ?? channel.name);
  const title = h("input", { type: "text", required: true, maxlength: 40, autocomplete: "off" });
  const text = h("textarea", {
    rows: 5,
    required: true,
    spellcheck: "false",
    placeholder: "Fp1-F7, F7-T3, T3-T5, T5-O1",
  });
  const state = h("div", {});
  const pick = (words) =>
    h(
      "select",
      { "aria-label": words },
      known.map((one) => h("option", { value: one }, printable(one))),
    );
  const [plus, minus] = [pick("Electrode"), pick("minus electrode")];
  minus.selectedIndex = Math.min(1, known.length - 1);
  const append = button(
    "Add",
    () => {
      text.value = [text.value.trim().replace(/,$/, ""), `${plus.value}-${minus.value}`].filter(Boolean).join(", ");
    },
    { kind: "small" },
  );
  const list = h("ul", { class: "plain" });
  const kept = () =>
    fill(
      list,
      taste(OWN, []).map((montage) =>
        h(
          "li",
          { class: "row spread" },
          h("span", {}, name(montage.name), h("span", { class: "hint" }, ` ${montage.channels.replaceAll(",", ", ")}`)),
          pictureButton(`Delete ${printable(montage.name)}`, "trash", () => {
            setTaste(
              OWN,
              taste(OWN, []).filter((one) => one.name !== montage.name),
            );
            kept();
            done(null);
          }),
        ),
      ),
    );
  const form = h(
    "form",
    {
      class: "stack",
      onsubmit: (event) => {
        event.preventDefault();
        const wrong = check(text.value, known);
        if (wrong) {
          fill(state, problem({ message: wrong }));
          return;
        }
        const montage = { name: title.value.trim(), channels: parts(text.value).join(",") };
        setTaste(OWN, [...taste(OWN, []).filter((one) => one.name !== montage.name), montage]);
        box.close();
        done(montage.name);
      },
    },
    field("Name", title),
    field("Traces, from top to bottom", text, {
      hint: "Each an electrode, or one minus another: Fp1-F7. Commas between them.",
    }),
    h("div", { class: "row pair" }, plus, h("span", {}, "minus"), minus, append),
    state,
    h("div", { class: "row end" }, h("button", { type: "submit", class: "button primary" }, "Keep and show")),
  );
  const box = dialog("A montage of your own", [form, list]);
  kept();
  title.focus();
  return box;
}

function parts(text) {
  return text
    .split(/[,\n]/)
    .map((one) => one.trim().replace(/\s*[-−–]\s*/, "-"))
    .filter(Boolean);
}

function check(text, known) {
  const found = parts(text);
  if (!found.length) return "No trace is named: write at least one, as Fp1-F7";
  const names = new Set(known.map((one) => one.toLowerCase()));
  const whole = (one) => names.has(one.toLowerCase());
  const lost = found.filter((one) => !whole(one)).flatMap((one) => one.split("-").filter((part) => !whole(part)));
  return lost.length ? `The recording has no ${[...new Set(lost)].join(", ")}: it has ${known.join(", ")}` : null;
}
