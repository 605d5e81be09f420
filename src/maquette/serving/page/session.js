// What a person does with conversations, and the answers that are being written.

import { ask, Problem } from "./api.js";
import { imported } from "./exchange.js";
import { forgetChat, saveChat } from "./store.js";
import { kept } from "./tokens.js";
import { add, find, newChat, path, removeFrom, show, titleOf } from "./tree.js";

const ALTERNATIVES = 5;
const SAVE_MS = 2000;

/**
 * `changed()` is called when something else is to be shown, `written(node)` when an answer grew,
 * `ended(node)` when one is whole, `failed(problem, chat, question)` when one couldn't be had, and
 * `stored(how)` with what became of a conversation in the storage.
 */
export class Session {
  #writing = new Map(); // a conversation's id -> {node, controller, savedAt}
  #unsaved = new Set(); // conversations that the storage had no room for
  #stored = "kept";

  constructor(chats, { sampling, changed, written, ended, failed, stored }) {
    this.chats = chats;
    this.chat = newChat();
    this.model = null;
    this.sampling = sampling;
    Object.assign(this, { changed, written, ended, failed, stored });
  }

  /** The answer that is being written in a conversation, undefined for none. */
  writing(chat = this.chat) {
    return this.#writing.get(chat.id)?.node;
  }

  open(chat) {
    this.chat = chat;
    this.changed();
  }

  /** A new conversation; it is in the list once something was said. */
  create() {
    this.open(newChat(this.chat.system));
  }

  rename(chat, title) {
    const words = title.trim().split(/\s+/).join(" ");
    const first = chat.nodes.find((node) => node.role === "user");
    Object.assign(chat, { title: words || titleOf(first?.content ?? ""), named: words !== "" });
    this.save(chat);
    this.changed();
  }

  /** Take a conversation out; returns what brings it back. */
  remove(chat) {
    this.stop(chat);
    const place = this.chats.indexOf(chat);
    this.chats.splice(place, 1);
    forgetChat(chat.id);
    this.#unsaved.delete(chat);
    for (const other of this.#unsaved) this.save(other); // there may be room now
    if (chat === this.chat) this.chat = newChat(chat.system);
    this.changed();
    return () => {
      this.chats.splice(place, 0, chat);
      this.save(chat);
      this.open(chat);
    };
  }

  /** Add the conversations of a file; returns how many. Raises Unreadable. */
  import(text) {
    const chats = imported(text);
    this.chats.unshift(...chats);
    for (const chat of chats) this.save(chat);
    this.open(chats[0]);
    return chats.length;
  }

  setSystem(text) {
    this.chat.system = text;
    if (this.chats.includes(this.chat)) this.save(this.chat);
  }

  /** Answers are drawn from the first seed on again. */
  restartSeeds() {
    this.chat.asked = 0;
  }

  async send(text) {
    if (!this.chats.includes(this.chat)) this.chats.unshift(this.chat);
    await this.#answer(add(this.chat, this.chat.leaf, { role: "user", content: text }));
  }

  /** Another answer to a question; the one there is stays beside it. */
  async retry(node) {
    await this.#answer(node.role === "user" ? node : find(this.chat, node.parent));
  }

  /** Ask something else in place of a question; what was said after it stays on its own branch. */
  async edit(node, text) {
    await this.#answer(add(this.chat, node.parent, { role: "user", content: text }));
  }

  show(node) {
    show(this.chat, node);
    this.save(this.chat);
    this.changed();
  }

  /** Take out a message and what follows it; returns what brings it back, unless more was said. */
  removeFrom(node) {
    const chat = this.chat;
    const { nodes, leaf } = chat;
    this.stop(chat);
    removeFrom(chat, node);
    this.save(chat);
    this.changed();
    return () => {
      Object.assign(chat, { nodes, leaf });
      this.save(chat);
      this.open(chat);
    };
  }

  stop(chat = this.chat) {
    this.#writing.get(chat.id)?.controller.abort();
  }

  /** Leave out the oldest messages from now on where not all fit. */
  dropOldest(chat, question) {
    chat.dropOldest = true;
    this.open(chat);
    return this.retry(question);
  }

  /** Keep a conversation in the storage; tells when that goes better or worse than before. */
  save(chat) {
    const how = saveChat(chat);
    if (how === "kept" || how === "trimmed") this.#unsaved.delete(chat);
    else this.#unsaved.add(chat);
    if (how === this.#stored || (how === "kept" && this.#unsaved.size)) return;
    this.#stored = how;
    this.stored(how);
  }

  /** Before the page goes away. */
  saveWriting() {
    for (const chat of this.chats) if (this.#writing.has(chat.id)) saveChat(chat);
  }

  async #answer(question) {
    const chat = this.chat;
    if (this.writing(chat)) return;
    const body = this.#body(chat, question);
    const node = add(chat, question.id, { role: "assistant", content: "", model: this.model.id, tokens: [] });
    const controller = new AbortController();
    this.#writing.set(chat.id, { node, controller, savedAt: Date.now() });
    chat.asked += 1;
    this.chats.sort((a, b) => b.updated - a.updated);
    this.save(chat);
    this.changed();
    let problem;
    try {
      const [dropped, chunks] = await ask(body, controller.signal);
      if (dropped) node.dropped = dropped;
      for await (const chunk of chunks) this.#take(chat, node, chunk);
    } catch (error) {
      node.end = error.name === "AbortError" ? "stopped" : "cut";
      if (node.end === "cut") problem = error;
    }
    this.#finish(chat, node, question, problem);
  }

  #body(chat, question) {
    const system = chat.system.trim() ? [{ role: "system", content: chat.system }] : [];
    const said = saidUntil(chat, question).map(({ role, content }) => ({ role, content }));
    const { seed, ...sampling } = this.sampling();
    return {
      model: this.model.id,
      messages: [...system, ...said],
      ...sampling,
      ...(seed === undefined ? {} : { seed: seed + chat.asked }),
      ...(chat.dropOldest ? { drop_oldest: true } : {}),
      logprobs: true,
      top_logprobs: ALTERNATIVES,
    };
  }

  #take(chat, node, { choices: [choice] }) {
    node.content += choice.delta.content ?? "";
    for (const entry of choice.logprobs?.content ?? []) node.tokens.push(kept(entry));
    if (choice.finish_reason) node.end = choice.finish_reason;
    const writing = this.#writing.get(chat.id);
    if (Date.now() - writing.savedAt > SAVE_MS) {
      writing.savedAt = Date.now();
      this.save(chat);
    }
    this.written(node);
  }

  #finish(chat, node, question, problem) {
    this.#writing.delete(chat.id);
    if (!node.content) {
      if (node.end === "stop" || node.end === "length") {
        problem = new Problem("empty", "The model wrote nothing.");
      }
      if (chat.nodes.includes(node)) removeFrom(chat, node);
    }
    if (this.chats.includes(chat)) this.save(chat);
    this.changed();
    if (node.content) this.ended(node);
    if (problem) this.failed(problem, chat, question);
  }
}

/** What was said up to a question; one that got no answer isn't part of it. */
export function saidUntil(chat, question) {
  const whole = path(chat, question.id);
  return whole.filter((node, place) => node.role === "assistant" || whole[place + 1]?.role !== "user");
}
