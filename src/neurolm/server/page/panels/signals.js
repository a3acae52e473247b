// How the traces are shown: page, sensitivity, montage, filters, which channels are bad; the toolbar that sets it.

import { announce, button, dialog, field, fill, h, name, printable, select } from "../dom.js";
import { setTaste, taste } from "../state.js";
import { SENSITIVITIES, SENSITIVITY } from "../viewer/scales.js";
import { montageDialog, OWN } from "./montage.js";

const PAGES = [5, 10, 15, 20, 30, 60];

/** What the requests for traces say, and what the toolbar shows. */
export class Signals {
  constructor(facts, changed) {
    this.facts = facts;
    this.changed = changed;
    this.page = facts.sleep ? taste("page-sleep", 30) : taste("page", 10);
    this.montage = this.known(taste("montage", "recorded"));
    this.filters = Object.fromEntries(["highpass", "lowpass", "notch"].map((key) => [key, this.filter(key)]));
    this.bad = new Set(facts.channels.filter((channel) => channel.bad).map((channel) => channel.name));
  }

  /** The words of a request for traces. */
  words() {
    const own = this.own().find((montage) => `own:${montage.name}` === this.montage);
    return {
      montage: own ? own.channels : this.montage,
      ...this.filters,
      bad: [...this.bad].join(","),
      ...this.version(),
    };
  }

  /** Which reading of the file is meant: the browser keeps pages, and must not take another reading's for this one. */
  version() {
    return this.facts.version ? { v: this.facts.version } : {};
  }

  own() {
    return taste(OWN, []);
  }

  known(id) {
    return [
      ...this.facts.montages.map((montage) => montage.id),
      ...this.own().map((one) => `own:${one.name}`),
    ].includes(id)
      ? id
      : "recorded";
  }

  filter(key) {
    const usual = { highpass: 0.5, lowpass: 70, notch: 0 }[key];
    const value = Number(taste(key, usual));
    return value === 0 || this.facts.filters[key].includes(value)
      ? value
      : this.facts.filters[key].includes(usual)
        ? usual
        : 0;
  }

  toolbar(workspace, exports) {
    this.workspace = workspace;
    const apply = (key) => (value) => {
      this.filters[key] = Number(value);
      setTaste(key, Number(value));
      this.changed();
    };
    const choices = (key) => [[0, "off"], ...this.facts.filters[key].map((value) => [value, `${value} Hz`])];
    this.montages = h("span", {});
    this.sensitivity = select(
      SENSITIVITIES.map((value) => [value, `${value} µV/mm`]),
      SENSITIVITY,
      (value) => (workspace.view.sensitivity = Number(value)),
      { title: "↑ and ↓" },
    );
    const up = h("input", {
      type: "checkbox",
      checked: taste("negativeUp", true),
      onchange: () => {
        workspace.view.negativeUp = up.checked;
        setTaste("negativeUp", up.checked);
      },
    });
    this.badButton = button("", () => this.badDialog(), { kind: "small" });
    this.drawMontages();
    this.drawBad();
    return h(
      "div",
      { class: "toolbar", role: "group", "aria-label": "How traces are shown" },
      field(
        "Page",
        select(
          [...new Set([...PAGES, Number(this.page)])].sort((a, b) => a - b).map((value) => [value, `${value} s`]),
          this.page,
          (value) => {
            workspace.view.pageSeconds = Number(value);
            setTaste(this.facts.sleep ? "page-sleep" : "page", Number(value));
          },
        ),
        { kind: "tool" },
      ),
      field("Sensitivity", this.sensitivity, { kind: "tool" }),
      this.montages,
      ...[
        ["highpass", "High-pass"],
        ["lowpass", "Low-pass"],
        ["notch", "Notch"],
      ].map(([key, words]) => field(words, select(choices(key), this.filters[key], apply(key)), { kind: "tool" })),
      h("label", { class: "check tool-check" }, up, h("span", {}, "Negative up")),
      h("span", { class: "tool-end" }, this.badButton, exports),
    );
  }

  drawMontages() {
    const choices = [
      ...this.facts.montages.map((montage) => [montage.id, printable(montage.name)]),
      ...this.own().map((montage) => [`own:${montage.name}`, printable(montage.name)]),
      ["new", "Your own …"],
    ];
    const control = select(choices, this.montage, (value) => {
      if (value === "new") {
        control.value = this.montage;
        montageDialog(this.facts, (chosen) => this.take(chosen));
      } else this.setMontage(value);
    });
    fill(this.montages, field("Montage", control, { kind: "tool wide" }));
  }

  take(chosen) {
    if (chosen) this.setMontage(`own:${chosen}`);
    else this.setMontage(this.known(this.montage));
    this.drawMontages();
  }

  setMontage(id) {
    this.montage = id;
    setTaste("montage", id);
    this.changed();
  }

  showSensitivity(value) {
    if (!this.sensitivity) return;
    if (![...this.sensitivity.options].some((option) => Number(option.value) === value)) {
      this.sensitivity.append(h("option", { value }, `${Number(value.toPrecision(3))} µV/mm`));
    }
    this.sensitivity.value = String(value);
  }

  /** Bad for the eye only: the average reference leaves it out; the model's answer stays what it is. */
  toggleBad(channel) {
    if (!this.facts.channels.some((one) => one.name === channel)) {
      this.badDialog(); // a row of several electrodes: which of them is meant, is asked
      return;
    }
    const bad = !this.bad.delete(channel);
    if (bad) this.bad.add(channel);
    announce(`${printable(channel)} is ${bad ? "marked as bad" : "no longer marked as bad"}`);
    this.applyBad();
  }

  applyBad() {
    for (const channel of this.facts.channels)
      channel.bad = this.bad.has(channel.name) ? channel.bad || "marked by you" : null;
    this.drawBad();
    this.workspace.source.channels = [...this.facts.channels]; // another list, so that its rows are laid out anew
    this.workspace.view.setSource(this.workspace.source, { keep: true });
  }

  drawBad() {
    fill(this.badButton, h("span", {}, this.bad.size ? `Bad channels: ${this.bad.size}` : "Bad channels"));
  }

  badDialog() {
    const boxes = this.facts.channels.map((channel) =>
      h(
        "label",
        { class: "check" },
        h("input", {
          type: "checkbox",
          checked: this.bad.has(channel.name),
          onchange: () => this.toggleBad(channel.name),
        }),
        h(
          "span",
          {},
          name(channel.name),
          channel.bad ? h("span", { class: "hint" }, ` ${printable(channel.bad)}`) : null,
        ),
      ),
    );
    dialog("Bad channels", [
      h(
        "p",
        { class: "hint" },
        "They are drawn faintly and left out of the average reference. The model’s answer " +
          "does not change by it: how it reads channels is set with the recording.",
      ),
      h("div", { class: "grid-checks" }, boxes),
    ]);
  }
}
