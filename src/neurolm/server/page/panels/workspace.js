// The recording: toolbar, traces, overview, bands of answers, and beside them questions, annotations, and facts.

import * as api from "../api.js";
import { announce, button, fill, h, name, pictureButton, printable } from "../dom.js";
import { clock, duration, parseClock, spanOf } from "../format.js";
import { sensitivityOf, setPlace, setSensitivityOf, setTaste, taste } from "../state.js";
import { decodePage } from "../viewer/decode.js";
import { OverviewView } from "../viewer/overview.js";
import { firstSensitivity } from "../viewer/scales.js";
import { TraceView } from "../viewer/traces.js";
import { Annotations } from "./annotations.js";
import { Answers } from "./answers.js";
import { exportMenu } from "./exports.js";
import { problem, progress } from "./problem.js";
import { Questions } from "./questions.js";
import { Signals } from "./signals.js";
import { Tabs } from "./tabs.js";

const COLUMNS = 2000;
const HOUR = 3600;
/** Milliseconds between two texts of the position while one pans. */
const BREATH = 120;

/** A recording that is shown. `close` ends what it had under way. */
export class Workspace {
  constructor(main, app, entry, second) {
    this.main = main;
    this.app = app;
    this.entry = entry;
    this.second = second;
    this.ending = new AbortController();
    document.title = `${printable(entry.name)} – neurolm`;
    this.open();
  }

  async open() {
    const bar = progress("Reading the recording and making its traces ready");
    fill(this.main, h("div", { class: "waiting" }, h("h1", {}, name(this.entry.name)), bar));
    announce("Reading the recording");
    try {
      this.facts = await api.view(this.entry.id, {
        signal: this.ending.signal,
        onprogress: (share) =>
          bar.update(
            share === null
              ? "The service is busy: the traces come as soon as it is free"
              : `Making the traces ready: ${Math.round(share * 100)} %`,
            share,
          ),
      });
      this.amplitude = await this.typical();
    } catch (error) {
      if (error.name === "AbortError") return;
      fill(
        this.main,
        h(
          "div",
          { class: "waiting" },
          h("h1", {}, name(this.entry.name)),
          problem(error, { title: "The traces cannot be shown", again: () => this.open() }),
          h(
            "div",
            { class: "row" },
            button("What was understood of the file", () => this.app.open(this.entry.id)),
            button("Back to the recordings", () => this.app.home(), { kind: "quiet" }),
          ),
        ),
      );
      return;
    }
    if (this.ending.signal.aborted) return;
    this.build();
  }

  /** Typical amplitude of the EEG in µV; null where it is not known. */
  async typical() {
    if (sensitivityOf(this.reading()) !== null) return null; // chosen already
    try {
      return (await api.inspection(this.entry.id, { signal: this.ending.signal })).amplitude;
    } catch (error) {
      if (error.name === "AbortError") throw error;
      return null; // the traces are worth showing all the same
    }
  }

  build() {
    const { facts } = this;
    this.signals = new Signals(facts, () => this.view.reload());
    this.elements = {
      traces: h("div", { class: "traces", "data-testid": "traces" }),
      bands: h("section", {
        class: "bands",
        "data-testid": "bands",
        "aria-label": "Answers along the recording",
        hidden: true,
      }),
      overview: h("div", { class: "overview", "data-testid": "overview" }),
      trouble: h("div", { class: "viewer-trouble" }),
      position: h("output", { class: "position" }),
    };
    this.answers = new Answers(this);
    this.questions = new Questions(this);
    this.annotations = new Annotations(facts, (annotation) => this.jump(annotation.start));
    const tabs = new Tabs("Beside the traces", [
      ["Questions", this.questions.element],
      [
        `Annotations ${facts.annotations.length ? `(${facts.annotations.length.toLocaleString("en")})` : ""}`.trim(),
        this.annotations.element,
      ],
      ["Recording", this.about()],
    ]);
    fill(
      this.main,
      h(
        "div",
        { class: "workspace" },
        h(
          "section",
          { class: "viewer", "aria-label": "Traces" },
          h("h1", { class: "unseen" }, name(this.entry.name)),
          (this.toolbar = this.signals.toolbar(this, exportMenu(this))),
          this.elements.trouble,
          this.elements.traces,
          this.transport(),
          this.elements.overview,
          this.elements.bands,
        ),
        h("aside", { class: "side", "aria-label": "Questions and answers" }, tabs.element),
      ),
    );
    this.draw();
    this.answers.restore();
  }

  draw() {
    const { facts } = this;
    this.source = {
      seconds: facts.seconds,
      channels: facts.channels,
      gaps: facts.gaps,
      annotations: facts.annotations,
      startTime: facts.start_time,
      traces: (page) => this.page(page),
    };
    this.view = new TraceView(this.elements.traces, this.source);
    this.view.pageSeconds = Number(this.signals.page);
    const row = this.elements.traces.clientHeight / Math.max(1, facts.channels.length);
    this.view.sensitivity = sensitivityOf(this.reading()) ?? firstSensitivity(this.amplitude, row);
    this.view.negativeUp = taste("negativeUp", true);
    this.whole = new OverviewView(this.elements.overview);
    this.view.addEventListener("view", (event) => this.moved(detail(event)));
    this.view.addEventListener("sensitivity", () => {
      this.signals.showSensitivity(this.view.sensitivity);
      setSensitivityOf(this.reading(), this.view.sensitivity);
    });
    this.view.addEventListener("annotation", (event) => this.annotations.select(detail(event).annotation));
    this.view.addEventListener("channel", (event) => this.signals.toggleBad(detail(event).name));
    this.whole.addEventListener("seek", (event) => this.jump(detail(event).start, false));
    this.signals.showSensitivity(this.view.sensitivity);
    this.view.goTo(Math.min(this.second ?? 0, Math.max(0, facts.seconds - 1)));
    this.moved({ start: this.view.start, pageSeconds: this.view.pageSeconds });
    this.loadOverview();
    this.view.canvas.focus({ preventScroll: true });
    announce(
      `${printable(this.entry.name)}: ${facts.channels.length} channels, ${duration(facts.seconds)}. ` +
        "Press ? for all keys.",
    );
  }

  /** What a sensitivity holds for: this recording, in this way of reading, since another may take another unit. */
  reading() {
    return `${this.entry.id} ${this.facts.version ?? ""}`;
  }

  /** A page of samples for the drawing code; what goes wrong is said above the traces, and tried again. */
  async page({ start, seconds, columns, signal }) {
    try {
      const found = decodePage(
        await api.traces(this.entry.id, { start, seconds, columns, ...this.signals.words() }, signal),
      );
      if (this.elements.trouble.childElementCount) fill(this.elements.trouble);
      return found;
    } catch (error) {
      if (error.name !== "AbortError" && !this.ending.signal.aborted) {
        fill(
          this.elements.trouble,
          problem(error, { title: "This page of traces did not come", again: () => this.again() }),
        );
      }
      throw error;
    }
  }

  again() {
    fill(this.elements.trouble);
    this.view.reload();
  }

  async loadOverview() {
    try {
      const page = decodePage(
        await api.overview(this.entry.id, { columns: COLUMNS, ...this.signals.version() }, this.ending.signal),
      );
      this.whole.setData(page, { ...this.facts, startTime: this.facts.seconds < HOUR ? null : this.facts.start_time });
      this.whole.setWindow(this.view.start, this.view.pageSeconds);
    } catch (error) {
      if (error.name === "AbortError") return;
      fill(
        this.elements.trouble,
        problem(error, {
          title: "The overview did not come",
          again: () => {
            fill(this.elements.trouble);
            this.loadOverview();
          },
        }),
      );
    }
  }

  moved({ start, pageSeconds }) {
    this.sayPosition();
    this.whole?.setWindow(start, pageSeconds);
    this.answers.setRange(start, pageSeconds);
    clearTimeout(this.placing);
    this.placing = setTimeout(() => !this.ending.signal.aborted && setPlace(this.entry.id, start), 300);
  }

  /** The position in words; while one pans some times a second only, since a new text lays the page out anew. */
  sayPosition() {
    if (this.saying) return;
    const say = () => {
      const { start, pageSeconds } = this.view;
      const stop = Math.min(this.facts.seconds, start + pageSeconds);
      const words = spanOf(start, stop, this.facts.seconds);
      if (this.elements.position.textContent !== words) this.elements.position.textContent = words;
    };
    say();
    this.saying = setTimeout(() => {
      this.saying = null;
      say();
    }, BREATH);
  }

  /** Goes to a second; with some EEG before it, so that what is there is seen in its surroundings. */
  jump(second, before = true) {
    const lead = before ? Math.min(this.view.pageSeconds * 0.2, 2) : 0;
    this.view.goTo(Math.max(0, second - lead));
  }

  transport() {
    const step = (words, picture, act) => pictureButton(words, picture, act);
    const goTo = h("input", {
      type: "text",
      class: "go-to",
      inputmode: "numeric",
      placeholder: "m:ss",
      "aria-label": "Go to a time: seconds, m:ss or h:mm:ss",
      onkeydown: (event) => {
        if (event.key !== "Enter") return;
        const second = parseClock(goTo.value);
        goTo.setAttribute("aria-invalid", String(second === null));
        if (second !== null) this.view.goTo(Math.min(second, this.facts.seconds));
      },
    });
    return h(
      "div",
      { class: "transport", role: "group", "aria-label": "Move through the recording" },
      step("To the beginning (Home)", "first", () => this.view.goTo(0)),
      step("A page back (PgUp)", "back", () => this.view.page(-1)),
      this.elements.position,
      step("A page on (PgDn or space)", "forward", () => this.view.page(1)),
      step("To the end (End)", "last", () => this.view.goTo(Math.max(0, this.facts.seconds - this.view.pageSeconds))),
      h("label", { class: "go" }, h("span", {}, "Go to"), goTo),
    );
  }

  about() {
    const { facts } = this;
    const bad = facts.channels.filter((channel) => channel.bad);
    return h(
      "div",
      { class: "stack pad" },
      h("h2", {}, name(this.entry.name)),
      h(
        "dl",
        { class: "facts" },
        h("dt", {}, "Length"),
        h("dd", {}, duration(facts.seconds)),
        h("dt", {}, "Began"),
        h("dd", {}, facts.start_time ? printable(facts.start_time).replace("T", " ") : "not known"),
        h("dt", {}, "Channels"),
        h("dd", {}, String(facts.channels.length)),
        h("dt", {}, "Samples"),
        h("dd", {}, `${facts.rate} Hz`),
        h("dt", {}, "Gaps"),
        h(
          "dd",
          {},
          facts.gaps.length
            ? `${facts.gaps.length}: ${facts.gaps
                .slice(0, 6)
                .map(([a, b]) => `${clock(a)}–${clock(b)}`)
                .join(", ")}`
            : "none",
        ),
      ),
      bad.length
        ? [
            h("h3", {}, "Bad channels"),
            h(
              "ul",
              { class: "plain" },
              bad.map((channel) => h("li", {}, name(channel.name), `: ${printable(channel.bad)}`)),
            ),
          ]
        : null,
      h(
        "div",
        { class: "row" },
        button("What was understood of the file", () => this.app.open(this.entry.id)),
      ),
    );
  }

  /** A key that no field wanted. Returns whether it did something. */
  key(event) {
    return this.view?.keydown(event) ?? false;
  }

  /** Light or dark has changed: what is drawn takes its colours anew. */
  recolour() {
    for (const drawn of [this.view, this.whole]) drawn?.refreshColours?.();
    this.answers?.recolour();
  }

  /** The service answers again. */
  found() {
    if (!this.view) return;
    this.again();
    this.loadOverview();
    this.answers.askLost();
  }

  remember(key, value) {
    setTaste(key, value);
  }

  close() {
    clearTimeout(this.placing);
    clearTimeout(this.saying);
    this.ending.abort(new DOMException("closed", "AbortError"));
    this.answers?.close();
    for (const drawn of [this.view, this.whole]) drawn?.destroy?.();
  }
}

/** What an event of the drawing code carries. */
export function detail(event) {
  return event.detail ?? event;
}
