// The page of an image classifier: pictures come in, and are looked at one after another.

import { classify, Problem, servedModel } from "./api.js";
import { percent, Picture } from "./classify-picture.js";
import { byId, make, speak } from "./dom.js";

const MOST = 100; // pictures that are shown; of more, the oldest go
const UNREAD = "It can't be read. Is it a folder, or was it moved?";

const shown = []; // as on the page: what came last is on top
const waiting = [];
let model = null;
let looking = false;

function tell(text, again = null) {
  const button = again && make("button", { type: "button", className: "button", textContent: "Try again", on: { click: again } });
  const notice = text && make("div", { className: "notice wrong" }, make("p", { textContent: text }), ...(button ? [button] : []));
  byId("notices").replaceChildren(...(notice ? [notice] : []));
}

async function findModel() {
  tell(null);
  try {
    model = await servedModel();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    tell(error.message, findModel);
    return;
  }
  const count = model.classes.length.toLocaleString("en");
  byId("about").textContent = `${model.id} tells ${count} classes apart.`;
  byId("known-title").textContent = `The ${count} classes`;
  byId("classes").replaceChildren(...model.classes.map((name) => make("li", { textContent: name, dir: "auto" })));
  byId("known").hidden = false;
}

/** Take in files: on top of what is there, in their order. */
function add(files) {
  if (!files.length) return;
  tell(files.length > MOST ? `Only the first ${MOST} of ${files.length} files were taken.` : null);
  const added = files.slice(0, MOST).map((file) => new Picture(file, { again: ask, remove }));
  shown.unshift(...added);
  byId("pictures").prepend(...added.map((picture) => picture.element));
  for (const old of shown.splice(MOST)) drop(old);
  showCount();
  added.forEach(ask);
}

function ask(picture) {
  waiting.push(picture);
  if (!looking) work();
}

/** Look at all that wait; what was seen is read aloud when there is nothing left. */
async function work() {
  looking = true;
  const done = [];
  while (waiting.length) {
    const picture = waiting.shift();
    const words = await look(picture);
    if (words) done.push(`${picture.name}: ${words}`);
  }
  looking = false;
  if (done.length > 3) speak(`${done.length} pictures were looked at.`);
  else if (done.length) speak(done.join(" "));
}

/** Look at one; returns what came of it in words, null where nobody wants it any more. */
async function look(picture) {
  const { file, stop } = picture;
  const drawn = picture.draw(); // also one after another: large photos take a lot of memory
  try {
    const most = model?.max_image_bytes ?? Infinity;
    if (file.size > most) throw new Problem("broken", `The file is larger than ${most / 2 ** 20} MiB.`);
    const bytes = await file.arrayBuffer().catch(() => {
      throw new Problem("broken", UNREAD);
    });
    const { classes } = await classify(bytes, stop.signal);
    picture.show(classes);
    return `${classes.slice(0, 3).map((one) => `${one.name} ${percent(one.probability)}`).join(", ")}.`;
  } catch (error) {
    if (error.name === "AbortError") return null;
    if (!(error instanceof Problem)) throw error;
    const message = error.message[0].toUpperCase() + error.message.slice(1);
    picture.fail(message, error.kind !== "broken");
    return message;
  } finally {
    await drawn;
  }
}

function drop(picture) {
  picture.stop.abort();
  picture.element.remove();
  const place = waiting.indexOf(picture);
  if (place >= 0) waiting.splice(place, 1);
}

function remove(picture) {
  const place = shown.indexOf(picture);
  shown.splice(place, 1);
  drop(picture);
  showCount();
  (shown[Math.min(place, shown.length - 1)]?.element ?? byId("choose")).focus();
}

function clear() {
  shown.splice(0).forEach(drop);
  tell(null);
  showCount();
  byId("choose").focus();
}

function showCount() {
  document.body.classList.toggle("some", shown.length > 0);
  byId("seen").hidden = !shown.length;
  byId("seen-title").textContent = shown.length === 1 ? "1 picture" : `${shown.length} pictures`;
}

/** Files of a drop or of the clipboard. */
function taken(transfer, otherwise) {
  const files = [...(transfer?.files ?? [])];
  if (files.length) add(files);
  else tell(otherwise);
}

byId("choose").addEventListener("click", () => byId("files").click());
byId("files").addEventListener("change", ({ target }) => {
  add([...target.files]);
  target.value = ""; // so that the same file can be chosen again
});
byId("clear").addEventListener("click", clear);

// The whole page takes drops: beside the box, the browser would leave the page for the file.
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  taken(event.dataTransfer, "That was no file. Save the picture first, or copy and paste it.");
});
addEventListener("paste", (event) => {
  taken(event.clipboardData, "There is no picture on the clipboard.");
});

findModel();
