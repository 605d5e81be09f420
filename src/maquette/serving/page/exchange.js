// Conversations from outside: files, and what is in the storage. Every field is checked by hand.
//
// A file has a conversation a line, as `maquette chat` saves them and a dialogues source reads them:
//   {"title": ..., "messages": [{"role", "content"}, ...], "branches": [[{"role", "content"}, ...], ...]}
// The system prompt is the first message; `branches` are the other paths through the conversation.
// One conversation, or an array of them, is read as well.

import { addPath, newChat, paths, titleOf } from "./tree.js";

export const LIMITS = {
  bytes: 4 << 20, // a browser keeps about five million characters
  chats: 2000,
  messages: 2000,
  branches: 500,
  characters: 200_000,
  title: 200,
};

const ENDS = ["stop", "length", "stopped", "cut"];

/** What is wrong with a file, for people. */
export class Unreadable extends Error {}

/** A conversation as a line of a file. */
export function exported(chat) {
  const system = chat.system ? [{ role: "system", content: chat.system }] : [];
  const all = paths(chat).map((path) => path.map(said));
  const [messages = [], ...branches] = all;
  const rest = branches.length ? { branches } : {};
  return JSON.stringify({ title: chat.title, messages: [...system, ...messages], ...rest });
}

function said({ role, content, end }) {
  return { role, content, ...(end === "stopped" || end === "cut" ? { stopped: true } : {}) };
}

/** The conversations in a file's text, as new ones. Raises Unreadable. */
export function imported(text) {
  const rows = parsed(text);
  if (!rows.length) throw new Unreadable("there is no conversation in it");
  if (rows.length > LIMITS.chats) throw new Unreadable(`it has more than ${LIMITS.chats} conversations`);
  return rows.map((row, place) => {
    const where = rows.length > 1 ? `conversation ${place + 1}: ` : "";
    return readChat(row, where);
  });
}

function parsed(text) {
  try {
    const whole = JSON.parse(text);
    return Array.isArray(whole) ? whole : [whole];
  } catch {
    // Not one value; so one a line.
  }
  return text.split("\n").flatMap((line, place) => {
    if (!line.trim()) return [];
    try {
      return [JSON.parse(line)];
    } catch {
      throw new Unreadable(`line ${place + 1} isn't JSON`);
    }
  });
}

function readChat(row, where) {
  if (!isObject(row) || !Array.isArray(row.messages)) {
    throw new Unreadable(`${where}it has no list of messages`);
  }
  const messages = readMessages(row.messages, where);
  const chat = newChat(messages[0]?.role === "system" ? messages.shift().content : "");
  const branches = row.branches ?? [];
  if (!Array.isArray(branches)) throw new Unreadable(`${where}its branches aren't a list`);
  if (branches.length > LIMITS.branches) throw new Unreadable(`${where}too many branches`);
  if (!messages.length && !chat.system) throw new Unreadable(`${where}nothing was said in it`);
  for (const branch of branches) {
    if (!Array.isArray(branch)) throw new Unreadable(`${where}a branch isn't a list of messages`);
    addPath(chat, checkedPath(readMessages(branch, where), where));
  }
  chat.leaf = addPath(chat, checkedPath(messages, where));
  const title = readTitle(row.title, where);
  if (title) Object.assign(chat, { title, named: true });
  if (!chat.title) chat.title = titleOf(chat.system);
  return chat;
}

function checkedPath(messages, where) {
  if (messages.some(({ role }) => role === "system")) {
    throw new Unreadable(`${where}a system message stands elsewhere than first`);
  }
  return messages;
}

function readMessages(list, where) {
  if (list.length > LIMITS.messages) throw new Unreadable(`${where}more than ${LIMITS.messages} messages`);
  return list.map((message, place) => {
    const here = `${where}message ${place + 1}`;
    if (!isObject(message)) throw new Unreadable(`${here} isn't an object`);
    const { role, content, stopped } = message;
    if (!["system", "user", "assistant"].includes(role)) {
      throw new Unreadable(`${here} has no role among system, user and assistant`);
    }
    if (typeof content !== "string") throw new Unreadable(`${here} has no text`);
    if (content.length > LIMITS.characters) throw new Unreadable(`${here} is too long`);
    const end = role === "assistant" ? { end: stopped === true ? "stopped" : "stop" } : {};
    return { role, content: content.toWellFormed(), ...end };
  });
}

function readTitle(title, where) {
  if (title === undefined || title === null) return "";
  if (typeof title !== "string") throw new Unreadable(`${where}its title isn't text`);
  return title.trim().split(/\s+/).join(" ").slice(0, LIMITS.title).toWellFormed();
}

/** A conversation as the storage has it. Raises Unreadable for what we wouldn't have written. */
export function readStored(found, id) {
  const sound =
    isObject(found) &&
    found.id === id &&
    [found.title, found.system].every((text) => typeof text === "string") &&
    [found.named, found.dropOldest].every((flag) => typeof flag === "boolean") &&
    [found.asked, found.created, found.updated].every(Number.isFinite) &&
    Array.isArray(found.nodes) &&
    found.nodes.every(isNode);
  if (!sound) throw new Unreadable("it isn't a conversation of this page");
  const ids = new Set();
  for (const node of found.nodes) {
    // Parents come first, so there are no circles.
    if (ids.has(node.id) || !(node.parent === null || ids.has(node.parent))) {
      throw new Unreadable("its messages don't follow each other");
    }
    ids.add(node.id);
    if (node.role === "assistant") node.end ??= "cut"; // the page was closed while it was written
  }
  if (found.leaf !== null && !ids.has(found.leaf)) throw new Unreadable("its last message is missing");
  return found;
}

function isNode(node) {
  return (
    isObject(node) &&
    Number.isSafeInteger(node.id) &&
    ["user", "assistant"].includes(node.role) &&
    typeof node.content === "string" &&
    ["undefined", "string"].includes(typeof node.model) &&
    (node.end === undefined || ENDS.includes(node.end)) &&
    (node.dropped === undefined || Number.isSafeInteger(node.dropped)) &&
    (node.tokens === undefined || (Array.isArray(node.tokens) && node.tokens.every(isToken)))
  );
}

function isToken(token) {
  return Array.isArray(token) && isChance(token) && Array.isArray(token[2]) && token[2].every(isChance);
}

function isChance([bytes, logprob] = []) {
  return typeof bytes === "string" && Number.isFinite(logprob);
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
