// The thread: the messages of a conversation, in order, and where it is scrolled to.

import { byId } from "./dom.js";
import { editInPlace, messageItem, showBody } from "./message.js";
import { path, versions } from "./tree.js";
import { hideCard } from "./tokenview.js";

const NEAR = 48; // pixels from the end that count as there

export class Thread {
  #items = new Map(); // a message's id -> {item, as}: its element, and what that shows
  #frame = 0;
  #chat = null;

  /** `view()` tells `{tokens: whether the token view is on, model}`. */
  constructor(session, view, actions) {
    this.session = session;
    this.view = view;
    this.actions = { ...actions, edit: (node) => this.edit(node) };
    this.area = byId("thread");
    this.list = byId("messages");
    this.toEnd = byId("to-end");
    this.toEnd.addEventListener("click", () => this.scrollToEnd());
    this.area.addEventListener("scroll", () => this.#atEnd(), { passive: true });
    new ResizeObserver(() => this.#atEnd()).observe(this.area);
  }

  /** Show the conversation as it is now; elements that show the same already stay. */
  show() {
    const { chat } = this.session;
    const other = chat !== this.#chat;
    const follow = other || this.#isAtEnd();
    if (other) this.#items.clear();
    this.#chat = chat;
    const focused = this.#focused();
    const nodes = path(chat);
    const items = nodes.map((node) => this.#item(node));
    for (const [place, item] of items.entries()) {
      const there = this.list.children[place];
      if (there !== item) this.list.insertBefore(item, there ?? null);
    }
    while (this.list.children.length > items.length) this.list.lastChild.remove();
    const ids = new Set(nodes.map((node) => node.id));
    for (const id of this.#items.keys()) if (!ids.has(id)) this.#items.delete(id);
    this.#refocus(focused);
    hideCard();
    if (follow) this.scrollToEnd();
    this.#atEnd();
  }

  #item(node) {
    const about = this.#about(node);
    const { tokens, ...rest } = node;
    const as = JSON.stringify([rest, about, node === this.session.writing() ? 0 : tokens?.length]);
    const there = this.#items.get(node.id);
    if (there && (there.as === as || there.as === "edited")) return there.item;
    const item = messageItem(node, about, this.actions);
    this.#items.set(node.id, { item, as });
    there?.item.replaceWith(item);
    return item;
  }

  #about(node) {
    const all = versions(this.session.chat, node);
    return {
      ...this.view(),
      writing: node === this.session.writing(),
      place: all.indexOf(node),
      count: all.length,
      unanswered: node.id === this.session.chat.leaf && node.role === "user",
    };
  }

  /** More of an answer has come; it is shown with the next frame. */
  grow(node) {
    if (this.#frame || node !== this.session.writing()) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      const there = this.#items.get(node.id);
      if (node !== this.session.writing() || !there) return;
      const follow = this.#isAtEnd();
      showBody(there.item.querySelector(".said"), node, { ...this.view(), writing: true });
      if (follow) this.scrollToEnd();
      this.#atEnd();
    });
  }

  /** Let the person edit a message in its place. */
  edit(node) {
    const there = this.#items.get(node.id);
    if (this.session.writing() || !there) return;
    there.as = "edited";
    const leave = () => {
      there.as = "";
      this.show();
    };
    editInPlace(there.item, node, {
      send: (text) => {
        leave();
        this.actions.resend(node, text);
      },
      cancel: () => {
        leave();
        this.#items.get(node.id).item.querySelector('[data-key="edit"]')?.focus();
      },
    });
  }

  focusOn(node) {
    this.#items.get(node?.id)?.item.focus();
  }

  scrollToEnd() {
    this.area.scrollTop = this.area.scrollHeight;
  }

  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.area;
    return scrollHeight - scrollTop - clientHeight < NEAR;
  }

  #atEnd() {
    this.toEnd.hidden = this.#isAtEnd();
  }

  #focused() {
    const item = document.activeElement?.closest?.(".message");
    if (!item || !this.list.contains(item)) return null;
    const place = [...this.list.children].indexOf(item);
    return { place, key: document.activeElement.dataset.key, item };
  }

  /** What stands in the place of an element that had the focus and is gone gets it. */
  #refocus(before) {
    if (!before || before.item.isConnected) return;
    const item = this.list.children[before.place];
    const target = item?.querySelector(`[data-key="${before.key}"]:not(:disabled)`) ?? item;
    (target ?? byId("question")).focus();
  }
}
