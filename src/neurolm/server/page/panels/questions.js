// The questions: the model's own as buttons, a free one with options, and the share of wrong answers one accepts.

import { button, field, fill, h, printable, select } from "../dom.js";
import { number } from "../format.js";
import { setTaste, taste } from "../state.js";
import { modelWarning } from "./models.js";
import { notice, problem } from "./problem.js";

const STEPS = [null, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5];

const NEVER = "nothing up to 50 % can be kept";

/** The panel from which questions are asked. */
export class Questions {
  constructor(workspace) {
    this.workspace = workspace;
    this.models = workspace.app.models;
    this.model =
      this.models.find((model) => model.name === taste("model")) ??
      this.models.find((model) => model.default) ??
      this.models[0];
    this.ownQuestions = h("div", { class: "stack tight" });
    this.warning = h("div", {});
    this.free = this.freeForm();
    this.element = h(
      "div",
      { class: "stack pad" },
      h("h2", { class: "unseen" }, "Ask"),
      this.models.length > 1 &&
        field(
          "Model",
          select(
            this.models.map((model) => [model.name, printable(model.name)]),
            this.model.name,
            (value) => {
              this.model = this.models.find((model) => model.name === value);
              setTaste("model", value);
              this.draw();
            },
          ),
        ),
      this.warning,
      this.ownQuestions,
      this.free,
      this.riskSlider(),
      workspace.answers.element,
    );
    this.draw();
  }

  draw() {
    const { model } = this;
    fill(this.warning, modelWarning(model));
    fill(
      this.ownQuestions,
      model.tasks.length
        ? model.tasks.map((task) =>
            h(
              "button",
              {
                type: "button",
                class: "question",
                "data-testid": `question-${task.name}`,
                onclick: () => this.ask({ question: task.question }),
              },
              h("span", {}, printable(task.question)),
              h("span", { class: "hint" }, task.options.map(printable).join(" · ")),
            ),
          )
        : h("p", { class: "empty" }, "This model was not tuned on any question; a free one is a guess."),
    );
    this.showRisk();
  }

  ask(body) {
    this.workspace.answers.ask({ ...body, model: this.model.name }, this.model);
  }

  freeForm() {
    const question = h("input", {
      type: "text",
      required: true,
      autocomplete: "off",
      "data-testid": "free-question",
      placeholder: "Is this person drowsy?",
    });
    const options = h("input", {
      type: "text",
      required: true,
      autocomplete: "off",
      "data-testid": "free-options",
      value: "Yes, No",
    });
    const state = h("div", {});
    const place = h(
      "details",
      { class: "card free" },
      h("summary", {}, "Ask something else"),
      h(
        "form",
        {
          class: "stack tight",
          onsubmit: (event) => {
            event.preventDefault();
            const labels = options.value
              .split(",")
              .map((one) => one.trim())
              .filter(Boolean);
            if (labels.length < 2 || new Set(labels).size < labels.length) {
              fill(
                state,
                problem({ message: "Give at least two different options, with commas between them, as Yes, No" }),
              );
              return;
            }
            fill(state);
            place.open = false;
            this.ask({ question: question.value.trim(), options: labels });
          },
        },
        field("Question", question),
        field("Options, with commas between them", options),
        state,
        notice(
          "A guess: the model was not tuned on other questions than its own. How often such answers are right is not " +
            "known.",
          "warning",
        ),
        h(
          "div",
          { class: "row end" },
          button("Ask", () => {}, { kind: "primary small", "data-testid": "ask-free", type: "submit" }),
        ),
      ),
    );
    return place;
  }

  /** The accepted share of wrong answers; null: every answer is given. */
  get risk() {
    return STEPS[Number(this.slider.value)];
  }

  riskSlider() {
    this.slider = h("input", {
      type: "range",
      min: 0,
      max: STEPS.length - 1,
      step: 1,
      "data-testid": "risk",
      id: "risk",
      oninput: () => {
        this.showRisk();
        clearTimeout(this.waiting);
        this.waiting = setTimeout(() => this.workspace.answers.conclude(this.risk), 200);
      },
    });
    this.slider.value = Math.max(0, STEPS.indexOf(taste("risk")));
    this.riskWords = h("output", { for: "risk", class: "risk-value" });
    this.riskHint = h("p", { class: "hint" });
    return h(
      "div",
      { class: "risk" },
      h("div", { class: "row spread" }, h("label", { for: "risk" }, "Wrong answers I accept"), this.riskWords),
      this.slider,
      this.riskHint,
    );
  }

  showRisk() {
    const { risk } = this;
    setTaste("risk", risk);
    const words = risk === null ? "any" : `at most ${number(risk * 100)} %`;
    this.riskWords.textContent = words;
    this.slider.setAttribute("aria-valuetext", words);
    this.riskHint.textContent = this.attainable(risk);
  }

  /** What can be kept of a promise, by the validation answers of the question that is open. */
  attainable(risk) {
    if (risk === null)
      return "Every window gets an answer, however unsure. Move it, and what is too unsure is left undecided.";
    const open = this.workspace.answers.open?.question;
    const tasks = this.model.tasks.filter((task) => !open || task.question === open);
    const said = tasks.map((task) => {
      const least = task.risks.length ? Math.min(...task.risks) : null;
      if (least === null) return [task, NEVER];
      return [task, risk >= least ? "can be kept" : `cannot be kept: no less than ${number(least * 100)} % can`];
    });
    if (!said.length)
      return open ? "For a free question no risk can be kept: nobody knows how often its answers are right." : "";
    if (said.length === 1)
      return `For this question ${said[0][1] === NEVER ? "" : "it "}${said[0][1]}, by the validation answers.`;
    const kept = said.filter(([, words]) => words === "can be kept").length;
    const words = `Can be kept for ${kept} of the ${said.length} questions, by their validation answers`;
    return kept < said.length ? `${words}; where not, all stays undecided.` : `${words}.`;
  }
}
