// The panels at the sides: beside the thread where there is room, over it where there isn't.

import { byId } from "./dom.js";

export class Panel {
  /** `room`: a media query that says when it stands beside the thread. */
  constructor({ name, room, open, remember }) {
    this.element = byId(name);
    this.button = byId(`${name}-switch`);
    this.room = matchMedia(room);
    this.remember = remember;
    this.beside = open;
    this.others = [];
    this.button.addEventListener("click", () => this.toggle());
    this.room.addEventListener("change", () => this.#apply(this.room.matches && this.beside));
    this.#apply(this.room.matches && this.beside);
  }

  get over() {
    return this.isOpen && !this.room.matches;
  }

  toggle() {
    if (this.isOpen) this.close();
    else this.open();
  }

  open() {
    if (!this.room.matches) for (const other of this.others) if (other.over) other.close();
    this.#apply(true);
    this.element.querySelector("button:not([hidden]), textarea, input:not([hidden])")?.focus();
  }

  close() {
    const inside = this.element.contains(document.activeElement) || this.over;
    this.#apply(false);
    if (inside) this.button.focus();
  }

  #apply(open) {
    this.isOpen = open;
    if (this.room.matches && this.beside !== open) {
      this.beside = open;
      this.remember(open);
    }
    this.element.classList.toggle("open", open);
    this.button.setAttribute("aria-expanded", String(open));
    const covered = [this, ...this.others].some((panel) => panel.over);
    byId("main").inert = covered;
    byId("veil").classList.toggle("open", covered);
  }
}

/** Two panels of which one at most lies over the thread. */
export function joinPanels(one, other) {
  one.others = [other];
  other.others = [one];
  const closeAll = () => {
    const found = [one, other].filter((panel) => panel.over);
    for (const panel of found) panel.close();
    return found.length > 0;
  };
  byId("veil").addEventListener("click", closeAll);
  return closeAll;
}
