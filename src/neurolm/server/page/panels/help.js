// The keys, and how to read what the page shows.

import { dialog, h } from "../dom.js";
import { KEYS } from "../viewer/gestures.js";

const MORE = [
  ["Tab", "to the next control; traces, overview and bands are among them"],
  ["← / →, Enter", "in the bands: from window to window, and choose one; in the overview: from page to page"],
  ["?", "this help"],
];

const READING = [
  [
    "A band under the traces",
    "is an answer along the recording: for sleep stages a hypnogram with the probability of every stage below it, " +
      "for yes and no the probability, for events a mark at each.",
  ],
  ["Hatched", "is undecided: no option is likely enough for the share of wrong answers that you accept."],
  ["Cross-hatched", "is unlike the training: the model has seen no such EEG, so that its probability may be far off."],
  ["Grey, broken up", "is a gap: nothing was recorded there."],
];

/** Shows the help. */
export function help() {
  return dialog("Keys and marks", [
    h(
      "table",
      { class: "keys" },
      h("caption", { class: "unseen" }, "Keys"),
      h(
        "tbody",
        {},
        [...KEYS, ...MORE].map(([keys, words]) =>
          h(
            "tr",
            {},
            h(
              "th",
              { scope: "row" },
              keys.split(/( \/ |, )/).map((part) => (/^( \/ |, )$/.test(part) ? part : h("kbd", {}, part))),
            ),
            h("td", {}, words),
          ),
        ),
      ),
    ),
    h(
      "dl",
      { class: "marks" },
      READING.map(([mark, words]) => [h("dt", {}, mark), h("dd", {}, words)]),
    ),
    h(
      "p",
      { class: "hint" },
      "Traces are drawn as in clinical EEG: left before right, negative up, µV a millimetre on this screen as its " +
        "maker says how large it is. Click a channel’s name to mark it as bad; a click on the overview or on a " +
        "band goes there.",
    ),
  ]);
}
