// The page: which of its three views is shown, the keys, light and dark, and what happens when the service is away.

import * as api from "./api.js";
import { announce, button, dialog, field, fill, h, name, pictureButton } from "./dom.js";
import { help } from "./panels/help.js";
import { inspectionPage } from "./panels/inspection.js";
import { problem, progress } from "./panels/problem.js";
import { startPage } from "./panels/start.js";
import { Workspace } from "./panels/workspace.js";
import {
  addressOf,
  applyTheme,
  isDark,
  place,
  setAnswersOf,
  setPlace,
  setTaste,
  setToken,
  takeToken,
} from "./state.js";

const main = document.getElementById("main");

/** What the views call. */
const app = {
  models: [],
  entries: new Map(),
  workspace: null,
  start: null,
  begun: null, // when the service was started, by this page's clock (seconds); another time: it was started again

  home() {
    setPlace(null, null, { step: true });
    route();
  },
  /** What was understood of a recording. */
  open(id) {
    setPlace(id, null, { step: true });
    route();
  },
  /** A recording's traces. */
  show(id, second) {
    setPlace(id, second, { step: true });
    route();
  },
  /** A recording is read in another way: what was known of it no longer holds. */
  forget(id) {
    app.entries.delete(id);
    setAnswersOf(id, []);
  },
};

async function route() {
  app.workspace?.close();
  app.workspace = null;
  app.start = null;
  document.body.classList.remove("full");
  const { recording, second } = place();
  title(null);
  if (!recording) {
    app.start = startPage(main, app);
    app.start.refresh();
    main.scrollTop = 0;
    return;
  }
  const entry = await find(recording);
  if (!entry || place().recording !== recording) return;
  title(entry);
  if (second === null) await inspectionPage(main, app, entry);
  else {
    document.body.classList.add("full");
    app.workspace = new Workspace(main, app, entry, second);
  }
}

async function find(id) {
  if (app.entries.has(id)) return app.entries.get(id);
  try {
    for (const entry of await api.recordings()) app.entries.set(entry.id, entry);
  } catch (error) {
    fill(
      main,
      h(
        "div",
        { class: "waiting" },
        h("h1", { class: "unseen" }, "Recording"),
        problem(error, { title: "The recording cannot be found", again: route }),
      ),
    );
    return null;
  }
  if (!app.entries.has(id)) {
    fill(
      main,
      h(
        "div",
        { class: "waiting" },
        h("h1", { class: "unseen" }, "Recording"),
        problem({
          message: "This recording is not there, or no longer: uploads are deleted when their time has passed",
          status: 404,
        }),
        button("All recordings", () => app.home(), { picture: "back" }),
      ),
    );
    return null;
  }
  return app.entries.get(id);
}

function title(entry) {
  const where = document.getElementById("bar-title");
  if (!entry) {
    fill(where);
    return;
  }
  fill(
    where,
    h(
      "nav",
      { "aria-label": "Where you are" },
      h("a", { href: location.pathname, onclick: (event) => (event.preventDefault(), app.home()) }, "Recordings"),
      h("span", { "aria-hidden": "true" }, " / "),
      h("a", { href: addressOf(entry.id), "aria-label": `What was understood of ${entry.name}` }, name(entry.name)),
    ),
  );
}

function tools() {
  const words = () => (isDark() ? "Switch to light" : "Switch to dark");
  const theme = pictureButton(
    words(),
    isDark() ? "sun" : "moon",
    () => {
      setTaste("theme", isDark() ? "light" : "dark");
      recolour();
    },
    { "data-testid": "theme" },
  );
  const recolour = () => {
    applyTheme();
    const next = pictureButton(words(), isDark() ? "sun" : "moon", () => {});
    theme.replaceChildren(...next.childNodes);
    theme.title = words();
    theme.setAttribute("aria-label", words());
    app.workspace?.recolour();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  fill(
    document.getElementById("bar-tools"),
    pictureButton("Keys and marks (?)", "help", help, { "data-testid": "help" }),
    theme,
  );
}

function keys(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const { target } = event;
  if (
    document.querySelector("dialog[open]") ||
    target.closest?.("select, textarea, input:not([type=checkbox]):not([type=radio]), [role=tablist], .scroll")
  )
    return;
  if (event.key === "?") {
    event.preventDefault();
    help();
    return;
  }
  const pressed = [" ", "Enter"].includes(event.key) && target.closest?.("button, a, summary, input");
  const chosen = event.key.startsWith("Arrow") && target.matches?.("input[type=radio]");
  const drawn = target.closest?.(".overview, .bands"); // these have keys of their own
  if (!pressed && !chosen && !drawn && app.workspace?.key(event)) event.preventDefault();
}

/** The service is away: it is said, waited for, and all goes on when it is back. */
async function lost() {
  const banner = document.getElementById("connection");
  if (!banner.hidden) return;
  banner.hidden = false;
  fill(
    banner,
    h("strong", {}, "The service does not answer."),
    h("span", {}, " Nothing on this page is lost; it goes on by itself as soon as the service is back."),
  );
  announce("The service does not answer", true);
  const before = app.begun;
  await learnStart();
  const restarted = before !== null && app.begun > before + 5;
  fill(banner);
  banner.hidden = true;
  announce(restarted ? "The service was restarted, and answers again" : "The service answers again");
  app.entries.clear();
  await begin(false);
}

async function learnStart() {
  const uptime = await api.untilFound();
  app.begun = performance.now() / 1000 - uptime;
}

async function token() {
  const word = h("input", { type: "password", autocomplete: "off", required: true });
  const box = dialog(
    "This service asks for a token",
    h(
      "form",
      {
        class: "stack",
        onsubmit: (event) => {
          event.preventDefault();
          setToken(word.value.trim());
          box.close();
          begin(true);
        },
      },
      h(
        "p",
        {},
        "Whoever started the service has it; an address that ends with #token=… brings it along. " +
          "It is kept in this tab only.",
      ),
      field("Token", word),
      h("div", { class: "row end" }, h("button", { type: "submit", class: "button primary" }, "Go on")),
    ),
  );
  word.focus();
}

/** Learns who answers, and shows what the address says. */
async function begin(first) {
  if (first) fill(main, h("div", { class: "waiting" }, progress("Asking the service which model answers")));
  try {
    app.models = await api.models();
  } catch (error) {
    if (!first) return;
    fill(
      main,
      h(
        "div",
        { class: "waiting" },
        h("h1", { class: "unseen" }, "neurolm"),
        problem(error, { title: "The service does not say which model answers", again: () => begin(true) }),
      ),
    );
    if (error.status === 401) token();
    return;
  }
  if (first || !app.workspace) await route();
  else app.workspace.found();
}

takeToken();
applyTheme();
tools();
document.addEventListener("keydown", keys);
document.getElementById("home").addEventListener("click", (event) => {
  event.preventDefault();
  app.home();
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
window.addEventListener("popstate", () => {
  takeToken();
  route();
});
for (const kind of ["dragover", "drop"]) {
  window.addEventListener(kind, (event) => event.preventDefault()); // a file beside the drop zone replaces no page
}
api.connection.addEventListener("lost", lost);
learnStart();
begin(true);
