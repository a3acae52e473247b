// What was understood of a recording, before any trace is drawn: facts, problems with their remedies, channels.

import * as api from "../api.js";
import { add, announce, button, fill, h, icon, name, printable } from "../dom.js";
import { bytes, duration, many, number } from "../format.js";
import { notice, problem, progress, sentence } from "./problem.js";
import { inWords, readingForm, settingsIn } from "./reading.js";

const LONG = 80;
const HOW = {
  name: "by its name",
  alias: "by its name",
  given: "as you said",
  cap: "by its place on the cap",
  position: "nearest to its position",
  derived: "made from others",
  interpolated: "made from others",
  source: "only for others",
};

/** Shows what was understood of a recording; `app.show(id, second)` draws its traces. */
export async function inspectionPage(main, app, entry) {
  const page = h("div", { class: "inspection", "data-testid": "inspection" });
  fill(main, page);
  const look = async () => {
    fill(page, h("h1", {}, name(entry.name)), progress("Looking at the recording"));
    try {
      draw(page, app, entry, await api.inspection(entry.id), true);
    } catch (error) {
      fill(
        page,
        h("h1", {}, name(entry.name)),
        problem(error, { title: "It cannot be looked at", again: look }),
        button("Back to the recordings", () => app.home(), { picture: "back" }),
      );
    }
  };
  await look();
}

function draw(page, app, entry, found, focus = false) {
  const show = button(
    found.usable ? "Show traces" : "Show traces, as far as they can be read",
    () => app.show(entry.id, 0),
    { kind: found.usable ? "primary" : "", picture: "wave", "data-testid": "show-traces" },
  );
  const apply = async (form, body) => {
    form.wait();
    try {
      const next = await api.setReading(entry.id, body);
      app.forget(entry.id);
      draw(page, app, entry, next);
      announce(verdict(next).join(": "));
    } catch (error) {
      form.refuse(problem(error, { title: "It cannot be read like that" }));
    }
  };
  const [word, more] = verdict(found);
  fill(
    page,
    h(
      "div",
      { class: "row spread" },
      h(
        "div",
        {},
        h("h1", {}, name(entry.name)),
        h(
          "p",
          { class: `verdict-line ${found.usable ? "good" : "bad"}` },
          icon(found.usable ? "check" : "warning"),
          h("strong", {}, word),
          ` ${more}`,
        ),
      ),
      h("div", { class: "row" }, found.coverage.length > 0 && show), // without a channel there is nothing to draw
    ),
    found.problems.length
      ? h(
          "section",
          { class: "stack", "aria-label": "Problems" },
          found.problems.map((text) => problemCard(text, found, apply)),
        )
      : null,
    tiles(found),
    h(
      "div",
      { class: "columns" },
      h("section", {}, h("h2", {}, "Channels"), channels(found)),
      h(
        "div",
        { class: "stack" },
        h("section", {}, h("h2", {}, "What was left out or assumed"), notes(found)),
        h("section", {}, h("h2", {}, "Annotations"), annotations(found)),
        h(
          "section",
          {},
          h(
            "details",
            { class: "card" },
            h("summary", {}, "Read it in another way"),
            h(
              "p",
              { class: "hint" },
              "Where the file says nothing, or something wrong. It holds for traces and answers of this " +
                "recording, not for the file.",
            ),
            readingForm(found, null, apply),
          ),
        ),
      ),
    ),
  );
  if (focus && found.usable) show.focus({ preventScroll: true });
  document.title = `${printable(entry.name)} – neurolm`;
}

function verdict(found) {
  if (found.usable)
    return [
      "Ready.",
      `${many(found.electrodes.length, "electrode")}, ${duration(found.seconds)}: it can be shown and asked about.`,
    ];
  return [
    "It cannot be asked about as it is.",
    `${many(found.problems.length, "problem")} below, with what can be done.`,
  ];
}

function problemCard(text, found, apply) {
  const settings = settingsIn(text);
  return h(
    "div",
    { class: "notice error" },
    icon("warning"),
    h(
      "div",
      { class: "notice-body" },
      h("p", {}, sentence(printable(inWords(text)))),
      settings.length ? readingForm(found, settings, apply) : null,
    ),
  );
}

function tiles(found) {
  const [low, high] = found.band ?? [null, null];
  const facts = [
    [
      "Length",
      found.seconds === null ? "–" : duration(found.seconds),
      found.stretches?.length > 1 ? `in ${found.stretches.length} stretches` : null,
    ],
    [
      "Electrodes",
      found.electrodes.length ? String(found.electrodes.length) : "–",
      `of ${many(found.coverage.length, "channel")}`,
    ],
    ["Samples", found.rate ? `${number(found.rate)} Hz` : "–", "a second and channel"],
    ["Amplitude", found.amplitude === null ? "–" : `${number(found.amplitude)} µV`, "typical; EEG has 0.5 to 500"],
    ["Unit", found.unit ? printable(found.unit).replace("uV", "µV") : "–", "taken for the file’s numbers"],
    ["Mains", found.mains ? `${number(found.mains)} Hz` : "–", found.mains_how ? printable(found.mains_how) : null],
    ["Kept", low === null ? "–" : `${number(low)}–${number(high)} Hz`, "what the model sees"],
    ["File", found.size ? bytes(found.size) : "–", null],
  ];
  return h(
    "dl",
    { class: "tiles" },
    facts.map(([fact, value, more]) =>
      h("div", { class: "tile" }, h("dt", {}, fact), h("dd", {}, value), more && h("dd", { class: "hint" }, more)),
    ),
  );
}

function channels(found) {
  if (!found.coverage.length) return h("p", { class: "empty" }, "None could be found.");
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Channels" },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["Channel", "Electrode", "How", "Unit", "Hz", "µV"].map((words, i) =>
            h("th", { scope: "col", class: i > 3 ? "right" : null }, words),
          ),
        ),
      ),
      h(
        "tbody",
        {},
        found.coverage.map((channel) =>
          h(
            "tr",
            { class: channel.electrode ? null : "muted" },
            h("th", { scope: "row" }, name(channel.channel)),
            h("td", {}, channel.electrode ? name(channel.electrode) : "–"),
            h(
              "td",
              {},
              printable(HOW[channel.how] ?? channel.how),
              channel.detail ? `: ${printable(channel.detail)}` : "",
            ),
            h("td", {}, printable(channel.unit ?? "–").replace("uV", "µV")),
            h("td", { class: "right" }, number(channel.rate)),
            h("td", { class: "right" }, number(channel.amplitude)),
          ),
        ),
      ),
    ),
  );
}

function notes(found) {
  if (!found.notes.length) return h("p", { class: "empty" }, "Nothing.");
  const list = h(
    "div",
    { class: "stack tight" },
    found.notes.slice(0, 12).map((text) => notice(inWords(text))),
  );
  if (found.notes.length > 12)
    add(
      list,
      h(
        "details",
        {},
        h("summary", {}, `${found.notes.length - 12} more`),
        found.notes.slice(12).map((text) => notice(inWords(text))),
      ),
    );
  return list;
}

function annotations(found) {
  const kinds = Object.entries(found.annotations);
  if (!kinds.length) return h("p", { class: "empty" }, "The file has none.");
  return h(
    "ul",
    { class: "plain chips" },
    kinds
      .slice(0, 60)
      .map(([text, count]) =>
        h(
          "li",
          { class: "chip", title: printable(text) },
          name(text.length > LONG ? `${text.slice(0, LONG)}…` : text),
          ` × ${count}`,
        ),
      ),
    kinds.length > 60 && h("li", { class: "hint" }, `and ${kinds.length - 60} kinds more`),
  );
}
