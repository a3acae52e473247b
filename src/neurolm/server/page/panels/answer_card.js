// An answer in full: what, how likely, how sure of that, what spoke for it, and everything that limits it.

import { h, name, pictureButton, printable } from "../dom.js";
import { clock, many, number, probability, signed } from "../format.js";
import { notice, progress } from "./problem.js";

const UNDECIDED = "undecided";
const SIMULATED_NOTE = "the model was trained on simulated EEG only";
// notes of the service that the warnings say in other words
const SAID = [SIMULATED_NOTE, "the model was not tuned on this question", "not calibrated:"];
const CHANGES_NOTE = ": where states change, read the timeline";

/** While an answer arrives. */
export function runningCard(one) {
  const bar = progress(
    one.waiting !== null
      ? `The service is busy: asked again in ${Math.ceil(one.waiting)} s`
      : one.total
        ? `${one.windows.length} of ${many(one.total, "window")}`
        : "Waiting for its turn",
    one.total ? one.windows.length / one.total : null,
    () => one.controller.abort(),
  );
  one.running = {
    show: (done, total) => bar.update(`${done.toLocaleString("en")} of ${many(total, "window")}`, done / total),
  };
  return h("article", { class: "card answer running", "aria-busy": "true" }, h("h3", {}, printable(one.question)), bar);
}

/** What screen readers are told of an answer. */
export function announcement(answer) {
  const warned = warnings(answer).length;
  return `${printable(answer.verdict)}. ${warned ? `With ${many(warned, "warning")}.` : ""}`;
}

function isSimulated(answer) {
  return answer.notes.some((note) => note.startsWith(SIMULATED_NOTE));
}

/** What must be read with an answer, the gravest first. */
export function warnings(answer) {
  const found = [];
  if (isSimulated(answer)) {
    found.push("The model knows simulated EEG only: of a person’s EEG this answer means nothing.");
  }
  if (!answer.trained)
    found.push("A guess: the model was not tuned on this question, and nobody knows how often such answers are right.");
  else if (!answer.calibrated) found.push("Not calibrated: the probability is no share of right answers.");
  if (answer.unlike ?? (answer.outside !== null && answer.outside > 0.5)) {
    found.push(
      `Unlike the training: ${Math.round(answer.outside * 100)} % of the windows are unlike any that the model ` +
        "learned from, so that its probability may be far off.",
    );
  }
  const changes = answer.notes.find((note) => note.includes(CHANGES_NOTE));
  if (changes) {
    found.push(`${printable(changes.split(CHANGES_NOTE)[0])}: where states change, read the band, not this one word.`);
  }
  return found;
}

/** The card of a complete answer. */
export function answerCard(one, { close, select }) {
  const { answer } = one;
  const undecided = answer.answer === UNDECIDED;
  const best = answer.options[answer.probabilities.indexOf(Math.max(...answer.probabilities))];
  const warned = warnings(answer);
  const others = answer.notes.filter(
    (note) => !note.includes(CHANGES_NOTE) && !SAID.some((begin) => note.startsWith(begin)),
  );
  return h(
    "article",
    { class: "card answer", "data-testid": "answer", "aria-label": "Answer" },
    h(
      "div",
      { class: "row spread top" },
      h("h3", {}, printable(answer.question)),
      pictureButton("Put this answer away", "close", close),
    ),
    h(
      "p",
      { class: `answer-word ${undecided ? "undecided" : ""}` },
      name(answer.answer),
      undecided && h("span", { class: "muted" }, " likeliest: ", name(best)),
    ),
    isProbable(answer) && scale(answer),
    h("p", { class: "in-words" }, inWords(answer, best)),
    warned.length
      ? h(
          "div",
          { class: "stack tight" },
          warned.map((text) => notice(text, "warning")),
        )
      : null,
    optionTable(one, answer.probabilities, `${isProbable(answer) ? "Probability" : "Likelihood"} of every option`),
    h("p", { class: "verdict muted", "data-testid": "verdict" }, printable(answer.verdict)),
    facts(answer),
    contributions(answer),
    others.length
      ? h(
          "details",
          { class: "notes", open: others.length <= 3 },
          h("summary", {}, many(others.length, "note")),
          h(
            "ul",
            { class: "plain" },
            others.map((note) => h("li", {}, printable(note))),
          ),
        )
      : null,
    windowList(one, select),
  );
}

/** The probability with its interval, drawn and said. */
function scale(answer) {
  const [low, high] = answer.interval ?? [answer.probability, answer.probability];
  const place = (value) => `${Math.round(value * 1000) / 10}%`;
  const range = h("span", { class: "scale-range" });
  const mark = h("span", { class: "scale-mark" });
  const chance = h("span", { class: "scale-chance" });
  Object.assign(range.style, { left: place(low), width: `max(2px, ${place(high - low)})` });
  mark.style.left = place(answer.probability);
  chance.style.left = place(1 / answer.options.length);
  return h(
    "div",
    { class: "scale", "aria-hidden": "true" },
    h("div", { class: "scale-line" }, range, chance, mark),
    h(
      "div",
      { class: "scale-words" },
      h("span", {}, "never"),
      h("span", {}, "as often as not"),
      h("span", {}, "always"),
    ),
  );
}

/** What is not calibrated has no probability: a likelihood of 1 can be a guess. */
function isProbable(answer) {
  return answer.trained && answer.calibrated;
}

function inWords(answer, best) {
  if (!isProbable(answer))
    return "How probable that is cannot be said: below are likelihoods, by which the options can be ordered.";
  const [low, high] = answer.interval ?? [];
  const within = !answer.interval
    ? "; too little EEG for an interval"
    : probability(low) === probability(high)
      ? ", and the same for other EEG of this recording"
      : `, between ${probability(low)} and ${probability(high)} for other EEG of this recording`;
  const shares = !isSimulated(answer)
    ? ` If the calibration holds here, about ${Math.round(answer.probability * 100)} of 100 such answers are right.`
    : "";
  const chance = answer.probability < 1.25 / answer.options.length ? " That is hardly more than chance." : "";
  return h(
    "span",
    {},
    h("strong", {}, name(best), `: probability ${probability(answer.probability)}`),
    `${within}.${shares}${chance}`,
  );
}

/** Every option with its probability, in the order and the colours of the band under the traces. */
export function optionTable(one, shares, words) {
  const { order = one.options.map((_, i) => i), bands = order } = one.bands?.answers ?? {};
  return h(
    "table",
    { class: "options" },
    h("caption", { class: "unseen" }, words),
    h(
      "thead",
      { class: "unseen" },
      h("tr", {}, h("th", { scope: "col" }, "Option"), h("td", {}), h("th", { scope: "col" }, "Probability")),
    ),
    h(
      "tbody",
      {},
      order.map((i) => optionRow(one.options[i], shares[i], bands[i])),
    ),
  );
}

function optionRow(option, share, band) {
  const bar = h("span", { class: `bar-fill band-${band % 8}` });
  bar.style.width = `${Math.max(0.5, share * 100)}%`;
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, name(option)),
    h("td", { class: "bar-cell" }, h("span", { class: "bar-track", "aria-hidden": "true" }, bar)),
    h("td", { class: "right" }, share.toFixed(2)),
  );
}

function facts(answer) {
  const open = answer.timeline.filter((window) => !window.decided).length;
  const unlike = answer.timeline.filter((window) => window.unlike).length;
  const found = [many(answer.timeline.length, "window"), many(answer.electrodes.length, "electrode")];
  if (answer.risk !== null && answer.risk !== undefined)
    found.push(`${open.toLocaleString("en")} undecided at a risk of ${number(answer.risk * 100)} %`);
  if (unlike) found.push(`${unlike.toLocaleString("en")} unlike the training`);
  if (answer.person) found.push(`adapted to ${printable(answer.person)}`);
  return h("p", { class: "hint" }, found.join(" · "));
}

function contributions(answer) {
  const spoke = answer.contributions;
  if (!spoke || !answer.trained) return null;
  const voice = (who, nats) =>
    h(
      "li",
      {},
      `${who}: ${strength(nats)} `,
      nats < 0 ? "against it" : "for it",
      h("span", { class: "muted" }, ` (${signed(nats)} nats)`),
    );
  return h(
    "details",
    { class: "notes" },
    h("summary", {}, "Who spoke for it"),
    h(
      "p",
      { class: "hint" },
      "For ",
      name(spoke.option),
      " rather than ",
      name(spoke.against),
      ". One nat makes one 2.7 times likelier than the other.",
    ),
    h(
      "ul",
      { class: "plain" },
      voice("The language model", spoke.language_model),
      spoke.evidence === null || spoke.evidence === undefined
        ? h("li", {}, "No evidence beside it", spoke.no_evidence ? `: ${printable(spoke.no_evidence)}` : "")
        : voice("The evidence beside it", spoke.evidence),
    ),
  );
}

function strength(nats) {
  const size = Math.abs(nats);
  return size < 0.2 ? "hardly" : size < 1 ? "somewhat" : size < 2.5 ? "clearly" : "strongly";
}

const LISTED = 400;

/** The windows as a table: what the bands show, in words. */
function windowList(one, select) {
  const { answer } = one;
  const body = h("tbody", {});
  const details = h(
    "details",
    {
      class: "notes",
      ontoggle: () => {
        if (!details.open || body.childElementCount) return;
        answer.timeline.slice(0, LISTED).forEach((window, i) => {
          const top = window.probabilities.indexOf(Math.max(...window.probabilities));
          body.append(
            h(
              "tr",
              {},
              h(
                "th",
                { scope: "row" },
                h(
                  "button",
                  { type: "button", class: "link", onclick: () => select(i) },
                  `${clock(window.start)}–${clock(window.stop)}`,
                ),
              ),
              h(
                "td",
                {},
                name(answer.options[top]),
                !window.decided && h("span", { class: "tag" }, "undecided"),
                window.unlike && h("span", { class: "tag" }, "unlike the training"),
              ),
              h("td", { class: "right" }, window.probabilities[top].toFixed(2)),
            ),
          );
        });
      },
    },
    h("summary", {}, "Window by window"),
    h(
      "div",
      { class: "scroll low", tabindex: "0", role: "region", "aria-label": "Windows" },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["Time", "Likeliest", "Probability"].map((words, i) =>
              h("th", { scope: "col", class: i > 1 ? "right" : null }, words),
            ),
          ),
        ),
        body,
      ),
    ),
    answer.timeline.length > LISTED &&
      h(
        "p",
        { class: "hint" },
        `The first ${LISTED} of ${many(answer.timeline.length, "window")}; the export as CSV has all.`,
      ),
  );
  return details;
}
