/**
 * The views together, as an app would connect them;
 * ?kind=sleep|yes_no|events|classes &hours= &channels= &page= &slow= &whole &scalp &square
 */

import { BandsView } from "/viewer/bands.js";
import { OverviewView } from "/viewer/overview.js";
import { scalpMap } from "/viewer/scalp.js";
import { TraceView } from "/viewer/traces.js";
import { PLACES, envelope, makeSource, makeWindows } from "./synthetic.js";

const wanted = new URLSearchParams(location.search);
const OPTIONS = {
  sleep: {
    options: ["NREM-1", "NREM-2", "NREM-3", "REM", "Wake"], length: 30, stride: 30,
    name: "Which stage of sleep is this?",
  },
  yes_no: { options: ["Yes", "No"], length: 4, stride: 2, name: "Is the person doing mental arithmetic?" },
  events: {
    options: ["background", "spike or sharp wave", "eye movement", "artefact"], length: 5, stride: 5,
    name: "What is this event?",
  },
  classes: { options: ["happy", "neutral", "sad"], length: 10, stride: 10, name: "What does the person feel?" },
};
const kind = wanted.get("kind") ?? "yes_no";
const number = (name, otherwise) => Number(wanted.get(name) ?? otherwise);
const seconds = number("hours", 1) * 3600;
const count = number("channels", 19);
const [square, ecg] = [wanted.has("square"), wanted.get("ecg")];
const source = makeSource({ count, seconds, square, ecg, slow: number("slow", 5) });
const view = new TraceView(document.querySelector("#traces"), source, { pageSeconds: number("page", 10) });
const bands = new BandsView(document.querySelector("#bands"));
const overview = new OverviewView(document.querySelector("#overview"));
overview.setData(envelope(seconds), { ...source, gaps: source.gaps.map(([from, to]) => [from, to]) });

const follow = () => {
  overview.setWindow(view.start, view.pageSeconds);
  bands.setWindow(view.start, view.pageSeconds);
  if (!wanted.has("whole")) bands.setRange(view.start, view.pageSeconds);
};
view.addEventListener("view", follow);
overview.addEventListener("seek", ({ detail }) => view.goTo(detail.start));
bands.addEventListener("seek", ({ detail }) => view.goTo(detail.start - view.pageSeconds / 4));
bands.addEventListener("select", ({ detail }) => view.setHighlight(detail.window.start, detail.window.stop));
document.addEventListener("keydown", (event) => event.target === document.body && view.keydown(event));
follow();

const { stride, ...question } = OPTIONS[kind];
// the four stages follow the order of NIGHT in synthetic.js: wake, N1, N2, N3, REM
const ORDER = kind === "sleep" ? [1, 2, 3, 4, 0] : question.options.map((_, i) => i);
const windows = makeWindows(kind, { seconds, length: question.length, stride, count: question.options.length });
for (const window of windows) window.probabilities = ORDER.map((place) => window.probabilities[place]);
bands.begin({ ...question, kind, seconds });
bands.add(windows);
bands.finish();

if (wanted.has("scalp")) {
  const effect = (x, y) => 0.5 * Math.sin(2.2 * x + 0.8) * Math.cos(1.4 * y) - 0.25 * y;
  const places = Object.entries(PLACES);
  const electrodes = places.map(([name, [x, y]]) => ({ name, x, y, effect: effect(x, y), spread: 0.06 }));
  document.querySelector("#scalp").append(scalpMap(electrodes, { title: "What carried Yes", unit: "nats for Yes" }));
}
Object.assign(globalThis, { view, bands, overview, source, windows });
