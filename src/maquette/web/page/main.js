// The terminal on the page: shows what the worker sends, and takes Ctrl-C and Enter.

import { FitAddon } from "./xterm/addon-fit.mjs";
import { Terminal } from "./xterm/xterm.mjs";

const COLUMNS = 60; // the show is made for at least as many
const LARGEST = 14; // pixels of a letter; less where the window is narrow
const SMALLEST = 8;
const BAR = 24;
const C = 67; // the key, also where a layout has another alphabet on it
const COLOURS = {
  background: "#0d1117",
  foreground: "#e6edf3",
  cursor: "#8b949e",
  red: "#ff7b72",
  green: "#7ee787",
  yellow: "#e3b341",
  cyan: "#79c0ff",
};

const byId = (id) => document.getElementById(id);
const total = Number(document.documentElement.dataset.bytes);
const terminal = new Terminal({
  convertEol: true,
  drawBoldTextInBrightColors: false,
  fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
  fontSize: LARGEST,
  scrollback: 20000,
  theme: COLOURS,
});
const fit = new FitAddon();
let worker = null;
let playing = false;

function start() {
  byId("before").remove();
  terminal.loadAddon(fit);
  terminal.open(byId("terminal"));
  terminal.attachCustomKeyEventHandler(isOurs);
  terminal.onData(hear);
  terminal.element.addEventListener("copy", () => setTimeout(() => terminal.clearSelection()));
  if (matchMedia("(pointer: coarse)").matches) terminal.textarea.inputMode = "none";
  new ResizeObserver(resize).observe(byId("terminal"));
  resize();
  readAddress();
  byId("options").addEventListener("change", change);
  byId("options").addEventListener("submit", (event) => event.preventDefault());
  byId("toggle").addEventListener("click", () => {
    if (playing) stop();
    else begin();
    terminal.focus();
  });
  terminal.focus();
  load();
}

function load() {
  if (typeof WebAssembly === "undefined") {
    fail("Python runs here in WebAssembly, which this browser doesn't have, or was told not to use");
    return;
  }
  worker = new Worker("worker.js", { type: "module" });
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    fail(`Python couldn't be loaded: ${event.message ?? "a script is missing, or too new for this browser"}`);
  });
  worker.addEventListener("message", ({ data }) => receive[data.kind](data));
  progress(0);
  begin();
}

/** What the worker sends. */
const receive = {
  loading: ({ bytes }) => progress(bytes),
  loaded: () => terminal.write("\r\x1b[2K"),
  text: ({ text }) => terminal.write(text, () => worker.postMessage({ kind: "shown" })),
  ended: () => setPlaying(false),
  failed: ({ text }) => fail(text),
};

function progress(bytes) {
  const share = Math.min(1, bytes / total);
  const full = Math.round(share * BAR);
  const bar = `\x1b[32m${"━".repeat(full)}\x1b[0m\x1b[2m${"─".repeat(BAR - full)}\x1b[0m`;
  const size = `${(bytes / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`;
  const doing = bytes < total ? "Loading" : "Starting";
  terminal.write(`\r\x1b[2K  ${doing} Python  ${bar}  ${size}`);
}

function fail(text) {
  terminal.write(`\n\x1b[1;31merror:\x1b[0m ${text}\n`);
  setPlaying(false);
  byId("toggle").disabled = true;
  worker?.terminate();
  worker = null;
}

function begin({ clears = false } = {}) {
  if (!worker) return;
  setPlaying(true);
  const { search } = location;
  worker.postMessage({ kind: "begin", query: search, columns: terminal.cols, clears });
}

function stop() {
  worker?.postMessage({ kind: "stop" });
}

function setPlaying(now) {
  playing = now;
  byId("toggle").textContent = now ? "Stop" : "Begin";
}

/** Only these keys are the terminal's; the others stay the browser's. Selected text is copied. */
function isOurs(event) {
  if (event.ctrlKey) return event.keyCode === C && !terminal.hasSelection();
  return event.key === "Enter" || (event.shiftKey && event.key.startsWith("Page"));
}

function hear(data) {
  if (data === "\x03" && playing) stop();
  if (data === "\r" && !playing) begin();
}

function resize() {
  terminal.options.fontSize = LARGEST;
  const fitting = fit.proposeDimensions()?.cols ?? COLUMNS;
  if (fitting < COLUMNS) {
    const size = Math.floor((2 * LARGEST * fitting) / COLUMNS) / 2;
    terminal.options.fontSize = Math.max(SMALLEST, size);
  }
  fit.fit();
  worker?.postMessage({ kind: "resize", columns: terminal.cols });
}

/** Have the controls say what the address does. */
function readAddress() {
  const query = new URLSearchParams(location.search);
  choose(byId("module"), query.getAll("module").join(","), "");
  choose(byId("speed"), query.get("speed-factor") || "1", " x");
}

function choose(select, value, unit) {
  if (![...select.options].some((option) => option.value === value)) {
    select.add(new Option(value.replaceAll(",", ", ") + unit, value));
  }
  select.value = value;
}

/** Have the address say what the controls do, and begin anew. */
function change() {
  const query = new URLSearchParams(location.search);
  query.delete("module");
  for (const name of byId("module").value.split(",")) if (name) query.append("module", name);
  query.set("speed-factor", byId("speed").value);
  history.replaceState(null, "", `?${query}`);
  begin({ clears: true });
  terminal.focus();
}

start();
