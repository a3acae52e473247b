// Who answers: what a model was trained on, what it can be asked, and what limits it.

import { fill, h, name, printable } from "../dom.js";
import { many, number } from "../format.js";
import { notice } from "./problem.js";

const SIMULATED =
  "This model was trained on simulated EEG only: what it says of a person’s EEG means nothing.";
const MINUTE =
  "This model was made in a minute, to show the page: its answers mean nothing, not even of simulated EEG.";
const SAID = "the model was trained on simulated EEG only"; // the same, as the service says it

/** What is to be read before a model's answers; null where there is nothing. */
export function modelWarning(model) {
  if (model.recipe === "minute") return notice(MINUTE, "warning");
  return model.simulated ? notice(SIMULATED, "warning") : null;
}

/** All about a model. */
export function modelCard(model) {
  return h(
    "section",
    { class: "card model" },
    h("h3", {}, name(model.name)),
    modelWarning(model),
    h(
      "dl",
      { class: "facts" },
      h("dt", {}, "Trained on"),
      h("dd", {}, model.simulated ? "simulated EEG" : "recorded EEG"),
      h("dt", {}, "Knows"),
      h("dd", {}, electrodes(model)),
      h("dt", {}, "Calibrated"),
      h(
        "dd",
        {},
        model.calibrated
          ? "yes, on people it was not trained on"
          : "no: read its probabilities as an order, not as shares",
      ),
      model.recipe && [h("dt", {}, "Recipe"), h("dd", {}, printable(model.recipe))],
    ),
    h("h4", {}, "It was trained to answer"),
    model.tasks.length
      ? h(
          "ul",
          { class: "plain" },
          model.tasks.map((task) =>
            h(
              "li",
              {},
              h("span", {}, printable(task.question)),
              h(
                "span",
                { class: "hint" },
                `${task.options.map(printable).join(" · ")}; ${number(task.seconds)} s every ${number(task.stride)} s`,
              ),
            ),
          ),
        )
      : h("p", { class: "muted" }, "Nothing: it was not tuned on any question."),
    model.notes.filter((text) => !text.startsWith(SAID)).map((text) => h("p", { class: "hint" }, printable(text))),
  );
}

function electrodes(model) {
  if (!model.electrodes.length) return "–";
  const words = `${many(model.electrodes.length, "electrode")}`;
  if (model.electrodes.length <= 8) return `${words}: ${model.electrodes.map(printable).join(", ")}`;
  const details = h("details", {}, h("summary", {}, words));
  return fill(
    details,
    [...details.childNodes],
    h("span", { class: "hint" }, model.electrodes.map(printable).join(", ")),
  );
}
