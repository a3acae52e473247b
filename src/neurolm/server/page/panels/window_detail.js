// One window of an answer: its probabilities, and what carried it, as a scalp map, as bars by second, and as tables.

import * as api from "../api.js";
import { announce, button, fill, h, name, pictureButton, printable } from "../dom.js";
import { clock, signed } from "../format.js";
import { scalpMap } from "../viewer/scalp.js";
import { optionTable } from "./answer_card.js";
import { notice, problem, progress } from "./problem.js";

/** The window that was chosen of an answer. */
export function windowDetail(workspace, one, { select }) {
  const index = one.selected;
  const window = one.windows[index];
  const options = one.options;
  const top = window.probabilities.indexOf(Math.max(...window.probabilities));
  const place = h("div", { class: "explanation" });
  one.explained ??= new Map();
  const ask = () => explain(workspace, one, index, place);
  const step = (by, words, picture) =>
    pictureButton(words, picture, () => select(index + by), { disabled: !one.windows[index + by] });
  const detail = h(
    "article",
    { class: "card window", "data-testid": "window-detail", "aria-label": "Window" },
    h(
      "div",
      { class: "row spread top" },
      h("h3", {}, `Window ${clock(window.start, true)}–${clock(window.stop, true)}`),
      h(
        "span",
        { class: "steps" },
        step(-1, "The window before", "back"),
        step(1, "The next window", "forward"),
        pictureButton("Close the window", "close", () => select(null)),
      ),
    ),
    h(
      "p",
      {},
      h("strong", {}, name(options[top])),
      `, ${window.decided ? "decided" : "undecided at the chosen risk"}`,
      window.unlike ? h("span", { class: "tag" }, "unlike the training") : null,
    ),
    optionTable(one, window.probabilities, "Probability of every option in this window"),
    button("What carried it?", ask, {
      kind: "small",
      "data-testid": "explain",
      title: "Which electrodes and seconds the answer rests on",
    }),
    place,
  );
  if (one.explained.has(index)) draw(place, one.explained.get(index), window);
  return detail;
}

async function explain(workspace, one, index, place) {
  const window = one.windows[index];
  const stop = new AbortController();
  fill(
    place,
    progress("Asking again without each electrode and each second", null, () => stop.abort()),
  );
  announce("Looking for what carried the answer");
  const option = one.options[window.probabilities.indexOf(Math.max(...window.probabilities))];
  const body = { question: one.question, option, start: window.start, stop: window.stop };
  if (one.body?.options) body.options = one.body.options;
  if (one.body?.model) body.model = one.body.model;
  try {
    const found = await api.explain(workspace.entry.id, body, {
      signal: stop.signal,
      onwait: () => announce("The service is busy"),
    });
    one.explained.set(index, found);
    if (one.selected === index) draw(place, found, window);
    announce(`Explained: ${strongest(found)}`);
  } catch (error) {
    if (error.name === "AbortError") fill(place);
    else
      fill(
        place,
        problem(error, { title: "It cannot be explained", again: () => explain(workspace, one, index, place) }),
      );
  }
}

function strongest(found) {
  const most = [...found.electrodes].sort((one, other) => Math.abs(other.effect) - Math.abs(one.effect))[0];
  return most ? `most by ${most.name}, ${signed(most.effect)} nats` : "nothing stands out";
}

function draw(place, found, window) {
  const map = h("div", { class: "scalp", "data-testid": "scalp-map" });
  map.append(scalpMap(found.electrodes, { title: `What spoke for ${printable(found.option)}`, unit: "nats" }));
  const rows = [...found.electrodes].sort((one, other) => Math.abs(other.effect) - Math.abs(one.effect));
  fill(
    place,
    h("h4", {}, "What spoke for ", name(found.option)),
    h(
      "p",
      { class: "hint" },
      "How much less likely the answer becomes without each electrode, or each second: plus speaks for it, minus " +
        "against it. " +
        "It says what this model looked at, not what is so in the brain.",
    ),
    map,
    seconds(found),
    found.notes?.map((note) => notice(note)),
    h(
      "details",
      { class: "notes" },
      h("summary", {}, "As a table"),
      h(
        "table",
        {},
        h("caption", {}, "Electrodes, nats"),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["Electrode", "Effect", "±"].map((title, i) =>
              h("th", { scope: "col", class: i ? "right" : null }, title),
            ),
          ),
        ),
        h(
          "tbody",
          {},
          rows.map((row) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, name(row.name)),
              h("td", { class: "right" }, signed(row.effect, 3)),
              h(
                "td",
                { class: "right" },
                row.spread === null || row.spread === undefined ? "–" : row.spread.toFixed(3),
              ),
            ),
          ),
        ),
      ),
      h(
        "table",
        {},
        h("caption", {}, "Seconds, nats"),
        h(
          "thead",
          {},
          h("tr", {}, h("th", { scope: "col" }, "From"), h("th", { scope: "col", class: "right" }, "Effect")),
        ),
        h(
          "tbody",
          {},
          found.seconds.map((second) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, clock(second.start, true)),
              h("td", { class: "right" }, signed(second.effect, 3)),
            ),
          ),
        ),
      ),
    ),
    found.seconds.length
      ? null
      : h(
          "p",
          { class: "hint" },
          `Nothing is known of single seconds of ${clock(window.start)}–${clock(window.stop)}.`,
        ),
  );
}

/** The effect of every second as bars around a line of zero; the table says the same. */
function seconds(found) {
  if (!found.seconds.length) return null;
  const most = Math.max(...found.seconds.map((second) => Math.abs(second.effect)), 1e-9);
  const labelled = found.seconds.length <= 8;
  const bars = found.seconds.map((second) => {
    const bar = h("span", { class: second.effect < 0 ? "second against" : "second for" });
    bar.style.height = `${(Math.abs(second.effect) / most) * 50}%`;
    return h(
      "span",
      { class: "second-place", title: `${clock(second.start, true)}: ${signed(second.effect)} nats` },
      bar,
    );
  });
  return h(
    "figure",
    { role: "img", "aria-label": `Effect of each second, up to ${signed(most)} nats; the table below has all` },
    h("div", { class: "seconds" }, bars),
    h(
      "div",
      { class: "seconds-axis" },
      found.seconds
        .filter((_, i) => labelled || i === 0 || i === found.seconds.length - 1)
        .map((second) =>
          h("span", {}, labelled ? [clock(second.start), h("br"), signed(second.effect, 1)] : clock(second.start)),
        ),
    ),
    h("figcaption", { class: "hint" }, "Second by second, nats: above the line for it, below against it"),
  );
}
