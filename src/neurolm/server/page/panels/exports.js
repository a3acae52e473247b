// What can be taken along: the answer as CSV, JSON, EDF+ annotations or BIDS; the report; features.

import * as api from "../api.js";
import { announce, fill, h, icon, printable } from "../dom.js";
import { problem, progress } from "./problem.js";

const OF_ANSWER = [
  ["csv", "CSV", "a line for each window, for spreadsheets and scripts"],
  ["json", "JSON", "the answer in full"],
  ["edf", "EDF+ annotations", "opens beside the recording in EDFbrowser, YASA, MNE"],
  ["bids", "BIDS derivatives", "events and their description, as a .zip"],
];
const HYPNOGRAM = ["hypnogram", "Hypnogram", "a stage a line, for YASA and other programs of sleep"];
const OF_RECORDING = [
  ["html", "Report as web page", "facts, quality, spectra, and all the model’s answers"],
  ["pdf", "Report as PDF", "the same, for paper and records"],
];

/** The menu, which opens under its button. */
export function exportMenu(workspace) {
  const state = h("div", { "aria-live": "polite" });
  const items = h("div", { class: "menu-items" });
  const menu = h(
    "details",
    { class: "menu", ontoggle: () => menu.open && draw() },
    h("summary", { class: "button small" }, icon("export"), h("span", {}, "Export")),
    h("div", { class: "menu-body" }, items, state),
  );
  const fetchFile = async (words, path, options = {}) => {
    fill(state, progress(`Making: ${words}`));
    try {
      const file = await api.download(path, {
        ...options,
        onwait: () => fill(state, progress("The service is busy: it is asked again in a moment")),
      });
      fill(state, h("p", { class: "hint" }, icon("check"), ` ${printable(file)} was handed to the browser`));
      announce(`${file} was downloaded`);
    } catch (error) {
      fill(state, problem(error, { title: `${words} was not made`, again: () => fetchFile(words, path, options) }));
    }
  };
  const item = ([format, words, hint], ready, path, options) =>
    h(
      "button",
      {
        type: "button",
        class: "menu-item",
        "data-testid": `export-${format}`,
        disabled: !ready,
        onclick: () => fetchFile(words, path(), options),
      },
      h("span", {}, words),
      h("span", { class: "hint" }, hint),
    );
  const draw = () => {
    fill(state);
    const one = workspace.answers.open?.answer
      ? workspace.answers.open
      : workspace.answers.all.findLast((other) => other.answer);
    const { id } = workspace.entry;
    const model = workspace.questions.model.name;
    fill(
      items,
      h(
        "p",
        { class: "menu-title" },
        one ? ["The answer to ", h("em", {}, printable(one.question))] : "An answer: ask a question first",
      ),
      [...OF_ANSWER, ...(one?.answer.kind === "sleep" ? [HYPNOGRAM] : [])].map((format) =>
        item(format, Boolean(one), () => api.exportPath(id, one.id, format[0], one.answer.risk)),
      ),
      h("p", { class: "menu-title" }, "The recording"),
      OF_RECORDING.map((format) => item(format, true, () => api.reportPath(id, format[0], model))),
      item(
        ["features", "Features as .npz", "the model’s view of each window, for models of your own"],
        true,
        () => api.embedPath(id),
        { method: "POST", body: { model } },
      ),
    );
  };
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.stopPropagation();
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  document.addEventListener("pointerdown", (event) => {
    if (menu.open && !menu.contains(event.target)) menu.open = false;
  });
  draw();
  return menu;
}
