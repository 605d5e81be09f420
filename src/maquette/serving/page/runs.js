// The page of runs: the list, or the run that the address names: /runs#run=ID.

import { byId, make } from "./dom.js";
import { List } from "./runs-list.js";
import { RunView } from "./runs-run.js";

const list = new List(tell);
const run = new RunView((problem) => {
  if (problem?.gone) list.drop(chosen());
  tell(problem);
});
let before = null;

function tell(problem) {
  const place = byId("notices");
  if ((place.textContent || null) === (problem?.message ?? null)) return;
  place.replaceChildren(...(problem ? [make("p", { className: "notice wrong" }, problem.message)] : []));
}

function chosen() {
  const [, id = ""] = /^#run=(.*)$/.exec(location.hash) ?? [];
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

function route() {
  if (location.hash === "#main") return; // the link that skips the bar
  const id = chosen();
  tell(null);
  byId("list").hidden = Boolean(id);
  byId("run").hidden = !id;
  if (id) {
    list.stop();
    run.show(id);
  } else {
    run.stop();
    document.title = "Runs - maquette";
    list.start();
  }
  if (before !== null) {
    scrollTo(0, 0);
    if (id || !list.focus(before)) byId(id ? "run-name" : "list-title").focus();
  }
  before = id;
}

addEventListener("hashchange", route);
route();
