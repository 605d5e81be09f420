// The token view: an answer's tokens shaded by surprise, with what else could have come.

import { byId, make } from "./dom.js";
import { bits, cells, percent, spoken, visible } from "./tokens.js";

const MOST_BITS = 8;
const shade = (surprise) => `b${Math.min(MOST_BITS, Math.round(surprise))}`;

/** Which cell a span shows. */
const shown = new WeakMap();

/** Show tokens in an element; those that are there already stay. */
export function showTokens(element, tokens, { last }) {
  const all = cells(tokens, { last });
  if (element.dataset.view !== "tokens") {
    element.dataset.view = "tokens";
    element.replaceChildren();
    element.setAttribute("role", "group");
    element.setAttribute("aria-label", "Tokens of the answer; the arrow keys go from one to the next");
  }
  const added = all.slice(element.childElementCount).map(span);
  element.append(...added);
  if (element.firstChild && !element.querySelector('[tabindex="0"]')) element.firstChild.tabIndex = 0;
}

/** Back to plain text. */
export function leaveTokens(element) {
  if (element.dataset.view !== "tokens") return;
  delete element.dataset.view;
  element.removeAttribute("role");
  element.removeAttribute("aria-label");
  element.replaceChildren();
}

function span(cell) {
  const chances = cell.tokens.map(([, p]) => percent(p)).join(", then ");
  const label = `${spoken(cell.text)}: ${chances}, ${cell.bits.toFixed(1)} bits`;
  const line = cell.text.includes("\n") ? " line" : "";
  const element = make("span", {
    className: `token ${shade(cell.bits)}${line}`,
    textContent: cell.text,
    tabIndex: -1,
    aria: { label },
  });
  element.setAttribute("role", "button");
  shown.set(element, cell);
  return element;
}

/** Show the card of a token when it is pointed at, tapped or focused, inside of `area`. */
export function watchTokens(area) {
  const token = (event) => event.target.closest?.(".token");
  let pinned = null;
  const open = (element) => {
    showCard(element, shown.get(element));
  };
  const close = () => {
    pinned = null;
    hideCard();
  };
  area.addEventListener("pointerover", (event) => {
    if (event.pointerType === "mouse" && token(event)) open(token(event));
  });
  area.addEventListener("pointerout", (event) => {
    if (event.pointerType !== "mouse" || !token(event)) return;
    if (pinned?.isConnected) open(pinned);
    else close();
  });
  area.addEventListener("focusin", (event) => {
    const element = token(event);
    if (!element) return;
    for (const other of element.parentElement.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
    element.tabIndex = 0;
    pinned = element;
    open(element);
  });
  area.addEventListener("focusout", close);
  area.addEventListener("scroll", hideCard, { passive: true });
  area.addEventListener("keydown", (event) => {
    const element = token(event);
    const target = element && neighbour(element, event.key);
    if (!target) return;
    event.preventDefault();
    target.focus();
    target.scrollIntoView({ block: "nearest" });
    open(target);
  });
}

function neighbour(element, key) {
  if (key === "ArrowRight") return element.nextElementSibling;
  if (key === "ArrowLeft") return element.previousElementSibling;
  if (key === "Home") return element.parentElement.firstElementChild;
  if (key === "End") return element.parentElement.lastElementChild;
  return null;
}

export function hideCard() {
  const card = byId("token-card");
  const was = !card.hidden;
  card.hidden = true;
  return was;
}

function showCard(element, cell) {
  const card = byId("token-card");
  card.replaceChildren(...cell.tokens.flatMap((token, place) => table(token, place, cell.tokens.length)));
  card.hidden = false;
  place(card, element);
}

/** Below the token, or above it where there is more room, and inside of the window. */
function place(card, element) {
  const edge = 8;
  const lines = element.getClientRects();
  const at = lines[0] ?? element.getBoundingClientRect();
  const { width, height } = card.getBoundingClientRect();
  const below = at.bottom + 6;
  const top = below + height + edge > innerHeight ? Math.max(edge, at.top - 6 - height) : below;
  const left = Math.min(Math.max(edge, at.left + at.width / 2 - width / 2), innerWidth - width - edge);
  card.style.top = `${top}px`;
  card.style.left = `${left}px`;
}

function table([bytes, logprob, likeliest], place, count) {
  const among = likeliest.some(([other]) => other === bytes);
  const rows = among ? likeliest : [...likeliest, [bytes, logprob]];
  const part = count > 1 ? `, part ${place + 1} of ${count}` : "";
  const head = make(
    "p",
    { className: "card-head" },
    make("code", { textContent: visible(bytes) }),
    make("span", { textContent: `${bits(logprob).toFixed(1)} bits of surprise${part}` }),
  );
  const body = rows.map(([other, p], number) => {
    const set = { className: number === likeliest.length ? "beyond" : "" };
    const row = make(
      "tr",
      set,
      make("th", { scope: "row" }, make("code", { textContent: visible(other) })),
      make("td", { className: "share" }, bar(p)),
      make("td", { className: "number", textContent: percent(p) }),
    );
    if (other === bytes) row.classList.add("chosen");
    return row;
  });
  return [head, make("table", {}, make("tbody", {}, ...body))];
}

function bar(logprob) {
  const found = make("i");
  found.style.width = `${100 * Math.exp(logprob)}%`;
  return found;
}
