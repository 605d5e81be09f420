// What the page has to tell: above the message box, read aloud, until it is closed or settled.

import { byId, iconButton, make } from "./dom.js";

const shown = new Map(); // key -> element

/** Tell something; a notice of the same key is replaced. `actions`: label -> what it does. */
export function tell(key, text, { wrong = false, actions = {} } = {}) {
  settle(key);
  const buttons = Object.entries(actions).map(([label, act]) =>
    make("button", {
      type: "button",
      className: "button",
      textContent: label,
      on: {
        click: () => {
          settle(key);
          byId("question").focus();
          act();
        },
      },
    }),
  );
  const close = iconButton("close", "Close this notice", () => {
    settle(key);
    byId("question").focus();
  });
  const element = make(
    "div",
    { className: wrong ? "notice wrong" : "notice" },
    make("span", { className: "notice-text", textContent: text, dir: "auto" }),
    ...buttons,
    close,
  );
  shown.set(key, element);
  byId("notices").append(element);
}

export function settle(...keys) {
  for (const key of keys) {
    shown.get(key)?.remove();
    shown.delete(key);
  }
}
