// What was said, as text: as it is, and what stands between ``` as code.

import { make } from "./dom.js";

const FENCE = /^ {0,3}(`{3,})([^`]*)$/;

/** Pieces of a text: `[{code: boolean, text}]`. A fence that isn't closed goes to the end. */
export function pieces(content) {
  const found = [];
  let lines = [];
  let fence = "";
  const push = (code) => {
    if (code || lines.length) found.push({ code, text: lines.join("\n") });
    lines = [];
  };
  for (const line of content.split("\n")) {
    const match = FENCE.exec(line);
    if (!fence && match) {
      push(false);
      fence = match[1];
    } else if (fence && match && match[1].length >= fence.length && !match[2].trim()) {
      push(true);
      fence = "";
    } else {
      lines.push(line);
    }
  }
  push(Boolean(fence));
  return found.length > 1 ? found.map(withoutEdges).filter(({ code, text }) => code || text) : found;
}

/** Beside code there is a gap anyway. */
function withoutEdges({ code, text }) {
  return { code, text: code ? text : text.replace(/^\n+|\n+$/g, "") };
}

/** Show a text in an element; nodes that say the same already are left alone. */
export function showText(element, content) {
  const wanted = pieces(content);
  wanted.forEach(({ code, text }, place) => {
    let node = element.children[place];
    if (node?.tagName !== (code ? "PRE" : "P")) {
      const fresh = code ? codeBlock() : make("p", { dir: "auto" });
      if (node) node.replaceWith(fresh);
      else element.append(fresh);
      node = fresh;
    }
    const inner = code ? node.firstChild : node;
    if (inner.textContent !== text) inner.textContent = text;
  });
  while (element.children.length > wanted.length) element.lastChild.remove();
}

/** Can be scrolled with the keyboard, too. */
function codeBlock() {
  const block = make("pre", { tabIndex: 0, aria: { label: "Code" } }, make("code"));
  block.setAttribute("role", "region");
  return block;
}
