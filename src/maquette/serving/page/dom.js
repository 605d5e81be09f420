// Elements, made by calls alone: text goes in as text, and nothing here reads markup.

const SVG = "http://www.w3.org/2000/svg";

const SHAPES = {
  menu: "M4 6h16M4 12h16M4 18h16",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5",
  tokens: "M4 8V5h3M20 8V5h-3M4 16v3h3M20 16v3h-3M8 9.5h8M8 14.5h5",
  help: "M9.2 9.2a2.9 2.9 0 1 1 4.1 2.7c-.9.4-1.3 1-1.3 2M12 17.2v.1M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  close: "M6 6l12 12M18 6L6 18",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M8 8h8v8H8z",
  plus: "M12 5v14M5 12h14",
  copy: "M9 9h10v11H9zM15 9V4H5v11h4",
  check: "M5 13l4.5 4.5L19 7",
  edit: "M5 19l1-4L16 5l3 3L9 18z",
  retry: "M19 12a7 7 0 1 1-2-5M19 4v4h-4",
  bin: "M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13M10.5 11v5.5M13.5 11v5.5",
  save: "M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14",
  picture: "M4 5h16v14H4zM4 16l4.5-4.5 4 4 3-3L20 16M15.5 8.5v.1",
  load: "M12 16V5M7.5 9L12 4.5 16.5 9M5 20h14",
  left: "M14.5 6l-6 6 6 6",
  right: "M9.5 6l6 6-6 6",
  down: "M12 5v14M6 13l6 6 6-6",
};

export const byId = (id) => document.getElementById(id);

/** An element; `set` holds properties, `on` its listeners, `aria` its aria-... attributes. */
export function make(tag, { on = {}, aria = {}, ...set } = {}, ...children) {
  const element = document.createElement(tag);
  Object.assign(element, set);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(`aria-${name}`, value);
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  element.append(...children);
  return element;
}

/** A picture from the table above. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

/** A button that shows a picture and is called `label`. */
export function iconButton(name, label, click) {
  const set = { type: "button", className: "icon", title: label, aria: { label } };
  return make("button", { ...set, on: { click } }, icon(name));
}

/** Read aloud by screen readers, when they have finished what they say. */
export function speak(text) {
  const place = byId("spoken");
  place.textContent = "";
  // Anew, so that the same words are read twice.
  setTimeout(() => {
    place.textContent = text;
  }, 50);
}

/** Put text on the clipboard; says whether that worked. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text); // on another machine's page without TLS there is no clipboard API
  }
}

function copySelected(text) {
  const box = make("textarea", { value: text, className: "unseen" });
  const before = document.activeElement;
  document.body.append(box);
  box.select();
  const done = document.execCommand("copy");
  box.remove();
  before?.focus();
  return done;
}
