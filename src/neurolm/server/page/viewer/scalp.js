/**
 * A scalp map as SVG: electrodes seen from above, the nose up, each with its name and its value with sign.
 *
 *     const electrodes = [{ name: "Cz", x: 0, y: 0, effect: 0.42, spread: 0.1 }];
 *     element.append(scalpMap(electrodes, { title: "What carried N2", unit: "nats" }));
 *
 * x and y: the head as unit disk, nose at y = +1, left ear at x = −1. The scale is symmetric about zero; the field
 * between the electrodes is a spherical spline, drawn lightly, since only at the electrodes something was measured.
 * Colours: --positive, --negative, --neutral, --plot, --plot-text, --plot-soft (colours.js), read when it is made.
 */

import { Colours, rgb, textOn } from "./colours.js";
import { shown } from "./marks.js";
import { signed } from "./scales.js";
import { interpolate } from "./spline.js";

const SVG = "http://www.w3.org/2000/svg";
const HEAD = 150;
const FIELD = 72;
let made = 0;

/**
 * @param {{name: string, x: number, y: number, effect: number, spread?: number}[]} electrodes
 * @param {{title?: string, unit?: string, field?: boolean, element?: Element}} [options]
 *   `element`: whose custom properties count
 * @returns {SVGElement}
 */
export function scalpMap(electrodes, { title = "Scalp map", unit = "", field = true, element } = {}) {
  const colours = new Colours(element ?? document.documentElement);
  const id = `scalp-${++made}`;
  const known = electrodes.filter(({ x, y, effect }) => [x, y, effect].every(Number.isFinite));
  const largest = nice(Math.max(1e-9, ...known.map(({ effect }) => Math.abs(effect))));
  const decimals = largest >= 10 ? 0 : largest >= 1 ? 1 : largest >= 0.1 ? 2 : 3;
  const shade = shades(colours, largest);
  const svg = make("svg", { viewBox: "-200 -190 400 425", role: "img", class: "viewer-scalp" });
  svg.setAttribute("aria-labelledby", `${id}-title ${id}-desc`);
  svg.style.fontFamily = colours.get("plot-font");
  svg.append(make("title", { id: `${id}-title` }, title));
  svg.append(make("desc", { id: `${id}-desc` }, words(known, unit, decimals)));
  if (field && known.length > 2) svg.append(...fieldImage(known, shade, id));
  svg.append(...head(colours.get("plot-text")));
  const radius = known.length > 40 ? 9 : known.length > 24 ? 12 : 15;
  for (const electrode of known) svg.append(spot(electrode, { colours, shade, radius, decimals }));
  svg.append(...scale(colours, shade, largest, decimals, unit, id));
  return svg;
}

function make(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** The next larger round number, so that the scale's ends can be read. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((step) => step * power >= value * 0.999);
}

/** Effect → [red, green, blue], through --neutral at zero. */
function shades(colours, largest) {
  const [plus, minus, zero] = ["positive", "negative", "neutral"].map((name) => rgb(colours.get(name)));
  return (effect) => {
    const share = Math.min(1, Math.abs(effect) / largest) ** 0.85;
    const end = effect < 0 ? minus : plus;
    return zero.map((value, i) => Math.round(value + (end[i] - value) * share));
  };
}

const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

function words(electrodes, unit, decimals) {
  if (!electrodes.length) return "No electrodes.";
  const sorted = [...electrodes].sort((one, other) => Math.abs(other.effect) - Math.abs(one.effect));
  const said = sorted.map((electrode) => `${shown(electrode.name)} ${valueText(electrode, decimals)}`);
  return `Largest first${unit ? `, in ${unit}` : ""}: ${said.join("; ")}.`;
}

const valueText = ({ effect, spread }, decimals) =>
  signed(effect, decimals) + (spread ? ` ± ${spread.toFixed(decimals)}` : "");

function fieldImage(electrodes, shade, id) {
  const value = interpolate(electrodes);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = FIELD;
  const context = canvas.getContext("2d");
  const image = context.createImageData(FIELD, FIELD);
  for (let row = 0; row < FIELD; row++) {
    for (let column = 0; column < FIELD; column++) {
      const x = ((column + 0.5) / FIELD) * 2 - 1;
      const y = 1 - ((row + 0.5) / FIELD) * 2;
      if (Math.hypot(x, y) > 1.06) continue;
      image.data.set([...shade(value(x, y)), 150], 4 * (row * FIELD + column));
    }
  }
  context.putImageData(image, 0, 0);
  const clip = make("clipPath", { id: `${id}-clip` });
  clip.append(make("circle", { r: HEAD }));
  const size = 2 * HEAD;
  const picture = make("image", { x: -HEAD, y: -HEAD, width: size, height: size, href: canvas.toDataURL() });
  picture.setAttribute("clip-path", `url(#${id}-clip)`);
  return [clip, picture];
}

/** The outline of a head from above. */
function head(ink) {
  const line = { fill: "none", stroke: ink, "stroke-width": 2.2, "stroke-linejoin": "round" };
  const ear = "M 148.5 -24 c 12 -8 19 2 17 14 c -1 10 3 18 -1 28 c -4 10 -12 10 -17 4";
  return [
    make("circle", { r: HEAD, ...line }),
    make("path", { d: "M -19 -148.8 L 0 -174 L 19 -148.8", ...line }),
    make("path", { d: ear, ...line }),
    make("path", { d: ear, transform: "scale(-1 1)", ...line }),
  ];
}

function spot(electrode, { colours, shade, radius, decimals }) {
  const { name, x, y, effect } = electrode;
  const group = make("g", { transform: `translate(${(x * HEAD).toFixed(1)} ${(-y * HEAD).toFixed(1)})` });
  const fill = css(shade(effect));
  const ink = colours.get("plot-text");
  group.append(make("title", {}, `${shown(name)} ${valueText(electrode, decimals)}`));
  group.append(make("circle", { r: radius, fill, stroke: ink, "stroke-width": 1.2 }));
  const size = radius * 0.72;
  const middle = { "text-anchor": "middle", "font-size": size };
  group.append(make("text", { ...middle, y: size * 0.36, "font-weight": 600, fill: textOn(fill) }, shown(name)));
  const halo = { stroke: colours.get("plot"), "stroke-width": 3, "paint-order": "stroke", "stroke-linejoin": "round" };
  group.append(make("text", { ...middle, ...halo, y: radius + size + 0.5, fill: ink }, signed(effect, decimals)));
  return group;
}

function scale(colours, shade, largest, decimals, unit, id) {
  const gradient = make("linearGradient", { id: `${id}-scale` });
  for (let i = 0; i <= 10; i++) {
    gradient.append(make("stop", { offset: i / 10, "stop-color": css(shade((i / 5 - 1) * largest)) }));
  }
  const ink = colours.get("plot-text");
  const text = { y: 216, "font-size": 11.5, "text-anchor": "middle", fill: ink };
  return [
    gradient,
    make("rect", { x: -100, y: 190, width: 200, height: 11, fill: `url(#${id}-scale)`, stroke: ink }),
    make("text", { ...text, x: -100 }, signed(-largest, decimals)),
    make("text", { ...text, x: 0 }, "0"),
    make("text", { ...text, x: 100 }, signed(largest, decimals)),
    make("text", { ...text, y: 231, fill: colours.get("plot-soft") }, unit),
  ];
}
