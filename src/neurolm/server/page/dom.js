// Elements made of code, never of markup: whatever a file says is text, and cannot become anything else.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes (`on…`: listeners; true: present; false, null: absent) and children. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked" || key === "indeterminate") element[key] = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  add(element, children);
  return element;
}

/** Appends children, however nested; what is null or false is left out. */
export function add(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

/** An element with other children than before. */
export function fill(element, ...children) {
  element.replaceChildren();
  return add(element, ...children);
}

/** What a file or a user named, kept apart from the text around it: it may be written from right to left. */
export function name(text) {
  return h("bdi", { class: "name" }, printable(text));
}

/** A text without the characters that steer a terminal, or turn the direction of what follows. */
export function printable(text) {
  return String(text ?? "")
    .replace(/[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/g, "")
    .replace(/[\u0000-\u001f\u007f-\u009f]/g, "\u00b7");
}

const ICONS = {
  upload: "M12 15V4m0 0L7.500 8.500M12 4l4.500 4.500M4 15v4a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-4",
  back: "M15 5l-7 7 7 7",
  forward: "M9 5l7 7-7 7",
  first: "M17 5l-7 7 7 7M7 5v14",
  last: "M7 5l7 7-7 7M17 5v14",
  close: "M6 6l12 12M18 6L6 18",
  help: "M9 9.500a3 3 0 1 1 4.200 2.800c-.8.400-1.200 1-1.200 1.900M12 17.500v.100",
  sun:
    "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2m0 16v2M2 12h2m16 0h2" +
    "M5 5l1.4 1.4m11.2 11.2L19 19M5 19l1.4-1.4M17.6 6.4L19 5",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z",
  down: "M6 9l6 6 6-6",
  warning: "M12 4L2.500 20h19L12 4zM12 10v4.500M12 17.400v.100",
  note: "M12 11v5M12 7.900v.100M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18",
  check: "M5 12.500l4.500 4.500L19 7.500",
  wave: "M2 12h4l2-6 4 12 4-14 3 8h3",
  export: "M12 4v11m0 0l-4.500-4.500M12 15l4.500-4.500M4 17v2a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-2",
  stop: "M7 7h10v10H7z",
  trash: "M4 7h16M9 7V4h6v3M6.500 7l1 13h9l1-13",
};

/** A small picture beside words; it says nothing that the words do not. */
export function icon(which) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of [
    ["viewBox", "0 0 24 24"],
    ["class", "icon"],
    ["aria-hidden", "true"],
    ["focusable", "false"],
  ])
    svg.setAttribute(key, value);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[which]);
  svg.append(path);
  return svg;
}

/** A button with words and, if wished, a picture. */
export function button(words, onclick, { picture = null, kind = "", ...attributes } = {}) {
  return h(
    "button",
    { type: "button", class: `button ${kind}`, onclick, ...attributes },
    picture && icon(picture),
    h("span", {}, words),
  );
}

/** A button with a picture only; its words are for screen readers, and shown by the pointer. */
export function pictureButton(words, picture, onclick, attributes = {}) {
  return h(
    "button",
    { type: "button", class: "button bare", title: words, "aria-label": words, onclick, ...attributes },
    icon(picture),
  );
}

/** A label and the field that it names. */
export function field(words, control, { hint = null, kind = "" } = {}) {
  return h(
    "label",
    { class: `field ${kind}` },
    h("span", { class: "field-name" }, words),
    control,
    hint && h("span", { class: "hint" }, hint),
  );
}

/** A choice among [value, words] pairs. */
export function select(choices, value, onchange, attributes = {}) {
  const element = h("select", { onchange: () => onchange(element.value), ...attributes });
  for (const [key, words] of choices)
    add(element, h("option", { value: key, selected: String(key) === String(value) }, words));
  return element;
}

/** Scrolls a part of the page to an element in it, and nothing else: to its beginning, or only as far as need be. */
export function scrollWithin(part, element, { begin = false } = {}) {
  if (!part || !element) return;
  const [place, box] = [part.getBoundingClientRect(), element.getBoundingClientRect()];
  const above = box.top - place.top;
  const below = box.bottom - place.bottom;
  if (begin) part.scrollTop += above - 8;
  else if (above < 0) part.scrollTop += above;
  else if (below > 0) part.scrollTop += Math.min(above, below);
}

/** Says something to screen readers; what is urgent interrupts. */
export function announce(text, urgent = false) {
  const region = document.getElementById(urgent ? "urgent" : "polite");
  if (region) region.textContent = region.textContent === text ? `${text}\u00a0` : text;
}

/** A dialog: the browser keeps the focus in it, Escape closes it, and the focus returns to where it was. */
export function dialog(title, content, { kind = "", onclose = null } = {}) {
  const heading = h("h2", { id: "dialog-title" }, title);
  const close = pictureButton("Close", "close", () => element.close());
  const element = h(
    "dialog",
    { class: `dialog ${kind}`, "aria-labelledby": "dialog-title" },
    h("div", { class: "dialog-head" }, heading, close),
    h("div", { class: "dialog-body" }, content),
  );
  const before = document.activeElement;
  element.addEventListener("click", (event) => event.target === element && element.close());
  element.addEventListener("close", () => {
    element.remove();
    before?.focus?.();
    onclose?.();
  });
  document.body.append(element);
  element.showModal();
  return element;
}
