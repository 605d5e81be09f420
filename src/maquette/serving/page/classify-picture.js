// One picture on the page: its middle square, and what the model saw in it.

import { icon, iconButton, make } from "./dom.js";

const SIDE = 352; // pixels of the square, for screens with two of them a point

/** 0.9731 -> "97.3%". */
export function percent(share) {
  if (share < 0.0005) return "under 0.1%";
  return `${(100 * share).toFixed(1)}%`;
}

export class Picture {
  /** `again` is called to have it looked at once more, `remove` when it isn't wanted any more. */
  constructor(file, { again, remove }) {
    this.file = file;
    this.name = file.name || "Picture";
    this.stop = new AbortController();
    this.again = () => again(this);
    this.square = make("div", { className: "square" }, icon("picture"));
    const heading = make("h3", { textContent: this.name, title: this.name, dir: "auto" });
    this.said = make("div", {}, make("p", { className: "muted waiting", textContent: "Looking" }));
    this.element = make(
      "li",
      { className: "picture", tabIndex: -1, aria: { label: this.name } },
      this.square,
      make("div", { className: "told" }, heading, this.said),
      iconButton("close", `Remove ${this.name}`, () => remove(this)),
    );
  }

  /** What the model said: classes, the likeliest first. */
  show(classes) {
    const rows = classes.map(({ name, probability }) => {
      const filled = make("i");
      filled.style.width = `${100 * probability}%`;
      return make(
        "li",
        {},
        make("span", { className: "name", textContent: name, title: name, dir: "auto" }),
        make("span", { className: "share", textContent: percent(probability) }),
        make("div", { className: "bar-of", aria: { hidden: "true" } }, filled),
      );
    });
    this.said.replaceChildren(make("ol", { className: "likely" }, ...rows));
  }

  /** Why there is nothing to show; `retry` where another try may help. */
  fail(message, retry) {
    const repeat = () => {
      this.element.focus(); // the button is about to go
      this.said.replaceChildren(make("p", { className: "muted waiting", textContent: "Looking" }));
      this.again();
    };
    const button = make("button", { type: "button", className: "button", textContent: "Try again", on: { click: repeat } });
    this.said.replaceChildren(make("p", { className: "wrong", textContent: message, dir: "auto" }), ...(retry ? [button] : []));
  }

  /** What the model looks at, the middle square; nothing where the browser can't read the file. */
  async draw() {
    let bitmap;
    try {
      bitmap = await createImageBitmap(this.file);
    } catch {
      return;
    }
    const { width, height } = bitmap;
    const side = Math.min(width, height);
    const canvas = make("canvas", { width: SIDE, height: SIDE, aria: { hidden: "true" } });
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = side > SIDE / 4; // of a tiny one the pixels are shown
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, (width - side) / 2, (height - side) / 2, side, side, 0, 0, SIDE, SIDE);
    bitmap.close();
    this.square.replaceChildren(canvas);
  }
}
