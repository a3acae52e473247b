// The first page: drop a recording, choose one of the folder, open the example; and who answers.

import * as api from "../api.js";
import { add, announce, button, fill, h, icon, name, pictureButton, printable } from "../dom.js";
import { bytes, until } from "../format.js";
import { modelCard } from "./models.js";
import { problem, progress } from "./problem.js";

const MANY = 8;
const SHOWN = 200;
const FORMATS =
  "EDF and EDF+, BDF, BrainVision, EEGLAB, FIF, GDF, XDF, Neuroscan, ANT, Curry, EGI, Nihon Kohden, Persyst, " +
  "Nicolet, WFDB, MATLAB, NumPy, CSV and Parquet";
const ORIGINS = { upload: "uploaded", folder: "in the folder", example: "example" };

/** Draws the first page into `main`; `app.open(id)` shows a recording. */
export function startPage(main, app) {
  const trouble = h("div", { class: "stack" });
  const list = h("div", { class: "stack" });
  const drop = dropZone(app, trouble);
  fill(
    main,
    h(
      "div",
      { class: "start" },
      h(
        "div",
        { class: "start-main" },
        h("h1", {}, "See the EEG, ask about it, and learn how far to trust the answer"),
        h(
          "p",
          { class: "lead" },
          "Open a recording, look at its traces, and ask the model a question in English. Every " +
            "answer comes with its probability, and says where it cannot be trusted. All of it happens on the " +
            "machine where this service runs; no request leaves it.",
        ),
        drop,
        trouble,
        exampleButton(app, trouble),
        list,
      ),
      h(
        "aside",
        { class: "start-side", "aria-label": "Who answers" },
        h("h2", {}, app.models.length > 1 ? "The models that answer" : "The model that answers"),
        app.models.map((model) => modelCard(model)),
      ),
    ),
  );
  document.title = "neurolm";
  return { refresh: () => recordingList(list, app) };
}

function dropZone(app, trouble) {
  const input = h("input", {
    type: "file",
    multiple: true,
    class: "unseen",
    id: "file-input",
    "data-testid": "file-input",
    "aria-describedby": "formats",
    onchange: () => take([...input.files]),
  });
  const zone = h(
    "div",
    { class: "drop", "data-testid": "drop" },
    icon("upload"),
    h(
      "p",
      { class: "drop-words" },
      "Drop an EEG recording here or ",
      input,
      h("label", { for: "file-input", class: "link" }, "choose a file"),
    ),
    h(
      "p",
      { class: "hint", id: "formats" },
      `${FORMATS}. A recording of several files (BrainVision: .vhdr, .vmrk and .eeg; ` +
        "EEGLAB: .set and .fdt): drop them together.",
    ),
  );
  let inside = 0;
  const over = (count) => {
    inside = Math.max(0, count);
    zone.classList.toggle("over", inside > 0);
  };
  zone.addEventListener("dragenter", (event) => (event.preventDefault(), over(inside + 1)));
  zone.addEventListener("dragleave", () => over(inside - 1));
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    over(0);
    const folders = [...event.dataTransfer.items].filter((item) => item.webkitGetAsEntry?.()?.isDirectory);
    if (folders.length)
      refuse(
        "A folder was dropped: drop the files of one recording. Recordings that are folders (.mff, " +
          ".mefd) are opened from the folder that “neurolm serve --folder” names.",
      );
    else take([...event.dataTransfer.files]);
  });
  const refuse = (words) => fill(trouble, problem({ message: words }, { dismiss: () => fill(trouble) }));
  const take = (files) => {
    if (!files.length) return;
    input.value = "";
    send(files, app, trouble);
  };
  return zone;
}

async function send(files, app, trouble) {
  const named =
    files.length === 1 ? printable(files[0].name) : `${printable(files[0].name)} and ${files.length - 1} more`;
  const size = files.reduce((sum, file) => sum + file.size, 0);
  let task = null;
  const bar = progress(`Sending ${named} (${bytes(size)})`, 0, () => task?.cancel());
  fill(trouble, bar);
  bar.querySelector("button").focus();
  announce(`Sending ${named}`);
  const leaving = (event) => event.preventDefault(); // asks before the page is left with a file half sent
  window.addEventListener("beforeunload", leaving);
  try {
    task = api.upload(files, (share) =>
      bar.update(
        share < 1
          ? `Sending ${named}: ${bytes(share * size)} of ${bytes(size)}`
          : `${named} has arrived and is being looked at`,
        share < 1 ? share : null,
      ),
    );
    const entry = await task.done;
    fill(trouble);
    app.open(entry.id);
  } catch (error) {
    if (error.name === "AbortError") {
      fill(trouble);
      announce("Cancelled: nothing was kept");
      return;
    }
    fill(
      trouble,
      problem(error, {
        title: `${named} was not taken`,
        again: () => send(files, app, trouble),
        dismiss: () => fill(trouble),
      }),
    );
  } finally {
    window.removeEventListener("beforeunload", leaving);
  }
}

function exampleButton(app, trouble) {
  const open = async () => {
    example.disabled = true;
    fill(trouble, progress("Making the example ready"));
    try {
      const entry = await api.addExample();
      fill(trouble);
      app.open(entry.id);
    } catch (error) {
      fill(trouble, problem(error, { title: "The example cannot be opened", again: open }));
    } finally {
      example.disabled = false;
    }
  };
  const example = button("Open the example", open, { picture: "wave", "data-testid": "example" });
  return h(
    "div",
    { class: "row" },
    h("span", { class: "muted" }, "No recording at hand?"),
    example,
    h("span", { class: "muted" }, "It is simulated, not recorded from a person."),
  );
}

/** The recordings that are there; searchable where there are many. */
async function recordingList(list, app) {
  if (!list.childElementCount) fill(list, progress("Looking for recordings"));
  let entries;
  try {
    entries = await api.recordings();
  } catch (error) {
    fill(list, problem(error, { title: "The list of recordings is not there", again: () => recordingList(list, app) }));
    return;
  }
  const rows = h("ul", { class: "recordings" });
  const count = h("p", { class: "hint", role: "status" });
  const show = (wanted) => {
    const found = entries.filter((entry) => entry.name.toLowerCase().includes(wanted.trim().toLowerCase()));
    fill(
      rows,
      found.slice(0, SHOWN).map((entry) => row(entry, app, list)),
    );
    count.textContent =
      found.length > SHOWN
        ? `The first ${SHOWN} of ${found.length}: search for more`
        : wanted
          ? `${found.length} of ${entries.length}`
          : "";
  };
  const search = h("input", {
    type: "search",
    placeholder: "Search by name",
    "aria-label": "Search recordings by name",
    oninput: () => show(search.value),
    value: list.querySelector("input[type=search]")?.value ?? "",
  });
  fill(
    list,
    h("div", { class: "row spread" }, h("h2", {}, "Recordings"), entries.length > MANY && search),
    entries.length
      ? [count, rows]
      : h(
          "p",
          { class: "empty" },
          "None yet. What you drop above is listed here until its time has " +
            "passed; recordings of a folder are, where the service was started with --folder.",
        ),
  );
  show(search.value);
}

function row(entry, app, list) {
  const remove = async () => {
    try {
      await api.remove(entry.id);
      announce(`${printable(entry.name)} was deleted`);
      await recordingList(list, app);
      list.querySelector("a, input")?.focus();
    } catch (error) {
      add(list, problem(error, { title: "It was not deleted" }));
    }
  };
  const facts = [
    ORIGINS[entry.origin] ?? entry.origin,
    bytes(entry.bytes),
    // unless --uploads was given
    entry.expires && `deleted ${until(entry.expires)}, perhaps sooner if the service ends`,
  ];
  return h(
    "li",
    { class: "recording" },
    h(
      "a",
      { href: `#r=${encodeURIComponent(entry.id)}`, "data-testid": `recording-${entry.id}`, class: "recording-link" },
      icon("wave"),
      h("span", { class: "recording-name" }, name(entry.name)),
      h("span", { class: "muted" }, facts.filter(Boolean).join(" · ")),
    ),
    entry.origin === "upload" && pictureButton(`Delete ${printable(entry.name)} from the service`, "trash", remove),
  );
}
