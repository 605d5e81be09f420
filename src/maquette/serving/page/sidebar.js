// The list of conversations.

import { byId, iconButton, make } from "./dom.js";

export class Sidebar {
  #renaming = null; // a conversation's id

  /** `actions`: open, rename, remove, save; each is given the conversation. */
  constructor(session, actions) {
    this.session = session;
    this.actions = actions;
    this.list = byId("chat-list");
  }

  show() {
    const key = this.list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    if (this.#renaming && key === `name ${this.#renaming}`) return; // not while it is typed
    this.list.replaceChildren(...this.session.chats.map((chat) => this.#item(chat)));
    if (key) (this.list.querySelector(`[data-key="${key}"]`) ?? byId("new-chat")).focus();
  }

  #item(chat) {
    const title = chat.title || "Untitled";
    const item = make("li");
    if (this.#renaming === chat.id) {
      item.append(this.#nameBox(chat));
      return item;
    }
    const open = make("button", {
      type: "button",
      className: "chat-open",
      textContent: title,
      title,
      dir: "auto",
      on: { click: () => this.actions.open(chat) },
    });
    open.dataset.key = `open ${chat.id}`;
    if (chat === this.session.chat) open.setAttribute("aria-current", "true");
    if (this.session.writing(chat)) {
      open.classList.add("busy");
      open.append(make("span", { className: "unseen", textContent: " (an answer is being written)" }));
    }
    item.append(open, ...this.#tools(chat, title));
    return item;
  }

  #tools(chat, title) {
    const tool = (shape, verb, act) => {
      const button = iconButton(shape, `${verb} ${title}`, act);
      button.title = verb;
      button.dataset.key = `${shape} ${chat.id}`;
      return button;
    };
    return [
      tool("edit", "Rename", () => this.rename(chat)),
      tool("save", "Export", () => this.actions.save(chat)),
      tool("bin", "Delete", () => this.actions.remove(chat)),
    ];
  }

  rename(chat) {
    this.#renaming = chat.id;
    this.show();
    const box = this.list.querySelector("input");
    box.focus();
    box.select();
  }

  #nameBox(chat) {
    const leave = (keep) => {
      if (this.#renaming !== chat.id) return;
      this.#renaming = null;
      if (keep) this.actions.rename(chat, box.value);
      else this.show();
      this.list.querySelector(`[data-key="edit ${chat.id}"]`)?.focus();
    };
    const box = make("input", {
      value: chat.title,
      maxLength: 200,
      className: "chat-name",
      aria: { label: "Name of the conversation" },
      on: {
        blur: () => leave(true),
        keydown: (event) => {
          if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
          event.preventDefault();
          event.stopPropagation();
          leave(event.key === "Enter");
        },
      },
    });
    box.dataset.key = `name ${chat.id}`;
    return box;
  }
}
