// The page: what belongs to it, put together.

import { Problem, servedModel } from "./api.js";
import { byId, icon, make, speak } from "./dom.js";
import { exported, LIMITS, Unreadable } from "./exchange.js";
import { touch } from "./message.js";
import { settle, tell } from "./notices.js";
import { joinPanels, Panel } from "./panels.js";
import { Sampling } from "./sampling.js";
import { saidUntil, Session } from "./session.js";
import { Sidebar } from "./sidebar.js";
import { isChatKey, loadChat, loadChats, loadState, saveState } from "./store.js";
import { Thread } from "./thread.js";
import { hideCard, watchTokens } from "./tokenview.js";
import { find, versions } from "./tree.js";

const SPOKEN = 2000; // characters of an answer that are read aloud at once
const STARTERS = {
  dialogues: ["Hello! Who are you?", "What is a poem?", "Tell me about the sea."],
  text: ["Once upon a time", "In the morning", "The history of"],
};

const state = loadState();
const stored = loadChats();
const question = byId("question");

const sampling = new Sampling(state.sampling, (values, name) => {
  remember({ sampling: values });
  if (name === "seed") session.restartSeeds();
});
const session = new Session(stored.chats, {
  sampling: () => sampling.values(),
  changed: show,
  written: (node) => thread.grow(node),
  ended: (node) => speak(`The model said: ${node.content.slice(0, SPOKEN)}`),
  failed,
  stored: tellStored,
});
const thread = new Thread(session, () => ({ tokens: Boolean(state.tokens), model: session.model?.id }), {
  retry: (node) => {
    if (!session.writing()) run(() => session.retry(node));
  },
  resend: (node, text) => run(() => session.edit(node, text)),
  turn,
  remove: removeMessage,
});
const sidebar = new Sidebar(session, {
  open,
  rename: (chat, title) => session.rename(chat, title),
  remove: removeChat,
  save: (chat) => download(`${fileName(chat.title)}.json`, `${exported(chat)}\n`),
});
const chats = new Panel({
  name: "chats",
  room: "(min-width: 52rem)",
  open: state.chats ?? true,
  remember: (open) => remember({ chats: open }),
});
const settings = new Panel({
  name: "settings",
  room: "(min-width: 76rem)",
  open: state.settings ?? false,
  remember: (open) => remember({ settings: open }),
});
const closePanels = joinPanels(chats, settings);

function remember(change) {
  Object.assign(state, change);
  saveState(state);
}

/** Show everything that depends on the conversations. */
function show() {
  const { chat } = session;
  if (state.chat !== chat.id) remember({ chat: chat.id });
  thread.show();
  sidebar.show();
  const title = chat.title || "New conversation";
  document.title = `${title} · maquette`;
  byId("chat-title").textContent = title;
  byId("welcome").hidden = chat.nodes.length > 0;
  if (byId("system") !== document.activeElement) byId("system").value = chat.system;
  const writing = session.writing() !== undefined;
  byId("send").hidden = writing;
  byId("stop").hidden = !writing;
  showSend();
}

function showSend() {
  byId("send").disabled = !question.value.trim() || !session.model;
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight}px`;
}

function showModel() {
  const { id, context_length: context, reads_dialogues: dialogues } = session.model;
  byId("model-name").textContent = id;
  byId("model-name").title = id;
  byId("model-context").textContent = `reads ${context.toLocaleString("en")} tokens`;
  byId("greeting").textContent = dialogues ? "What shall we talk about?" : "How does it begin?";
  byId("welcome-about").textContent = dialogues
    ? `${id} answers from what it has read, on this machine.`
    : `${id} goes on with what you begin.`;
  const starters = (dialogues ? STARTERS.dialogues : STARTERS.text).map((text) =>
    make("button", { type: "button", className: "button", textContent: text, on: { click: () => send(text) } }),
  );
  byId("starters").replaceChildren(...starters);
  const note = make(
    "p",
    { className: "notice" },
    make("span", {}, "This model has never read a dialogue, so it goes on with text rather than answers. "),
    make("code", { textContent: `maquette train chat-tune --set train.from=${id}` }),
    make("span", {}, " teaches it."),
  );
  byId("model-note").replaceChildren(...(dialogues ? [] : [note]));
}

async function findModel() {
  settle("model");
  try {
    session.model = await servedModel();
    showModel();
    show();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    tell("model", error.message, { wrong: true, actions: { "Try again": findModel } });
  }
}

/** Begin what asks the model; what was told before is settled by it. */
function run(ask) {
  settle("failed", "removed", "file");
  speak("The model is answering");
  question.focus();
  ask();
  thread.scrollToEnd();
}

function send(text) {
  if (!session.model || session.writing() || !text.trim()) return;
  question.value = "";
  remember({ draft: "" });
  run(() => session.send(text.trim()));
}

function failed(problem, chat, asked) {
  if (!(problem instanceof Problem)) throw problem;
  const again = () => {
    open(chat);
    run(() => session.retry(asked));
  };
  const longer = saidUntil(chat, asked).length > 1 && !chat.dropOldest;
  if (problem.kind === "too-long" && longer) {
    const text = `The conversation no longer fits: ${problem.message}. The oldest messages can be left out; the system prompt and your last message stay.`;
    const act = () => run(() => session.dropOldest(chat, asked));
    tell("failed", text, { wrong: true, actions: { "Leave out the oldest": act } });
  } else if (problem.kind === "too-long") {
    const text = `Your message doesn't fit: ${problem.message}. Say it in fewer words, or shorten the system prompt.`;
    tell("failed", text, { wrong: true });
  } else {
    const kept = problem.kind === "locked-out" ? " The conversations stay here." : "";
    tell("failed", problem.message + kept, { wrong: true, actions: { "Try again": again } });
  }
}

function tellStored(how) {
  if (how === "kept") {
    settle("stored");
  } else if (how === "trimmed") {
    tell("stored", "This browser's storage is full. To make room, the token view's probabilities were left out of it; every message is kept.");
  } else {
    const why = how === "full" ? "This browser's storage is full" : "This browser refuses to store anything";
    const text = `${why}: what is said now lasts until this page is closed. Export it to keep it${how === "full" ? ", or delete other conversations" : ""}.`;
    tell("stored", text, { wrong: true });
  }
}

function open(chat) {
  if (chats.over) chats.close();
  settle("failed");
  session.open(chat);
}

function create() {
  open(session.chat);
  session.create();
  question.focus();
}

function turn(node, step) {
  const all = versions(session.chat, node);
  settle("removed");
  session.show(all[all.indexOf(node) + step]);
}

function removeMessage(node) {
  const undo = session.removeFrom(node);
  tell("removed", "Deleted, with what followed it.", { actions: { Undo: undo } });
  const left = find(session.chat, session.chat.leaf);
  if (left) thread.focusOn(left);
  else question.focus();
}

function removeChat(chat) {
  const undo = session.remove(chat);
  tell("removed", `Deleted “${chat.title}”.`, { actions: { Undo: undo } });
}

function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = make("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

function fileName(title) {
  return title.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 50) || "conversation";
}

async function importFile(file) {
  settle("file");
  try {
    if (file.size > LIMITS.bytes) throw new Unreadable(`it is larger than ${LIMITS.bytes >> 20} MiB`);
    const count = session.import(await file.text());
    if (chats.over) chats.close();
    tell("file", `Imported ${count === 1 ? "one conversation" : `${count} conversations`}.`);
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    tell("file", `“${file.name}” can't be imported: ${error.message}.`, { wrong: true });
  }
}

function switchTokens() {
  remember({ tokens: !state.tokens });
  showTokensSwitch();
  thread.show();
}

function showTokensSwitch() {
  byId("tokens-switch").setAttribute("aria-pressed", String(Boolean(state.tokens)));
  byId("legend").hidden = !state.tokens;
}

function escape() {
  if (hideCard() || closePanels()) return;
  session.stop();
}

function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (byId("help").open || event.isComposing) return;
    const control = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    let act;
    if (event.key === "Escape") act = event.shiftKey ? () => question.focus() : escape;
    else if (control && event.shiftKey && key === "o") act = create;
    else if (control && event.shiftKey && key === "l") act = switchTokens;
    else if (control && key === "/") act = () => byId("help").showModal();
    if (!act) return;
    event.preventDefault();
    act();
  });
  question.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !touch()) {
      event.preventDefault();
      send(question.value);
    } else if (event.key === "ArrowUp" && !question.value) {
      const last = [...byId("messages").querySelectorAll(".user")].at(-1);
      const node = last && find(session.chat, Number(last.dataset.id));
      if (!node) return;
      event.preventDefault();
      thread.edit(node);
    }
  });
}

function listen() {
  const click = (id, act) => byId(id).addEventListener("click", act);
  click("new-chat", create);
  click("stop", () => {
    session.stop();
    question.focus();
  });
  click("tokens-switch", switchTokens);
  click("help-switch", () => byId("help").showModal());
  click("settings-close", () => settings.close());
  click("import", () => byId("import-file").click());
  click("export-all", () => download("maquette-conversations.jsonl", session.chats.map((chat) => `${exported(chat)}\n`).join("")));
  byId("import-file").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) await importFile(file);
  });
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    send(question.value);
  });
  question.addEventListener("input", () => {
    showSend();
    remember({ draft: question.value });
  });
  byId("system").addEventListener("input", (event) => session.setSystem(event.target.value));
  addEventListener("pagehide", () => session.saveWriting());
  addEventListener("storage", fromElsewhere);
}

/** Another tab of this page has changed something. */
function fromElsewhere({ key }) {
  if (key === null || !isChatKey(key)) return;
  const fresh = loadChat(key);
  const place = session.chats.findIndex((chat) => key.endsWith(chat.id));
  const before = session.chats[place];
  if (before && session.writing(before)) return;
  if (place >= 0) session.chats.splice(place, 1);
  if (fresh) session.chats.push(fresh);
  session.chats.sort((a, b) => b.updated - a.updated);
  if (before === session.chat && fresh) session.chat = fresh;
  else if (before === session.chat && before) session.chats.unshift(before); // shown here, so not gone
  show();
}

function drawIcons() {
  const shapes = { "chats-switch": "menu", "settings-switch": "settings", "tokens-switch": "tokens", "help-switch": "help" };
  const more = { send: "send", stop: "stop", "settings-close": "close", "new-chat": "plus", import: "load", "export-all": "save", "to-end": "down" };
  for (const [id, name] of Object.entries({ ...shapes, ...more })) byId(id).prepend(icon(name));
}

drawIcons();
listen();
listenToKeys();
watchTokens(byId("thread"));
showTokensSwitch();
session.chat = session.chats.find((chat) => chat.id === state.chat) ?? session.chat;
question.value = typeof state.draft === "string" ? state.draft : "";
show();
if (stored.refused) tellStored("refused");
if (stored.broken) {
  tell("broken", `${stored.broken} of the stored conversations can't be read; they are left as they are.`, { wrong: true });
}
if (!touch()) question.focus();
findModel();
