// Python, apart from the page so that this never stands still: plays the show, a batch at a time.

import { loadPyodide } from "./pyodide/pyodide.mjs";

const TOGETHER = 16; // milliseconds: what is due within them is shown at once
const MOST = 1 << 16; // letters of a batch
const BEHIND = 1000; // milliseconds at most to make up for, after the machine has slept

let columns = 80;
let current = null; // the show that goes on
const unseen = []; // what to call when the terminal has shown a text, in order

const loading = load();

onmessage = ({ data }) => receive[data.kind](data);

const receive = {
  begin: ({ query, columns: now, clears }) => {
    columns = now;
    if (clears) write("\x1bc");
    play(query);
  },
  resize: ({ columns: now }) => {
    columns = now;
  },
  shown: () => unseen.shift()(),
  stop: async () => {
    current = null;
    const terminal = await loading;
    write(terminal.stopped());
    postMessage({ kind: "ended" });
  },
};

/** maquette.simulation.terminal, of Python with our modules. */
async function load() {
  const broken = watchFetches();
  try {
    return await Promise.race([loadTerminal(), broken]);
  } catch (error) {
    throw new Error(`Python couldn't be loaded: ${error.message}`);
  }
}

async function loadTerminal() {
  const [pyodide, archive] = await Promise.all([
    loadPyodide(),
    self.fetch("maquette.zip").then((answer) => answer.arrayBuffer()),
  ]);
  pyodide.unpackArchive(archive, "wheel");
  const terminal = pyodide.pyimport("maquette.simulation.terminal");
  postMessage({ kind: "loaded" });
  return terminal;
}

/** Tell of every byte that comes in. Rejects when one can't, for which Pyodide would wait for ever. */
function watchFetches() {
  const { fetch } = self;
  let bytes = 0;
  return new Promise((_, reject) => {
    self.fetch = async (...asked) => {
      const answer = await fetch(...asked).catch((error) => {
        reject(error);
        throw error;
      });
      if (!answer.ok) reject(new Error(`${answer.status} ${answer.statusText}, ${answer.url}`));
      const counting = new TransformStream({
        transform(chunk, controller) {
          bytes += chunk.byteLength;
          postMessage({ kind: "loading", bytes });
          controller.enqueue(chunk);
        },
      });
      answer.body.pipeTo(counting.writable).catch(reject);
      return new Response(counting.readable, answer);
    };
  });
}

async function play(query) {
  const own = {};
  current = own;
  try {
    const terminal = await loading;
    if (current !== own) return;
    const pieces = terminal.perform(query, () => columns);
    await showAll(pieces, () => current === own);
    pieces.destroy();
  } catch (error) {
    postMessage({ kind: "failed", text: error.message });
  }
}

async function showAll(pieces, goesOn) {
  let due = performance.now();
  while (goesOn()) {
    const batch = take(pieces, due);
    due = Math.max(batch.due, performance.now() - BEHIND);
    if (batch.text) await write(batch.text);
    if (batch.over) {
      if (goesOn()) postMessage({ kind: "ended" });
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
  }
}

/** Have the terminal show a text; resolves when it has. */
function write(text) {
  postMessage({ kind: "text", text });
  return new Promise((resolve) => unseen.push(resolve));
}

/** What is due now, as one text, and when the next piece is. */
function take(pieces, due) {
  let text = "";
  while (due < performance.now() + TOGETHER && text.length < MOST) {
    const { done, value } = pieces.next();
    if (done) return { text, due, over: true };
    const [piece, seconds] = value.toJs();
    value.destroy();
    text += piece;
    due += 1000 * seconds;
  }
  return { text, due, over: false };
}
