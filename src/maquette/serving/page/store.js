// Conversations in this browser's storage, each under a key of its own; and small settings.

import { readStored } from "./exchange.js";

const CHAT = "maquette.chat.";
const STATE = "maquette.state";

/** The storage, or undefined where the browser refuses it. */
function area() {
  try {
    return window.localStorage;
  } catch {
    return undefined;
  }
}

/** `{chats: newest first, broken: how many can't be read, refused: whether there is no storage}`. */
export function loadChats() {
  const storage = area();
  if (!storage) return { chats: [], broken: 0, refused: true };
  const keys = Object.keys(storage).filter((key) => key.startsWith(CHAT));
  const chats = keys.map((key) => loadChat(key)).filter(Boolean);
  chats.sort((a, b) => b.updated - a.updated);
  return { chats, broken: keys.length - chats.length, refused: false };
}

/** One conversation by its key, undefined where it is gone or can't be read. */
export function loadChat(key) {
  try {
    return readStored(JSON.parse(area().getItem(key)), key.slice(CHAT.length));
  } catch {
    return undefined;
  }
}

export function isChatKey(key) {
  return key.startsWith(CHAT);
}

/**
 * Keep a conversation: "kept"; "trimmed", when the tokens of all answers had to go to make room;
 * "full" or "refused", when it is only in this page.
 */
export function saveChat(chat) {
  const storage = area();
  if (!storage) return "refused";
  try {
    storage.setItem(CHAT + chat.id, JSON.stringify(chat));
    return "kept";
  } catch (error) {
    if (error.name !== "QuotaExceededError") return "refused";
  }
  return trim(storage, chat) ? "trimmed" : "full";
}

function trim(storage, chat) {
  const text = (one) => JSON.stringify({ ...one, nodes: one.nodes.map(({ tokens, ...node }) => node) });
  try {
    for (const other of loadChats().chats) {
      if (other.id !== chat.id) storage.setItem(CHAT + other.id, text(other));
    }
    storage.setItem(CHAT + chat.id, text(chat));
    return true;
  } catch {
    return false;
  }
}

export function forgetChat(id) {
  area()?.removeItem(CHAT + id);
}

/** What the page remembers besides: `{sampling, tokens, panels, chat}`. */
export function loadState() {
  try {
    const found = JSON.parse(area().getItem(STATE));
    return found && typeof found === "object" && !Array.isArray(found) ? found : {};
  } catch {
    return {};
  }
}

export function saveState(state) {
  try {
    area()?.setItem(STATE, JSON.stringify(state));
  } catch {
    // It holds until the page is closed.
  }
}
