// Tabs, as a keyboard expects them: arrows move among them, and only the chosen one is a stop of the Tab key.

import { add, h } from "../dom.js";

let count = 0;

/** Tabs of [words, panel] pairs. */
export class Tabs {
  constructor(words, pairs) {
    const group = `tabs-${(count += 1)}`;
    this.buttons = pairs.map(([label], i) =>
      h(
        "button",
        {
          type: "button",
          role: "tab",
          id: `${group}-${i}`,
          "aria-controls": `${group}-panel-${i}`,
          onclick: () => this.choose(i),
        },
        label,
      ),
    );
    this.panels = pairs.map(([, panel], i) =>
      h(
        "div",
        {
          role: "tabpanel",
          id: `${group}-panel-${i}`,
          class: "tab-panel",
          "aria-labelledby": `${group}-${i}`,
          tabindex: "-1",
        },
        panel,
      ),
    );
    const list = h(
      "div",
      { role: "tablist", "aria-label": words, class: "tabs", onkeydown: (event) => this.key(event) },
      this.buttons,
    );
    this.element = add(h("div", { class: "tabbed" }), list, this.panels);
    this.choose(0);
  }

  choose(index) {
    this.chosen = index;
    this.buttons.forEach((one, i) => {
      one.setAttribute("aria-selected", String(i === index));
      one.tabIndex = i === index ? 0 : -1;
    });
    this.panels.forEach((panel, i) => (panel.hidden = i !== index));
  }

  key(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1 };
    const last = this.buttons.length - 1;
    const to =
      { Home: 0, End: last }[event.key] ??
      (event.key in steps ? (this.chosen + steps[event.key] + last + 1) % (last + 1) : null);
    if (to === null) return;
    event.preventDefault();
    event.stopPropagation();
    this.choose(to);
    this.buttons[to].focus();
  }
}
