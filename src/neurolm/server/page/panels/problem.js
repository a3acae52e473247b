// What went wrong, where it went wrong: the message, what can be done, and a button that tries again.

import { remedy } from "../api.js";
import { announce, button, h, icon, printable } from "../dom.js";

/** A box with an error; `again` is called by its button, `undo` when it is put away. */
export function problem(error, { again = null, dismiss = null, title = null } = {}) {
  const message = printable(error.message || String(error));
  const help = remedy(error);
  announce(`${title ? `${title}. ` : ""}${message} ${help ?? ""}`, true);
  return h(
    "div",
    { class: "notice error", "data-testid": "error" },
    icon("warning"),
    h(
      "div",
      { class: "notice-body" },
      title && h("strong", { class: "notice-title" }, title),
      h("p", {}, sentence(message)),
      help && h("p", { class: "muted" }, help),
      (again || dismiss) &&
        h(
          "div",
          { class: "row" },
          again && button("Try again", again, { kind: "small" }),
          dismiss && button("Dismiss", dismiss, { kind: "small quiet" }),
        ),
    ),
  );
}

/** A box with something that one should know: `warning` or `note`. */
export function notice(text, kind = "note", testid = null) {
  return h(
    "div",
    { class: `notice ${kind}`, "data-testid": testid },
    icon(kind === "note" ? "note" : "warning"),
    h("div", { class: "notice-body" }, h("p", {}, typeof text === "string" ? sentence(printable(text)) : text)),
  );
}

/** A message as a sentence: the service's begin small, as those of a command do. */
export function sentence(text) {
  const begun = text.replace(/^[a-z](?=[a-z-]*[ :,])/, (letter) => letter.toUpperCase());
  return /[.!?…:]$/.test(begun) ? begun : `${begun}.`;
}

/** Something is under way: a bar (share 0 to 1; null: nobody knows), words, and a way to stop it. */
export function progress(words, share = null, oncancel = null) {
  const bar = h("progress", { max: 1, "aria-label": words });
  if (share !== null) bar.value = share;
  const says = h("span", { class: "progress-words" }, words);
  const element = h(
    "div",
    { class: "progress" },
    h("div", { class: "row spread" }, says, oncancel && button("Cancel", oncancel, { kind: "small", picture: "stop" })),
    bar,
  );
  element.update = (text, part) => {
    says.textContent = text;
    if (part === null || part === undefined) bar.removeAttribute("value");
    else bar.value = part;
  };
  return element;
}
