// The service's API: requests that say what went wrong and what to do, wait when told to, and notice a lost connection.

import { token } from "./state.js";

const BASE = new URL("api/v1/", new URL(".", location.href.split("#")[0]));
const TRIES = 5;

/** What went wrong, as words for the user. `status` 0: the service could not be reached. */
export class ApiError extends Error {
  constructor(kind, message, status, wait = null) {
    super(message);
    this.kind = kind;
    this.status = status;
    this.wait = wait;
  }
}

const REMEDIES = {
  0: "Is “neurolm serve” still running? This page goes on by itself as soon as it answers.",
  401: "Give the token that the service was started with, or open its address with #token=… at the end.",
  403: "Open the page by the address that “neurolm serve” printed.",
  404: "It may have been deleted, or its time has passed: go back to the recordings, and add it again.",
  413: "Cut the recording into parts, or start the service with a higher limit.",
  421: "Open the page by the address that “neurolm serve” printed.",
  429: "The service has much to do: try again in a moment.",
  500: "Try again; if it stays, the service's log says more.",
  503: "The service is being stopped, or started again: try again in a moment.",
  507: "The disk of the service is full: delete recordings that you no longer need.",
};

/** What a user can do about an error; null where its message says it. */
export function remedy(error) {
  return REMEDIES[error.status] ?? null;
}

/** Tells the page whether the service answers: events `lost` and `found`. */
export const connection = new EventTarget();

let connected = true;

function reached(yes) {
  if (yes === connected) return;
  connected = yes;
  connection.dispatchEvent(new Event(yes ? "found" : "lost"));
}

export function isConnected() {
  return connected;
}

function headers(more = {}) {
  const word = token();
  return word ? { ...more, Authorization: `Bearer ${word}` } : more;
}

async function errorOf(response) {
  let kind = "Error";
  let message = `the service answered with ${response.status} ${response.statusText}`.trim();
  try {
    const body = await response.json();
    if (body?.error) ({ kind, message } = body.error);
  } catch {
    // an answer that is no JSON comes from a proxy in front: its status must do
  }
  const wait = Number.parseFloat(response.headers.get("Retry-After"));
  return new ApiError(kind, message, response.status, Number.isFinite(wait) ? wait : null);
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(signal.reason);
      },
      { once: true },
    );
  });
}

/** A response of the service; `onwait(seconds)` is told when it is busy and the request waits to be tried again. */
export async function send(
  path,
  { method = "GET", body = null, accept = "application/json", signal = null, onwait = null } = {},
) {
  for (let attempt = 1; ; attempt += 1) {
    let response;
    try {
      response = await fetch(new URL(path, BASE), {
        method,
        signal,
        headers: headers({ Accept: accept, ...(body === null ? {} : { "Content-Type": "application/json" }) }),
        body: body === null ? null : JSON.stringify(body),
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      reached(false);
      throw new ApiError("Connection", "The service does not answer.", 0);
    }
    reached(true);
    if (response.ok) return response;
    const error = await errorOf(response);
    if (error.status !== 429 || attempt === TRIES) throw error;
    const seconds = Math.min(error.wait ?? 2, 60);
    onwait?.(seconds);
    await pause(seconds, signal);
  }
}

export async function getJson(path, options = {}) {
  const response = await send(path, options);
  return response.status === 204 ? null : response.json();
}

const at = (id) => `recordings/${encodeURIComponent(id)}`;

export const models = () => getJson("models");
export const recordings = () => getJson("recordings");
export const addExample = () => getJson("recordings/example", { method: "POST" });
export const remove = (id) => getJson(at(id), { method: "DELETE" });
export const inspection = (id, options) => getJson(`${at(id)}/inspection`, options);
export const setReading = (id, body) => getJson(`${at(id)}/reading`, { method: "PUT", body });
export const explain = (id, body, options) => getJson(`${at(id)}/explain`, { method: "POST", body, ...options });
export const concluded = (id, answer, risk = null) =>
  getJson(`${at(id)}/answers/${encodeURIComponent(answer)}${risk === null ? "" : `?risk=${risk}`}`);
export const exportPath = (id, answer, format, risk = null) => {
  const words = new URLSearchParams(risk ? { format, risk } : { format });
  return `${at(id)}/answers/${encodeURIComponent(answer)}/export?${words}`;
};
export const reportPath = (id, format, model) =>
  `${at(id)}/report?${new URLSearchParams({ format, ...(model ? { model } : {}) })}`;
export const embedPath = (id) => `${at(id)}/embed`;

/** What the viewer draws; `onprogress(share)` is told while the service still makes it ready. */
export async function view(id, { signal = null, onprogress = null } = {}) {
  for (;;) {
    const found = await getJson(`${at(id)}/view`, { signal, onwait: () => onprogress?.(null) });
    if (found.ready !== false) return found;
    onprogress?.(found.progress ?? null);
    await pause(0.25, signal);
  }
}

/** Samples as they come: bytes. A service that was restarted may have to make them ready again. */
async function samples(path, signal) {
  for (;;) {
    const response = await send(path, { accept: "application/octet-stream", signal });
    if (response.status !== 202) return response.arrayBuffer();
    await pause(Number.parseFloat(response.headers.get("Retry-After")) || 1, signal);
  }
}

export const traces = (id, words, signal) => samples(`${at(id)}/traces?${new URLSearchParams(words)}`, signal);
export const overview = (id, words, signal) => samples(`${at(id)}/overview?${new URLSearchParams(words)}`, signal);

/** Uploads the files of one recording; `onprogress(share)`. Returns {done: a promise of the entry, cancel()}. */
export function upload(files, onprogress) {
  const request = new XMLHttpRequest(); // fetch does not say how much of a body was sent
  const body = new FormData();
  for (const file of files) body.append("files", file, file.name);
  const done = new Promise((resolve, reject) => {
    request.upload.addEventListener(
      "progress",
      (event) => event.lengthComputable && onprogress(event.loaded / event.total),
    );
    request.addEventListener("load", () => {
      reached(true);
      let answer = null;
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // no JSON: the status says enough
      }
      if (request.status === 201 || request.status === 200) resolve(answer);
      else {
        const { kind = "Error", message = `the service answered with ${request.status}` } = answer?.error ?? {};
        reject(
          new ApiError(
            kind,
            message,
            request.status,
            Number.parseFloat(request.getResponseHeader("Retry-After")) || null,
          ),
        );
      }
    });
    request.addEventListener("error", () => {
      // a service that refuses a file while it is still being sent closes the connection, too
      reject(new ApiError("Connection", "The connection broke off while the file was sent.", 0));
    });
    request.addEventListener("abort", () => reject(new DOMException("cancelled", "AbortError")));
  });
  request.open("POST", new URL("recordings", BASE));
  for (const [key, value] of Object.entries(headers({ Accept: "application/json" })))
    request.setRequestHeader(key, value);
  request.send(body);
  return { done, cancel: () => request.abort() };
}

/** Fetches a file and hands it to the browser, under the name that the service gave it. Returns the name. */
export async function download(path, { method = "GET", body = null, fallback = "neurolm", onwait = null } = {}) {
  const response = await send(path, { method, body, accept: "*/*", onwait });
  const said = response.headers.get("Content-Disposition") ?? "";
  const coded = /filename\*=(?:UTF-8|utf-8)''([^;]+)/.exec(said)?.[1];
  const file = coded ? decodeURIComponent(coded) : (/filename="?([^";]+)"?/.exec(said)?.[1] ?? fallback);
  const address = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = address;
  link.download = file;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
  return file;
}

/** Asks a question; `onevent(name, data)` for each thing that the service says, until it is done. */
export async function ask(id, body, { signal, onevent, onwait }) {
  const response = await send(`${at(id)}/ask`, { method: "POST", body, accept: "text/event-stream", signal, onwait });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let complete = false;
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const blocks = (rest + value.replaceAll("\r", "")).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const [event, data] = parseEvent(block);
        if (data === null) continue;
        if (event === "error") throw new ApiError(data.kind, data.message, data.status ?? 422);
        complete ||= event === "answer";
        onevent(event, data);
      }
    }
  } catch (error) {
    if (error instanceof ApiError || error.name === "AbortError") throw error;
    reached(false);
    throw new ApiError("Connection", "The connection broke off before the answer was complete.", 0);
  }
  if (!complete) throw new ApiError("Connection", "The connection broke off before the answer was complete.", 0);
}

function parseEvent(block) {
  let event = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return [event, data.length ? JSON.parse(data.join("\n")) : null];
}

/** Waits until the service answers again. Returns how many seconds it has been running. */
export async function untilFound(signal) {
  for (;;) {
    try {
      const response = await fetch(new URL("health", BASE), { signal });
      if (response.ok) {
        const { uptime_s: uptime } = await response.json();
        reached(true);
        return uptime;
      }
    } catch (error) {
      if (error.name === "AbortError") throw error;
    }
    await pause(2, signal);
  }
}
