// The table of all runs.

import { byId, make } from "./dom.js";
import { sparkline } from "./runs-chart.js";
import { now, Poll, Source } from "./runs-source.js";
import { ago, clock, count, duration, loss, percent, share, whole } from "./runs-words.js";

const LIVE = new Set(["queued", "running"]);
const SHOWN = 200;

/** Name, what it sorts by, whether the largest come first, and its cell's class. */
const COLUMNS = [
  { name: "Run", by: called, kind: "first" },
  { name: "Progress", by: (run) => share(run.step, run.steps), down: true, kind: "wide" },
  { name: "Curve", kind: "curve" },
  { name: "Loss", by: (run) => run.train_loss, kind: "number" },
  { name: "Validation", by: (run) => run.validation_loss, kind: "number middle" },
  { name: "Speed", by: (run) => run.tokens_per_second, down: true, kind: "number wide" },
  { name: "Left", by: (run) => run.ends_at, kind: "number middle" },
  { name: "Device", by: (run) => run.device, kind: "wide device" },
  { name: "Age", by: (run) => run.created_at, down: true, kind: "number middle" },
];
const AGE = COLUMNS.at(-1);

/** Everything of #list. */
export class List {
  #runs = [];
  #folder = "";
  #rows = new Map(); // id -> what is shown of it
  #sorted = { column: AGE, down: true };
  #limit = SHOWN;

  constructor(tell) {
    const source = new Source();
    this.poll = new Poll(
      async (signal) => {
        const found = await source.read("/api/runs", signal);
        signal.throwIfAborted();
        if (found) [this.#runs, this.#folder] = [found.runs, found.folder];
        this.#draw();
      },
      { seconds: 2, tell },
    );
    byId("headings").append(...COLUMNS.map((column) => this.#heading(column)));
    byId("filters").addEventListener("input", () => this.#draw());
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("more").addEventListener("click", () => {
      this.#limit = Infinity;
      this.#draw();
    });
    byId("rows").addEventListener("click", open);
  }

  start() {
    this.poll.start();
  }

  stop() {
    this.poll.stop();
  }

  /** Show a run no more, of which is known before the next reading that it is gone. */
  drop(id) {
    if (!this.#rows.has(id)) return;
    this.#runs = this.#runs.filter((run) => run.id !== id);
    this.#draw();
  }

  /** Focus the link of a run; says whether it is there. */
  focus(id) {
    const row = this.#rows.get(id);
    row?.link.focus();
    return document.activeElement === row?.link;
  }

  #heading(column) {
    const { name, by, kind } = column;
    const cell = make("th", { scope: "col", className: kind });
    if (!by) {
      cell.append(name);
      return cell;
    }
    const sort = () => {
      const same = this.#sorted.column === column;
      this.#sorted = { column, down: same ? !this.#sorted.down : Boolean(column.down) };
      this.#draw();
    };
    cell.append(make("button", { type: "button", on: { click: sort } }, name));
    column.cell = cell;
    return cell;
  }

  #draw() {
    const words = byId("filter").value.trim().toLowerCase();
    const states = byId("states").value.split(" ").filter(Boolean);
    const fits = (run) =>
      (!states.length || states.includes(run.status)) &&
      (!words || `${run.name ?? ""} ${run.id} ${run.device}`.toLowerCase().includes(words));
    const found = this.#runs.filter(fits).sort(order(this.#sorted));
    this.#say(found);
    const rows = found.slice(0, this.#limit).map((run) => this.#row(run));
    put(byId("rows"), rows);
    const here = new Set(this.#runs.map((run) => run.id));
    for (const id of this.#rows.keys()) if (!here.has(id)) this.#rows.delete(id);
  }

  #say(found) {
    const all = this.#runs.length;
    const live = this.#runs.filter((run) => LIVE.has(run.status)).length;
    byId("reading").hidden = true;
    byId("filters").hidden = !all;
    byId("empty").hidden = Boolean(all);
    byId("none").hidden = !all || Boolean(found.length);
    byId("table").hidden = !found.length;
    byId("more").hidden = found.length <= this.#limit;
    text(byId("more"), `Show all ${found.length} runs`);
    text(byId("folder"), this.#folder);
    const of = found.length < all ? `${found.length} of ${all}` : `${all}`;
    text(byId("list-count"), all ? `${of}${live ? `, ${live} live` : ""}` : "");
    for (const { cell, name } of COLUMNS) {
      if (!cell) continue;
      const sorted = name === this.#sorted.column.name;
      if (sorted) cell.setAttribute("aria-sort", this.#sorted.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
  }

  #row(run) {
    let row = this.#rows.get(run.id);
    if (!row) {
      row = new Row(run.id);
      this.#rows.set(run.id, row);
    }
    row.show(run);
    return row.element;
  }
}

class Row {
  #shown = "";

  constructor(id) {
    this.link = make("a", { className: "name", title: id, href: hash(id), dir: "auto" });
    this.state = make("span", { className: "state" });
    this.far = make("span", { className: "far muted" });
    this.bar = make("div");
    this.way = make("span", { className: "small" });
    this.cells = COLUMNS.map(({ kind }) => make("td", { className: kind }));
    const [first, progress] = this.cells;
    first.append(this.link, make("div", { className: "small" }, this.state, this.far));
    const meter = make("div", { className: "meter", aria: { hidden: "true" } }, this.bar);
    progress.append(meter, this.way);
    this.element = make("tr", {}, ...this.cells);
  }

  show(run) {
    const [, , curve, ...rest] = this.cells;
    const live = LIVE.has(run.status);
    const left = live && run.ends_at !== null ? duration(Math.max(0, run.ends_at - now())) : "";
    const values = [
      run.step && run.train_loss === null ? "NaN" : loss(run.train_loss ?? NaN),
      loss(run.validation_loss ?? NaN),
      live && run.tokens_per_second ? `${count(run.tokens_per_second)} ${run.unit}/s` : "",
      left,
      run.device,
      ago(now() - (run.created_at ?? NaN)),
    ];
    rest.forEach((cell, i) => text(cell, values[i]));
    const shown = JSON.stringify([run, live]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    rest.at(-1).title = run.created_at ? `since ${clock(run.created_at)}` : "";
    text(this.link, called(run));
    showState(this.state, run);
    this.element.classList.toggle("live", live);
    const steps = run.steps ? `${whole(run.step)} of ${whole(run.steps)}` : "";
    text(this.far, steps && `, ${percent(run.step, run.steps)}`);
    text(this.way, steps);
    this.bar.style.width = `${100 * share(run.step, run.steps)}%`;
    this.bar.parentNode.hidden = !run.steps;
    curve.replaceChildren(sparkline(run.curve));
  }
}

/** What people call a run: the name they gave it, or its id. */
export function called(run) {
  return run.name ?? run.id;
}

/** Show a run's status as a word with a dot. */
export function showState(element, run) {
  element.className = `state ${run.status}`;
  text(element, (run.status === "running" && run.doing) || run.status);
  element.title = run.error ?? "";
}

/** The address of a run on this page. */
export function hash(id) {
  try {
    return `#run=${encodeURIComponent(id)}`;
  } catch {
    return "#run=\uFFFD";
  }
}

/** Change a text only if it differs, so that selections and screen readers aren't disturbed. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

function open(event) {
  const row = event.target.closest("tr");
  const selecting = String(getSelection()).length > 0;
  if (!row || event.target.closest("a") || selecting || event.button) return;
  row.querySelector("a").click();
}

function order({ column, down }) {
  const sign = down ? -1 : 1;
  return (a, b) => {
    // By age, those that live come first: it is what one looks for.
    const live = column === AGE && down ? LIVE.has(b.status) - LIVE.has(a.status) : 0;
    return live || compare(column.by(a), column.by(b), sign) || (a.id < b.id ? -1 : 1);
  };
}

/** Those without a value come last, whichever way it is sorted. */
function compare(a, b, sign) {
  const [left, right] = [a ?? null, b ?? null];
  if (left === null || right === null) return (left === null) - (right === null);
  return left < right ? -sign : left > right ? sign : 0;
}

/** Have these rows, in this order; whatever has the focus keeps it. */
function put(body, rows) {
  const same = rows.length === body.children.length && rows.every((r, i) => r === body.children[i]);
  if (same) return;
  const focused = body.contains(document.activeElement) ? document.activeElement : null;
  body.replaceChildren(...rows);
  if (focused?.isConnected) focused.focus({ preventScroll: true });
}
