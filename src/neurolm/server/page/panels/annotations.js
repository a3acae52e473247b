// The annotations of a recording, as a list that can be searched and clicked.

import { fill, h, name, scrollWithin } from "../dom.js";
import { clock, duration } from "../format.js";

const SHOWN = 300;

/** The list; `jump(annotation)` goes to one. */
export class Annotations {
  constructor(facts, jump) {
    this.all = facts.annotations;
    this.more = facts.more_annotations ?? 0;
    this.jump = jump;
    this.count = h("p", { class: "hint", role: "status" });
    this.list = h("ul", { class: "plain annotations" });
    this.filter = h("input", {
      type: "search",
      placeholder: "Filter",
      "aria-label": "Filter annotations",
      oninput: () => this.show(),
    });
    this.element = h(
      "div",
      { class: "stack pad" },
      h("h2", { class: "unseen" }, "Annotations"),
      this.more > 0 &&
        h("p", { class: "hint" }, `The recording has ${this.more.toLocaleString("en")} more, which are not shown.`),
      this.all.length
        ? [this.filter, this.count, this.list]
        : h("p", { class: "empty" }, "The recording has no annotations."),
    );
    this.show();
  }

  show() {
    const wanted = this.filter.value.trim().toLowerCase();
    const found = this.all.filter((annotation) => annotation.text.toLowerCase().includes(wanted));
    this.shown = found.slice(0, SHOWN);
    this.count.textContent =
      found.length > SHOWN
        ? `The first ${SHOWN} of ${found.length.toLocaleString("en")}: filter for more`
        : wanted
          ? `${found.length} of ${this.all.length}`
          : "";
    fill(
      this.list,
      this.shown.map((annotation) =>
        h(
          "li",
          {},
          h(
            "button",
            {
              type: "button",
              class: "annotation",
              onclick: () => {
                this.mark(annotation);
                this.jump(annotation);
              },
            },
            h("span", { class: "time" }, clock(annotation.start, true)),
            h(
              "span",
              { class: "annotation-text" },
              name(annotation.text || "(no text)"),
              annotation.bad && h("span", { class: "tag" }, "bad EEG"),
            ),
            annotation.duration > 0 && h("span", { class: "muted" }, duration(annotation.duration)),
          ),
        ),
      ),
    );
  }

  /** One was chosen in the traces. */
  select(annotation) {
    if (!this.shown.includes(annotation)) {
      this.filter.value = "";
      this.show();
    }
    this.mark(annotation);
    scrollWithin(this.element.closest(".tab-panel"), this.list.children[this.shown.indexOf(annotation)]);
  }

  mark(annotation) {
    const index = this.shown.indexOf(annotation);
    [...this.list.children].forEach((item, i) => item.firstChild.setAttribute("aria-current", String(i === index)));
  }
}
