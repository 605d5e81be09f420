// A conversation: a tree of messages, of which one path is shown. An edited question and another
// answer are branches of their own, so nothing that was said is lost.
//
//   {id, title, named, system, dropOldest, asked, created, updated, leaf, nodes: [node]}
//   node: {id, parent, role, content, end?, model?, dropped?, tokens?}
//
// `end` of an answer: "stop" or "length" as the API has it, "stopped" by the person, "cut" by an
// error. `tokens` are as tokens.js keeps them; `asked` counts answers, for the seed.

export function newChat(system = "") {
  const now = Date.now();
  return {
    id: Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join(""),
    title: "",
    named: false,
    system,
    dropOldest: false,
    asked: 0,
    created: now,
    updated: now,
    leaf: null,
    nodes: [],
  };
}

export function find(chat, id) {
  return chat.nodes.find((node) => node.id === id);
}

/** The messages from the first to the one that is shown last. */
export function path(chat, leaf = chat.leaf) {
  const byId = new Map(chat.nodes.map((node) => [node.id, node]));
  const found = [];
  for (let node = byId.get(leaf); node; node = byId.get(node.parent)) found.push(node);
  return found.reverse();
}

/** Add a message after `parent` (an id, or null) and show it. */
export function add(chat, parent, message) {
  const id = chat.nodes.reduce((most, node) => Math.max(most, node.id), 0) + 1;
  const node = { ...message, id, parent };
  chat.nodes.push(node);
  chat.leaf = id;
  chat.updated = Date.now();
  if (!chat.named && !chat.title && node.role === "user") chat.title = titleOf(node.content);
  return node;
}

/** A message and what could stand in its place: edits of a question, other answers. */
export function versions(chat, node) {
  return chat.nodes.filter((other) => other.parent === node.parent);
}

/** Show the path through a message that goes on with what was said last. */
export function show(chat, node) {
  let last = node;
  for (let next = node; next; next = chat.nodes.findLast((one) => one.parent === last.id)) last = next;
  chat.leaf = last.id;
}

/** Take out a message and all that follows it. */
export function removeFrom(chat, node) {
  const place = versions(chat, node).indexOf(node);
  const gone = new Set([node.id]);
  // Whatever follows a message was added after it.
  for (const one of chat.nodes) if (gone.has(one.parent)) gone.add(one.id);
  chat.nodes = chat.nodes.filter((one) => !gone.has(one.id));
  const others = versions(chat, node);
  chat.leaf = node.parent;
  if (others.length) show(chat, others[Math.min(place, others.length - 1)]);
  chat.updated = Date.now();
}

/** Add messages as a path of their own, along what is there already as far as it is the same. */
export function addPath(chat, messages) {
  let parent = null;
  for (const message of messages) {
    const same = chat.nodes.find(
      (node) => node.parent === parent && node.role === message.role && node.content === message.content,
    );
    parent = (same ?? add(chat, parent, message)).id;
  }
  return parent;
}

/** Every path from a first message to a last one; the one that is shown comes first. */
export function paths(chat) {
  const parents = new Set(chat.nodes.map((node) => node.parent));
  const leaves = chat.nodes.filter((node) => !parents.has(node.id) && node.id !== chat.leaf);
  const shown = chat.leaf === null ? [] : [path(chat)];
  return [...shown, ...leaves.map((leaf) => path(chat, leaf.id))];
}

export function titleOf(text) {
  const line = text.trim().split(/\s+/).join(" ");
  const letters = Array.from(line);
  return letters.length > 60 ? `${letters.slice(0, 59).join("")}…` : line;
}
