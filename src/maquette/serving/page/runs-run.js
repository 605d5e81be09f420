// One run: where it stands, its curves, what it writes, what its worker says.

import { byId, make, speak } from "./dom.js";
import { Chart, smooth } from "./runs-chart.js";
import { called, showState, text } from "./runs-list.js";
import { addressOf, now, Poll, Source } from "./runs-source.js";
import * as words from "./runs-words.js";

const KEY = "maquette.runs";
const LIVE_SECONDS = 1;
const STILL_SECONDS = 4;
const MOST_POINTS = 2000; // then they are asked for anew, which thins them out
const LINES = 12; // of a chart at most
const ROUND_SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];

const ACROSS = {
  step: { format: (step) => `step ${words.whole(step)}`, tick: words.round },
  seconds: { format: words.duration, tick: words.duration, steps: ROUND_SECONDS },
};

/** Everything of #run. */
export class RunView {
  #id = "";
  #source = null;
  #run = null;
  #curves = null;
  #cursor = null;

  constructor(tell) {
    this.tell = tell;
    this.poll = new Poll((signal) => this.#look(signal), { seconds: STILL_SECONDS, tell });
    this.charts = {
      loss: new Chart("Loss", { format: words.loss, tick: axis, tall: true }),
      sources: new Chart("Validation loss by source", { format: words.loss, tick: axis }),
      rate: new Chart("Learning rate", { format: words.rate, tick: brief }),
      speed: new Chart("Speed", { format: words.count, tick: words.round }),
      norm: new Chart("Gradient norm", { format: axis, tick: axis }),
    };
    byId("charts").append(...Object.values(this.charts).map((chart) => chart.element));
    const tools = byId("tools");
    recall(tools);
    tools.addEventListener("input", () => {
      remember(tools);
      this.#draw();
    });
  }

  /** Show a run, and go on showing it. */
  show(id) {
    if (id !== this.#id) {
      [this.#id, this.#run, this.#curves, this.#cursor] = [id, null, null, null];
      this.#source = new Source();
      byId("run").classList.add("unread");
      text(byId("run-name"), id);
      document.title = `${id} - maquette`;
    }
    this.poll.start();
  }

  stop() {
    this.poll.stop();
  }

  async #look(signal) {
    const address = addressOf(this.#id);
    const run = await this.#source.read(address, signal);
    const curves = await this.#readCurves(address, signal);
    if (run) this.#tell(run);
    if (curves) this.#draw();
    this.#tick();
    byId("run").classList.remove("unread");
    return ["queued", "running"].includes(this.#run.status) ? LIVE_SECONDS : STILL_SECONDS;
  }

  /** Take in what is new of the curves; says whether anything is. */
  async #readCurves(address, signal) {
    const full = this.#curves?.steps.step.length > MOST_POINTS;
    const after = this.#cursor && !full ? `?after=${this.#cursor}` : "";
    const found = await new Source().read(`${address}/metrics${after}`, signal);
    signal.throwIfAborted();
    this.#cursor = found.cursor;
    if (found.anew || !this.#curves) {
      this.#curves = found;
      return true;
    }
    const { steps, evaluations } = this.#curves;
    for (const [name, column] of Object.entries(steps)) column.push(...(found.steps[name] ?? []));
    evaluations.push(...found.evaluations);
    return Boolean(found.steps.step.length || found.evaluations.length);
  }

  #tell(run) {
    if (this.#run && this.#run.status !== run.status) speak(`${called(run)} is ${run.status}`);
    this.#run = run;
    text(byId("run-name"), called(run));
    showState(byId("run-state"), run);
    const size = run.parameters === null ? "" : `${words.count(run.parameters)} parameters`;
    const machine = [size, run.device, run.precision, run.compiled ? "compiled" : ""];
    const kind = run.kind === "training" ? "" : run.kind;
    const id = run.name === null ? "" : run.id;
    text(byId("run-what"), [id, kind, ...machine].filter(Boolean).join(", "));
    this.#tellError(run);
    this.#tellSources(run.sources);
    showSamples(run.samples);
    showLog(run.log);
    showPairs(byId("facts"), facts(run));
  }

  #tellError(run) {
    const place = byId("run-error");
    const failed = ["failed", "lost"].includes(run.status);
    place.hidden = !failed;
    if (!failed) return;
    const from = run.checkpoints.length ? `from step ${words.whole(run.checkpoints.at(-1).step)}` : "from its start";
    const what = run.status === "lost" ? "Its worker is gone without a word." : (run.error ?? "It failed.");
    const next = run.hint ? [make("span", {}, run.hint)] : [];
    place.replaceChildren(
      make("strong", { dir: "auto" }, what),
      ...next,
      make("span", {}, make("code", {}, `maquette resume ${run.id}`), ` goes on ${from}.`),
    );
  }

  #tellSources(sources) {
    byId("sources").hidden = !sources.length;
    byId("source-rows").replaceChildren(
      ...sources.map(({ name, loss, tokens_seen: seen }) =>
        make(
          "tr",
          {},
          make("th", { scope: "row", dir: "auto" }, name),
          make("td", { className: "number" }, words.loss(loss ?? NaN)),
          make("td", { className: "number" }, words.count(seen)),
        ),
      ),
    );
  }

  /** What changes with the time alone, too. */
  #tick() {
    const run = this.#run;
    if (!run) return;
    const { step, steps } = run;
    const live = run.status === "running";
    const done = words.percent(step, steps);
    const left = live && run.ends_at !== null ? run.ends_at - now() : NaN;
    const way = [
      steps ? `${words.whole(step)} of ${words.whole(steps)} steps` : "",
      steps ? done : "",
      Number.isFinite(left) ? `${words.duration(Math.max(0, left))} left, until ${words.clock(run.ends_at)}` : "",
      silence(run),
    ];
    text(byId("run-way"), way.filter(Boolean).join(" · "));
    const meter = byId("run-meter");
    meter.parentNode.hidden = !steps;
    meter.setAttribute("aria-valuemax", steps);
    meter.setAttribute("aria-valuenow", step);
    meter.firstElementChild.style.width = `${100 * words.share(step, steps)}%`;
    meter.className = `meter ${run.status}`;
    const prefix = live && steps ? `${done} ` : "";
    document.title = `${prefix}${called(run)} - maquette`;
    showPairs(byId("tiles"), tiles(run, this.#curves));
  }

  #draw() {
    if (!this.#curves) return;
    const { steps, evaluations } = this.#curves;
    const { across, axis: kind, smoothing } = Object.fromEntries(new FormData(byId("tools")));
    const log = kind === "log";
    const x = steps[across];
    const there = x.filter((one) => one !== null);
    const width = (there.at(-1) - there[0]) * 0.1 * (smoothing / 100) ** 2;
    const view = { across: ACROSS[across], log: false, summary: "" };
    const evaluated = { x: evaluations.map((e) => e[across]), y: evaluations.map((e) => e.loss) };
    const soft = (name) => ({ x, y: smooth(x, steps[name], width) });
    const faint = width > 0 ? { faint: steps.loss } : {};
    this.charts.loss.show(
      [
        { name: "training", colour: 1, ...soft("loss"), ...faint, low: steps.low, high: steps.high },
        { name: "validation", colour: 2, ...evaluated, dots: true },
      ],
      { ...view, log, summary: summary(steps, evaluations) },
    );
    this.charts.sources.show(bySource(evaluations, evaluated.x), { ...view, log });
    this.charts.rate.show([{ name: "rate", colour: 3, x, y: steps.learning_rate }], { ...view, zero: true });
    this.charts.speed.show([{ name: `${this.#run.unit}/s`, colour: 4, ...soft("tokens_per_second") }], { ...view, zero: true });
    this.charts.norm.show([{ name: "norm", colour: 6, ...soft("gradient_norm") }], { ...view, zero: true });
  }
}


/** The choices of #tools, kept in this browser. */
function remember(tools) {
  try {
    localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(new FormData(tools))));
  } catch {
    // They hold until the page is closed.
  }
}

function recall(tools) {
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    // Storage is refused, or holds what isn't ours.
  }
  for (const control of tools.elements) {
    if (control.type === "radio") control.checked = kept[control.name] === undefined ? control.checked : kept[control.name] === control.value;
    else if (control.type === "range" && Number.isFinite(Number(kept[control.name] ?? NaN))) control.value = kept[control.name];
  }
}

/** A value beside an axis, short. */
function axis(value) {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return "";
  if (size >= 1e4 || (size < 1e-3 && size > 0)) return value.toExponential(0);
  return String(Number(value.toPrecision(3)));
}

const brief = (value) => (value ? value.toExponential(1).replace(".0e", "e") : "0");

function bySource(evaluations, x) {
  const names = [...new Set(evaluations.flatMap((e) => Object.keys(e.sources)))].slice(0, LINES);
  return names.map((name, i) => ({
    name,
    colour: (i % 6) + 1,
    x,
    y: evaluations.map((e) => (Object.hasOwn(e.sources, name) ? e.sources[name] : null)),
    dots: true,
  }));
}

function summary({ step, loss }, evaluations) {
  const places = step.map((_, i) => i).filter((i) => loss[i] !== null);
  const [first, last] = [places[0], places.at(-1)];
  const at = (value, place) => `${words.loss(value)} at step ${words.whole(place)}`;
  const found = [];
  if (places.length) found.push(`Training loss ${at(loss[first], step[first])}, ${at(loss[last], step[last])}.`);
  const finite = evaluations.filter((e) => e.loss !== null);
  if (finite.length) {
    const best = finite.reduce((a, b) => (b.loss < a.loss ? b : a));
    found.push(`Lowest validation loss ${at(best.loss, best.step)}.`);
  }
  if (places.length < loss.length) found.push("Some of it was no number (NaN) or infinite.");
  return found.join(" ");
}

function tiles(run, curves) {
  const rates = curves?.steps.learning_rate ?? [];
  const best = run.best_loss === null ? "" : `best ${words.loss(run.best_loss)} at step ${words.whole(run.best_step ?? NaN)}`;
  const live = run.status === "running";
  return [
    ["Training loss", run.step && run.train_loss === null ? "NaN" : words.loss(run.train_loss ?? NaN)],
    ["Validation loss", words.loss(run.validation_loss ?? NaN), best],
    ["Expected at the end", words.loss(run.forecast?.loss ?? NaN), band(run.forecast)],
    ["Validation accuracy", run.accuracy === null ? "" : `${(100 * run.accuracy).toFixed(2)}%`],
    [
      run.unit === "images" ? "Images per second" : "Tokens per second",
      live ? words.count(run.tokens_per_second ?? NaN) : "",
    ],
    ["Learning rate", words.rate(rates.at(-1) ?? NaN)],
    ["Epoch", run.epoch ? run.epoch.toFixed(2) : ""],
    [live ? "Running for" : "Ran for", run.elapsed_seconds ? words.duration(run.elapsed_seconds) : ""],
  ].filter(([, value]) => value);
}

/** Between what the validation loss is expected to end, in words. */
function band(forecast) {
  return forecast ? `${words.loss(forecast.low)} to ${words.loss(forecast.high)}` : "";
}

function silence(run) {
  const silent = now() - (run.heartbeat_at ?? NaN);
  if (run.status === "running" && silent > 15) return `last heard of ${words.ago(silent)} ago`;
  if (run.status === "lost" && silent > 0) return `last heard of ${words.ago(silent)} ago`;
  return "";
}

function facts(run) {
  const { telemetry: t, checkpoints } = run;
  const part = (a, b) => (a === null ? "" : words.bytes(a) + (b === null ? "" : ` of ${words.bytes(b)}`));
  const percent = (value) => (value === null ? "" : `${value.toFixed(0)}%`);
  // Why a CPU trains is news while it does, and none afterwards.
  const past = run.status !== "running" && run.device.startsWith("cpu");
  const note = past ? "" : (t?.gpu_note ?? "");
  const saved = checkpoints.slice(-6).map(({ step }) => `${words.whole(step)}${step === run.best_step ? " (best)" : ""}`);
  return [
    ["Begun", run.created_at ? words.clock(run.created_at) : ""],
    ["Command", run.command],
    ["CPU", t && t.cpu_percent !== null ? `${percent(t.cpu_percent)} (100% is one core)` : ""],
    ["Memory", t ? part(t.memory_bytes, t.machine_memory_bytes) : ""],
    ["GPU", t ? [percent(t.gpu_percent), note].filter(Boolean).join(", ") : ""],
    ["GPU memory", t ? part(t.gpu_memory_bytes, t.gpu_total_bytes) : ""],
    ["Worker", run.process ?? ""],
    ["Checkpoints", checkpoints.length > 6 ? `... ${saved.join(", ")}` : saved.join(", ")],
    ["Commit", run.commit],
    ["Folder", run.path],
  ].filter(([, value]) => value);
}

/** Names and values in a list; those that are there keep their elements. */
function showPairs(list, pairs) {
  while (list.children.length > pairs.length) list.lastChild.remove();
  pairs.forEach(([name, value, note = ""], i) => {
    if (!list.children[i]) {
      const parts = [make("dt"), make("dd", { dir: "auto" }), make("dd", { className: "muted small" })];
      list.append(make("div", {}, ...parts));
    }
    [name, value, note].forEach((one, k) => text(list.children[i].children[k], one));
  });
}

function showSamples(samples) {
  const place = byId("samples");
  const shown = JSON.stringify(samples);
  if (place.shown === shown) return;
  place.shown = shown;
  if (!samples.length) {
    place.replaceChildren(make("p", { className: "muted" }, "Nothing yet."));
    return;
  }
  const [newest, ...older] = samples.map(({ step, text: content, cut }) => {
    const whole = `${content}${cut ? " ..." : ""}`;
    const set = { className: "sample", tabIndex: 0, dir: "auto", aria: { label: `Written at step ${step}` } };
    return [`Step ${words.whole(step)}`, make("pre", { ...set, role: "region" }, whole)];
  });
  const open = new Set([...place.querySelectorAll("details[open] > summary")].map((s) => s.textContent));
  place.replaceChildren(
    make("h3", {}, newest[0]),
    newest[1],
    ...older.map(([title, pre]) => make("details", { open: open.has(title) }, make("summary", {}, title), pre)),
  );
}

function showLog(lines) {
  const log = byId("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 8;
  text(log, lines.join("\n"));
  log.parentNode.hidden = !lines.length;
  if (atEnd) log.scrollTop = log.scrollHeight;
}
