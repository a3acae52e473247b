// The answers of a recording: they arrive window by window, are kept, and are concluded anew at another risk.

import * as api from "../api.js";
import { announce, fill, h, pictureButton, printable, scrollWithin } from "../dom.js";
import { answersOf, setAnswersOf } from "../state.js";
import { BandsView } from "../viewer/bands.js";
import { answerCard, announcement, runningCard } from "./answer_card.js";
import { problem } from "./problem.js";
import { windowDetail } from "./window_detail.js";

/** All answers that one has asked for, and which of them is open. */
export class Answers {
  constructor(workspace) {
    this.workspace = workspace;
    this.all = [];
    this.open = null;
    this.range = null;
    this.tabs = h("div", { class: "answer-tabs", role: "group", "aria-label": "Answers", hidden: true });
    this.card = h("div", { class: "answer-place" });
    this.element = h("section", { class: "stack tight", "aria-label": "Answers" }, this.tabs, this.card);
    fill(
      this.card,
      h("p", { class: "empty" }, "Choose a question. The answer arrives window by window, as a band under the traces."),
    );
  }

  get id() {
    return this.workspace.entry.id;
  }

  /** Asks, or opens the answer that is there; what comes is shown as it comes. */
  async ask(body, model) {
    const before = this.all.find(
      (one) =>
        !one.error &&
        one.question === body.question &&
        one.model === model &&
        (one.body.options ?? []).join() === (body.options ?? []).join(),
    );
    if (before) {
      this.choose(before);
      this.show();
      return;
    }
    const one = {
      body,
      model,
      question: body.question,
      options: body.options ?? [],
      windows: [],
      total: null,
      answer: null,
      error: null,
      id: null,
      selected: null,
      controller: new AbortController(),
      waiting: null,
    };
    this.all.push(one);
    this.choose(one);
    this.show();
    announce(`Asking: ${printable(body.question)}`);
    try {
      await api.ask(this.id, body, {
        signal: one.controller.signal,
        onevent: (kind, data) => this.arrived(one, kind, data),
        onwait: (seconds) => {
          one.waiting = seconds;
          this.redraw(one);
        },
      });
    } catch (error) {
      if (error.name === "AbortError") {
        this.remove(one);
        announce("Cancelled");
        return;
      }
      one.error = error;
      one.bands?.finish?.();
      this.redraw(one);
    }
  }

  /** The questions that were lost with the connection, once more. */
  askLost() {
    for (const one of this.all.filter((other) => other.error?.status === 0)) {
      this.remove(one);
      this.ask(one.body, one.model);
    }
  }

  /** Scrolls to the answers where they are beside the traces, which stay. */
  show(element = this.element) {
    if (matchMedia("(min-width: 901px)").matches)
      scrollWithin(this.element.closest(".tab-panel"), element, { begin: true });
  }

  arrived(one, kind, data) {
    one.waiting = null;
    if (kind === "begin") {
      Object.assign(one, { id: data.answer_id, begin: data, options: data.options, total: data.windows });
      this.band(one);
      one.bands.begin({
        options: data.options,
        kind: data.kind,
        seconds: this.workspace.facts.seconds,
        length: data.length,
        name: printable(data.question),
      });
      this.zoom(one);
      this.bringIntoView(one);
    } else if (kind === "windows") {
      one.windows.push(...data.windows);
      one.total = data.total;
      const quarter = Math.floor((4 * data.done) / data.total);
      if (quarter > (one.quarter ?? 0) && quarter < 4) announce(`${data.done} of ${data.total} windows`);
      one.quarter = quarter;
      one.bands?.add(data.windows);
      if (this.open === one && one.running) {
        one.running.show(data.done, data.total);
        return;
      }
    } else if (kind === "answer") {
      this.concluded(one, data);
      this.keep();
      const { risk } = this.workspace.questions;
      if (risk === null) announce(announcement(data));
      else this.conclude(risk); // asked without one, so that the answer can be concluded without one, too
    } else return;
    this.redraw(one);
  }

  /** The answer is complete, or was concluded again at another risk. */
  concluded(one, answer) {
    Object.assign(one, {
      answer,
      id: answer.answer_id,
      options: answer.options,
      question: answer.question,
      windows: answer.timeline,
    });
    const fresh = !one.bands;
    this.band(one);
    one.bands.clear();
    one.bands.begin({
      options: answer.options,
      kind: answer.kind,
      seconds: this.workspace.facts.seconds,
      length: answer.timeline.length ? answer.timeline[0].stop - answer.timeline[0].start : 1,
      name: printable(answer.question),
    });
    one.bands.add(answer.timeline);
    one.bands.finish();
    if (fresh) this.zoom(one);
    one.bands.setSelected(one.selected);
  }

  /** The strip of an answer under the traces. */
  band(one) {
    if (one.bands) return;
    const place = h("div", { class: "band-canvas" });
    one.strip = h("div", { class: "band" }, place);
    const { bands } = this.workspace.elements;
    bands.hidden = false;
    if (!this.zooming) this.zooming = this.zoomSwitch(bands);
    bands.append(one.strip);
    one.bands = new BandsView(place);
    one.bands.addEventListener("seek", (event) => this.workspace.jump((event.detail ?? event).start));
    one.bands.addEventListener("select", (event) => {
      const { index } = event.detail ?? event;
      this.choose(one);
      this.select(one, index);
    });
  }

  zoomSwitch(bands) {
    const change = () => {
      this.paged = page.checked;
      this.all.forEach((one) => this.zoom(one));
    };
    const page = h("input", { type: "radio", name: "zoom", onchange: change });
    const whole = h("input", { type: "radio", name: "zoom", checked: true, onchange: change });
    bands.append(
      h(
        "fieldset",
        { class: "zoom" },
        h("legend", { class: "unseen" }, "What the bands show"),
        h("label", { class: "check" }, whole, h("span", {}, "Whole recording")),
        h("label", { class: "check" }, page, h("span", {}, "This page")),
      ),
    );
    return page;
  }

  zoom(one) {
    if (!one.bands) return;
    if (this.range) one.bands.setWindow(...this.range);
    if (this.paged && this.range) one.bands.setRange(...this.range);
    else one.bands.setWhole();
  }

  setRange(start, seconds) {
    this.range = [start, seconds];
    this.all.forEach((one) => one.bands?.setWindow(start, seconds));
    if (this.paged) this.all.forEach((one) => this.zoom(one));
  }

  /** Opens an answer. */
  choose(one) {
    this.open = one;
    this.redraw(one);
    this.bringIntoView(one);
    this.workspace.questions?.showRisk();
  }

  /** The strip of an answer, where there are more than the place under the traces has room for. */
  bringIntoView(one) {
    requestAnimationFrame(() => this.open === one && scrollWithin(this.workspace.elements.bands, one.strip));
  }

  /** Chooses a window of an answer, and goes there. */
  select(one, index) {
    one.selected = index;
    one.bands.setSelected(index);
    const window = index === null ? null : one.windows[index];
    if (window) this.workspace.jump(window.start);
    this.workspace.view.setHighlight(window?.start ?? null, window?.stop ?? null);
    this.redraw(one);
    if (window) this.show(this.card.querySelector(".window"));
  }

  redraw(one) {
    this.drawTabs();
    if (this.open !== one) return;
    for (const other of this.all) other.strip?.classList.toggle("open", other === one);
    if (one.error) {
      fill(
        this.card,
        h(
          "article",
          { class: "card answer" },
          h("h3", {}, printable(one.question)),
          problem(one.error, {
            title: one.windows.length ? `It broke off after ${one.windows.length} windows` : "There is no answer",
            again: () => {
              this.remove(one);
              this.ask(one.body, one.model);
            },
            dismiss: () => this.remove(one),
          }),
        ),
      );
    } else if (!one.answer) fill(this.card, runningCard(one));
    else {
      fill(
        this.card,
        answerCard(one, { close: () => this.remove(one), select: (index) => this.select(one, index) }),
        one.selected !== null && one.windows[one.selected]
          ? windowDetail(this.workspace, one, { select: (index) => this.select(one, index) })
          : null,
      );
    }
  }

  drawTabs() {
    this.tabs.hidden = this.all.length < 2;
    fill(
      this.tabs,
      this.all.map((one) =>
        h(
          "span",
          { class: `answer-tab ${one === this.open ? "open" : ""}` },
          h(
            "button",
            {
              type: "button",
              "aria-pressed": String(one === this.open),
              onclick: () => this.choose(one),
              title: printable(one.question),
            },
            `${one.answer ? printable(one.answer.answer) : one.error ? "failed" : "…"}: ${printable(one.question)}`,
          ),
          pictureButton(`Put away: ${printable(one.question)}`, "close", () => this.remove(one)),
        ),
      ),
    );
  }

  /** Stops what is under way and puts an answer away. */
  remove(one) {
    if (!one.answer && !one.error) one.controller?.abort();
    if (!this.all.includes(one)) return;
    this.all = this.all.filter((other) => other !== one);
    one.bands?.destroy?.();
    one.strip?.remove();
    this.workspace.elements.bands.hidden = !this.all.some((other) => other.bands);
    this.keep();
    if (this.open === one) this.open = this.all.at(-1) ?? null;
    if (this.open) this.choose(this.open);
    else {
      this.drawTabs();
      fill(
        this.card,
        h(
          "p",
          { class: "empty" },
          "Choose a question. The answer arrives window by window, as a band under the traces.",
        ),
      );
    }
  }

  /** All complete answers again, at another risk; the model is not asked anew. */
  async conclude(risk) {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    for (const one of this.all.filter((other) => other.answer && other.id)) {
      try {
        const answer = await api.concluded(this.id, one.id, risk);
        if (turn !== this.turn) return; // the slider has moved on
        this.concluded(one, answer);
        if (one === this.open) announce(announcement(one.answer));
        this.redraw(one);
      } catch (error) {
        this.lost(one, error);
      }
    }
  }

  lost(one, error) {
    if (this.open !== one) this.choose(one);
    this.card.prepend(
      problem(
        error.status === 404
          ? {
              message:
                "The service no longer keeps this answer, so that it cannot be concluded at another risk: ask again",
              status: 404,
            }
          : error,
        {
          title: "The risk was not applied",
          again: () => {
            this.remove(one);
            this.ask(one.body ?? { question: one.question, model: one.model?.name }, one.model);
          },
        },
      ),
    );
  }

  keep() {
    setAnswersOf(
      this.id,
      this.all.filter((one) => one.answer && one.id).map((one) => one.id),
    );
  }

  /** The answers that this tab had before it was loaded again. */
  async restore() {
    const risk = this.workspace.questions.risk;
    for (const id of answersOf(this.id)) {
      try {
        const answer = await api.concluded(this.id, id, risk);
        const one = {
          question: answer.question,
          options: answer.options,
          body: { question: answer.question, ...(answer.trained ? {} : { options: answer.options }) },
          model: this.workspace.questions.model,
          windows: [],
          answer: null,
          error: null,
          selected: null,
          id,
        };
        this.all.push(one);
        this.concluded(one, answer);
        this.choose(one);
      } catch (error) {
        if (error.status !== 404) throw error; // its time has passed: it can be asked again
      }
    }
  }

  recolour() {
    this.all.forEach((one) => one.bands?.refreshColours?.());
  }

  close() {
    for (const one of this.all) {
      if (!one.answer && !one.error) one.controller?.abort();
      one.bands?.destroy?.();
    }
  }
}
