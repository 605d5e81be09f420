// One message of the thread: what was said, how it ended, and what can be done with it.

import { copyText, icon, iconButton, make, speak } from "./dom.js";
import { showText } from "./text.js";
import { summary } from "./tokens.js";
import { leaveTokens, showTokens } from "./tokenview.js";

const ENDINGS = {
  length: "The answer reached the limit of max tokens.",
  stopped: "You stopped it here.",
  cut: "It broke off here.",
};

/** The element of a message. `about` is as `Thread` makes it. */
export function messageItem(node, about, actions) {
  const user = node.role === "user";
  const item = make("li", { className: `message ${node.role}`, tabIndex: -1 });
  item.dataset.id = node.id;
  item.append(make("h2", { className: "unseen", textContent: user ? "You said" : "The model said" }));
  if (node.dropped) item.append(note(leftOut(node.dropped)));
  const body = make("div", { className: "said", dir: "auto" });
  item.append(body);
  showBody(body, node, about);
  if (!about.writing) {
    for (const text of endings(node, about)) item.append(note(text));
    item.append(tools(node, about, actions));
  }
  return item;
}

/** What was said: as text, or in the token view as tokens. */
export function showBody(body, node, { tokens, writing }) {
  body.classList.toggle("waiting", writing && !node.content);
  if (tokens && node.tokens?.length) {
    showTokens(body, node.tokens, { last: !writing });
  } else {
    leaveTokens(body);
    showText(body, node.content);
  }
}

function leftOut(count) {
  const which = count === 1 ? "the oldest message: it no longer fits" : `the ${count} oldest messages: they no longer fit`;
  return `For this answer the model did not read ${which} its context.`;
}

function endings(node, { tokens, model }) {
  if (node.role === "user") return [];
  const found = [];
  if (ENDINGS[node.end]) found.push(ENDINGS[node.end]);
  if (node.model && model && node.model !== model) found.push(`Written by ${node.model}.`);
  if (tokens) found.push(node.tokens?.length ? `${summary(node.tokens)}.` : "Its probabilities weren't kept.");
  return found;
}

function note(text) {
  return make("p", { className: "note muted small", textContent: text });
}

function tools(node, about, actions) {
  const user = node.role === "user";
  const label = user ? "Your message" : "The answer";
  const row = make("div", { className: "tools", aria: { label } });
  row.setAttribute("role", "group");
  if (about.count > 1) row.append(...turning(node, about, actions));
  row.append(copying(node));
  if (user) row.append(keyed(iconButton("edit", "Edit", () => actions.edit(node)), "edit"));
  if (!user || about.unanswered) {
    row.append(keyed(iconButton("retry", user ? "Ask again" : "Another answer", () => actions.retry(node)), "retry"));
  }
  row.append(keyed(iconButton("bin", "Delete from here on", () => actions.remove(node)), "remove"));
  return row;
}

/** The thread finds a button again by its key when the message is made anew. */
function keyed(button, key) {
  button.dataset.key = key;
  return button;
}

function turning(node, { place, count }, actions) {
  const turn = (shape, label, step) => {
    const button = iconButton(shape, label, () => actions.turn(node, step));
    button.disabled = place + step < 0 || place + step >= count;
    return keyed(button, label);
  };
  const where = make("span", { className: "small muted", textContent: `${place + 1} / ${count}` });
  where.setAttribute("aria-label", `version ${place + 1} of ${count}`);
  where.setAttribute("role", "img");
  return [turn("left", "Earlier version", -1), where, turn("right", "Later version", 1)];
}

function copying(node) {
  const button = iconButton("copy", "Copy", async () => {
    const done = await copyText(node.content);
    speak(done ? "Copied" : "It couldn't be copied");
    if (!done) return;
    button.replaceChildren(icon("check"));
    setTimeout(() => button.replaceChildren(icon("copy")), 1500);
  });
  return keyed(button, "copy");
}

/** Put a box in place of a message's text; `send(text)` or nothing follows. */
export function editInPlace(item, node, { send, cancel }) {
  const box = make("textarea", { value: node.content, rows: 3, aria: { label: "Edit your message" } });
  const submit = () => {
    if (box.value.trim()) send(box.value.trim());
  };
  const form = make(
    "form",
    { className: "editing", on: { submit: (event) => (event.preventDefault(), submit()) } },
    box,
    make("p", { className: "muted small", textContent: "What was said after it stays on a branch of its own." }),
    make("button", { type: "button", className: "button", textContent: "Cancel", on: { click: cancel } }),
    make("button", { className: "button primary", textContent: "Send" }),
  );
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      cancel();
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !touch()) {
      event.preventDefault();
      submit();
    }
  });
  item.replaceChildren(form);
  item.classList.add("edited");
  box.focus();
  box.setSelectionRange(box.value.length, box.value.length);
}

/** Where Enter is a key of a keyboard on the screen, it begins a line. */
export const touch = () => matchMedia("(hover: none) and (pointer: coarse)").matches;
