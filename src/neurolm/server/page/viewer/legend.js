/**
 * The legend of answers: every option and every sign of caution with its colour, its pattern and its share, as text.
 */

import { percent } from "./answers.js";
import { shown } from "./marks.js";
import { cautionPattern, fillOption } from "./strips.js";

const [WIDE, HIGH] = [22, 13];

export class Legend {
  constructor(container, gutter) {
    this.list = document.createElement("ul");
    this.list.className = "viewer-legend";
    Object.assign(this.list.style, {
      display: "flex", flexWrap: "wrap", gap: "2px 16px", listStyle: "none",
      margin: "0", padding: `4px 12px 4px ${gutter}px`, fontSize: "12px",
    });
    container.append(this.list);
  }

  /** Says of the answers what there is; swatches are drawn anew where options or colours have changed. */
  update(answers, surface, anew = false) {
    if (answers !== this.answers || anew) this.#build(answers, surface);
    if (!answers) return;
    const { counts, size } = answers;
    this.items.forEach(({ text, option }) => {
      const label = shown(answers.options[option]);
      const share = answers.kind === "events" ? counts[option].toLocaleString("en") : percent(counts[option], size);
      text.textContent = size ? `${label} · ${share}` : label;
    });
    this.#caution(this.undecided, "undecided", answers.undecided, size);
    this.#caution(this.unlike, "unlike the training", answers.unlike, size);
  }

  #caution(item, label, count, size) {
    item.style.display = count ? "flex" : "none";
    item.lastChild.textContent = `${label} · ${percent(count, size)}`;
  }

  #build(answers, surface) {
    this.answers = answers;
    this.list.replaceChildren();
    this.list.hidden = !answers;
    this.list.style.display = answers ? "flex" : "none";
    if (!answers) return;
    const { colours } = surface;
    Object.assign(this.list.style, { color: colours.get("plot-text"), backgroundColor: colours.get("plot") });
    if (answers.name) {
      const name = this.#item(null);
      name.lastChild.textContent = shown(answers.name);
      name.style.fontWeight = "600";
    }
    this.items = answers.order.map((option) => {
      const item = this.#item((brush) => {
        fillOption(brush, answers, option, [0, 0, WIDE, HIGH]);
      }, surface);
      return { text: item.lastChild, option };
    });
    const caution = (kind) => this.#item((brush) => {
      brush.context.fillStyle = cautionPattern(brush, kind);
      brush.context.fillRect(0, 0, WIDE, HIGH);
    }, surface);
    this.undecided = caution("hatch");
    this.unlike = caution("cross");
  }

  #item(draw, surface) {
    const item = document.createElement("li");
    Object.assign(item.style, { display: "flex", alignItems: "center", gap: "6px" });
    if (draw) {
      const swatch = document.createElement("canvas");
      const ratio = Math.max(1, surface.ratio);
      swatch.width = WIDE * ratio;
      swatch.height = HIGH * ratio;
      const border = `1px solid ${surface.colours.get("plot-soft")}`;
      Object.assign(swatch.style, { width: `${WIDE}px`, height: `${HIGH}px`, border });
      swatch.setAttribute("aria-hidden", "true");
      const context = swatch.getContext("2d");
      context.scale(ratio, ratio);
      draw({ context, colours: surface.colours, ratio, pattern: (_, make) => make(context, ratio) });
      item.append(swatch);
    }
    item.append(document.createElement("span"));
    this.list.append(item);
    return item;
  }

  destroy() {
    this.list.remove();
  }
}
