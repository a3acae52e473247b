/**
 * Colours and patterns, read from CSS custom properties when something is drawn: light and dark are the page's choice.
 *
 * What a page may set (each has a default for light and dark, by `prefers-color-scheme`; a test checks them:
 * text 4.5:1, lines 3:1 against --plot; bands differ in lightness or pattern, with a line of --plot-text around them):
 *
 *   --plot            behind the traces              --plot-text       names, times, values
 *   --plot-soft       text of less weight            --plot-font       family of fonts
 *   --grid            thin lines of time             --grid-bold       every fifth
 *   --trace           the traces; --trace-left, --trace-right, --trace-mid where sides are to differ
 *   --bad             channels that are bad          --no-data         hatching of gaps
 *   --annotation      marks and names of annotations --annotation-bad  those that say that EEG is bad
 *   --highlight       the span that is shown         --focus           outline, cursor, the page's window
 *   --band-0 … --band-7   options of an answer       --positive, --negative, --neutral   of a scalp map
 */

const DEFAULTS = {
  // name: [light, dark]
  plot: ["#ffffff", "#11161d"],
  "plot-text": ["#1b2430", "#e4e9f0"],
  "plot-soft": ["#55606f", "#9eabbb"],
  "plot-font": ["system-ui, sans-serif", "system-ui, sans-serif"],
  grid: ["#dbe2e9", "#242e3a"],
  "grid-bold": ["#bcc6d1", "#3d4958"],
  trace: ["#16202c", "#c6d1de"],
  "trace-left": ["", ""],
  "trace-right": ["", ""],
  "trace-mid": ["", ""],
  bad: ["#6f7884", "#8a95a3"],
  "no-data": ["#6f7884", "#8a95a3"],
  annotation: ["#7a4a00", "#f0b95a"],
  "annotation-bad": ["#a8261b", "#ff8f80"],
  highlight: ["#0067b1", "#63b3f5"],
  focus: ["#0067b1", "#63b3f5"],
  "band-0": ["#1f7fbf", "#4aa8e8"],
  "band-1": ["#d9661f", "#f08a45"],
  "band-2": ["#0a9a73", "#2fc79c"],
  "band-3": ["#a5589a", "#dd9bcb"],
  "band-4": ["#ecae2c", "#f0b429"],
  "band-5": ["#7cc3ea", "#9bd6f7"],
  "band-6": ["#d8cd3a", "#e6dc4f"],
  "band-7": ["#8a94a1", "#a4afbc"],
  positive: ["#b3290f", "#ff7a5c"],
  negative: ["#0b5ea8", "#5fb0ff"],
  neutral: ["#ffffff", "#1a212b"],
};

/** Colours as custom properties of an element say, remembered until `refresh`. */
export class Colours {
  constructor(element) {
    this.element = element;
    this.known = new Map();
  }

  refresh() {
    this.known.clear();
  }

  get(name) {
    let colour = this.known.get(name);
    if (colour === undefined) {
      if (!this.known.size) {
        this.style = getComputedStyle(this.element);
        this.dark = matchMedia("(prefers-color-scheme: dark)").matches ? 1 : 0;
      }
      colour = this.style.getPropertyValue(`--${name}`).trim() || DEFAULTS[name]?.[this.dark] || "";
      this.known.set(name, colour);
    }
    return colour;
  }

  /** A trace's colour by its side; --trace where sides are not to differ. */
  trace(side) {
    return (side && this.get(`trace-${side}`)) || this.get("trace");
  }

  band(index) {
    return this.get(`band-${((index % 8) + 8) % 8}`);
  }

  font(size, weight = 400) {
    return `${weight} ${size}px ${this.get("plot-font")}`;
  }
}

/** [red, green, blue] of a colour in any notation that CSS knows, 0 … 255. */
export function rgb(colour) {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}

/** Relative luminance after WCAG 2. */
export function luminance(colour) {
  const [red, green, blue] = rgb(colour).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Black or white, whichever is read more easily on a colour. */
export function textOn(colour) {
  return luminance(colour) > 0.18 ? "#000000" : "#ffffff";
}

/** Patterns of lines by kind: lines in a tile of so many pixels, each [x, y, x, y]. */
const LINES = {
  hatch: [8, [[-2, 10, 10, -2], [-2, 2, 2, -2], [6, 10, 10, 6]]],
  cross: [8, [[-2, 10, 10, -2], [-2, 2, 2, -2], [6, 10, 10, 6], [-2, -2, 10, 10], [6, -2, 10, 2], [-2, 6, 2, 10]]],
  gap: [12, [[-3, 15, 15, -3], [-3, 3, 3, -3], [9, 15, 15, 9]]],
  dots: [7, [[1.5, 2, 3, 2], [5, 5.5, 6.5, 5.5]]],
  rows: [6, [[0, 3, 6, 3]]],
  columns: [6, [[3, 0, 3, 6]]],
  bricks: [10, [[0, 2, 10, 2], [0, 7, 10, 7], [2, 2, 2, 7], [7, -3, 7, 2], [7, 7, 7, 12]]],
};
/** Patterns of options beside their colours, by their place; hatching is kept for what is undecided or unlike. */
const OF_OPTIONS = [null, "dots", "rows", "columns", null, "dots", "rows", "bricks"];

/** A pattern that fills with lines of a colour; for a context scaled by `ratio` device pixels. */
export function pattern(context, kind, colour, ratio, width = 1.2) {
  const [size, lines] = LINES[kind];
  const tile = new OffscreenCanvas(Math.round(size * ratio), Math.round(size * ratio));
  const brush = tile.getContext("2d");
  brush.scale(tile.width / size, tile.height / size);
  brush.strokeStyle = colour;
  brush.lineWidth = width;
  brush.beginPath();
  for (const [x, y, toX, toY] of lines) {
    brush.moveTo(x, y);
    brush.lineTo(toX, toY);
  }
  brush.stroke();
  const made = context.createPattern(tile, "repeat");
  made.setTransform(new DOMMatrix().scale(size / tile.width));
  return made;
}

/** The pattern over an option's colour, or null for none: so that options differ without colour. */
export function optionPattern(context, index, colour, ratio) {
  const kind = OF_OPTIONS[index % OF_OPTIONS.length];
  if (!kind) return null;
  const ink = textOn(colour) === "#000000" ? "rgba(0,0,0,0.3)" : "rgba(255,255,255,0.42)";
  return pattern(context, kind, ink, ratio, 1);
}
