// Curves as SVG: our own, small, with axes that one can read and values under the pointer.

import { make } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 52;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 26;

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const known = (value) => typeof value === "number" && Number.isFinite(value);

/** A curve of a table's row: the logarithms of a few losses, without axes. */
export function sparkline(values) {
  const [width, height] = [96, 26];
  const points = values.map((y, x) => [x, y]).filter(([, y]) => known(y) && y > 0);
  const svg = draw("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  if (points.length < 2) return svg;
  const logs = points.map(([, y]) => Math.log(y));
  const [low, high] = [Math.min(...logs), Math.max(...logs)];
  const path = points.map(([x], i) => {
    const across = 2 + (x / (values.length - 1)) * (width - 6);
    const down = 3 + ((high - logs[i]) / (high - low || 1)) * (height - 6);
    return `${i ? "L" : "M"}${across.toFixed(1)} ${down.toFixed(1)}`;
  });
  const [across, down] = path.at(-1).slice(1).split(" ");
  svg.append(draw("path", { d: path.join("") }), draw("circle", { cx: across, cy: down, r: 2 }));
  return svg;
}

/** Means over neighbours in both directions, so that nothing is late. `width` in units of x. */
export function smooth(xs, ys, width) {
  if (!(width > 0)) return ys;
  const forward = fade(xs, ys, width);
  const backward = fade([...xs].reverse(), [...ys].reverse(), width).reverse();
  return ys.map((y, i) => (known(y) ? (forward[i] + backward[i]) / 2 : null));
}

function fade(xs, ys, width) {
  let [mean, before] = [null, 0];
  return ys.map((y, i) => {
    if (!known(y)) return null;
    const weight = mean === null ? 1 : 1 - Math.exp(-Math.abs(xs[i] - before) / width);
    mean = mean === null ? y : mean + weight * (y - mean);
    before = xs[i];
    return mean;
  });
}

/** Round numbers from low to high, about `wanted` of them. `steps`: what counts as round above 1. */
export function ticks(low, high, wanted, steps = null) {
  const rough = (high - low) / wanted;
  if (!(rough > 0) || !Number.isFinite(rough)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step =
    (rough > 0.5 ? steps : null)?.find((one) => one >= rough) ??
    [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

/** The same where the axis is logarithmic: 1, 2, 5 times powers of ten, or else plain ones. */
function logTicks(low, high, wanted) {
  if (high / low < 4) return ticks(low, high, wanted);
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const one of [1, 2, 5]) found.push(one * 10 ** power);
  }
  const inside = found.filter((one) => one >= low && one <= high);
  const tens = inside.filter((one) => /^1e/.test(one.toExponential()));
  return inside.length > 2 * wanted && tens.length > 1 ? tens : inside;
}

/**
 * A chart in a figure. A series: `{name, colour, x, y}`, besides `faint` (what `y` is the smoothed
 * course of), `low` and `high`, and `dots`. A value that isn't known is null: a gap.
 */
export class Chart {
  #series = [];
  #view = {};
  #at = null; // what is read, in units of x
  #scale = null;

  /** `format(value)`: a value in words. */
  constructor(title, { format, tall = false, tick = format }) {
    Object.assign(this, { format, tick });
    this.svg = draw("svg", { "aria-hidden": "true", class: "chart" });
    this.height = tall ? 300 : 150;
    this.plot = make("div", { className: "plot", tabIndex: 0, role: "slider", aria: { label: `${title}: read it with the arrow keys` } });
    this.plot.append(this.svg);
    this.legend = make("p", { className: "legend", aria: { hidden: "true" } });
    this.summary = make("p", { className: "muted small summary" });
    const caption = make("figcaption", {}, make("h3", {}, title), this.legend);
    this.element = make("figure", { className: tall ? "tall" : "" }, caption, this.plot, this.summary);
    this.plot.addEventListener("pointermove", (event) => this.#point(event));
    this.plot.addEventListener("pointerdown", (event) => this.#point(event));
    this.plot.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") this.#read(null); // a finger is lifted to see
    });
    this.plot.addEventListener("blur", () => this.#read(null));
    this.plot.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#draw()).observe(this.plot);
  }

  /** Show series. `view`: `{log, zero, across: {format, steps}, summary}`. */
  show(series, view) {
    this.#series = series.filter(({ y }) => y.some(known));
    this.#view = view;
    this.element.hidden = !this.#series.length;
    if (this.summary.textContent !== view.summary) this.summary.textContent = view.summary;
    this.#draw();
  }

  #draw() {
    const width = this.plot.clientWidth;
    if (!width || !this.#series.length) return;
    this.#measure(width);
    const { x, y, right, bottom } = this.#scale;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
    this.svg.setAttribute("height", this.height);
    // A picture in the picture cuts off what lies outside of the axes.
    const box = { x: LEFT - 4, y: 0, width: width - LEFT - RIGHT + 8, height: bottom + 4 };
    const inner = draw("svg", { ...box, viewBox: Object.values(box).join(" ") });
    for (const one of this.#series) inner.append(...this.#curve(one, x, y));
    this.mark = draw("g", { class: "mark" });
    this.svg.replaceChildren(this.#axes(right, bottom), inner, this.mark);
    this.#read(this.#at);
  }

  #measure(width) {
    const { log, zero } = this.#view;
    const xs = this.#series.flatMap(({ x, y }) => x.filter((one, i) => known(one) && known(y[i])));
    const shown = (y) => known(y) && (!log || y > 0);
    const ys = this.#series.flatMap(({ y, faint = [] }) => [...y, ...faint].filter(shown));
    const range = (values) => values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
    const [left, last] = range(xs);
    let [low, high] = ys.length ? range(ys) : [0.1, 1];
    if (zero) low = Math.min(0, low);
    const to = log ? Math.log : (v) => v;
    const margin = (to(high) - to(low)) * 0.04 || Math.abs(to(high)) * 0.05 || 1;
    const [bottomValue, topValue] = [zero ? to(low) : to(low) - margin, to(high) + margin];
    const [right, bottom] = [width - RIGHT, this.height - BOTTOM];
    const x = (v) => LEFT + ((v - left) / (last - left || 1)) * (right - LEFT);
    const y = (v) => bottom - ((to(v) - bottomValue) / (topValue - bottomValue)) * (bottom - TOP);
    const back = log ? Math.exp : (v) => v;
    const values = [back(bottomValue), back(topValue)];
    this.#scale = { x, y, left, last, right, bottom, values, shown };
  }

  #axes(right, bottom) {
    const { x, y, left, last, values } = this.#scale;
    const { log, across } = this.#view;
    const group = draw("g", { class: "axes" });
    const wanted = this.height > 200 ? 6 : 3;
    for (const value of log ? logTicks(...values, wanted) : ticks(...values, wanted)) {
      const at = y(value).toFixed(1);
      group.append(draw("path", { d: `M${LEFT} ${at}H${right}` }));
      group.append(draw("text", { x: LEFT - 8, y: at, dy: "0.32em", "text-anchor": "end" }, this.tick(value)));
    }
    for (const value of ticks(left, last, Math.max(3, Math.min(8, (right - LEFT) / 90)), across.steps)) {
      const at = x(value);
      const anchor = at > right - 18 ? "end" : at < LEFT + 18 ? "start" : "middle";
      group.append(draw("text", { x: at.toFixed(1), y: bottom + 18, "text-anchor": anchor }, across.tick(value)));
    }
    return group;
  }

  #curve({ colour, x, y, faint, low, high, dots }, toX, toY) {
    const { shown } = this.#scale;
    const known_ = (values) => (i) => known(x[i]) && shown(values[i]);
    const place = (values, i) => `${toX(x[i]).toFixed(1)} ${toY(values[i]).toFixed(1)}`;
    const line = (values) => {
      const is = known_(values);
      return x.map((_, i) => (is(i) ? `${i && is(i - 1) ? "L" : "M"}${place(values, i)}` : "")).join("");
    };
    const found = [];
    const wide = low?.some((one, i) => one !== high[i]);
    if (wide) {
      const both = x.map((_, i) => i).filter((i) => known_(low)(i) && known_(high)(i));
      const there = both.map((i) => place(high, i));
      const back = both.reverse().map((i) => place(low, i));
      found.push(draw("path", { class: `band c${colour}`, d: `M${[...there, ...back].join("L")}Z` }));
    }
    if (faint) found.push(draw("path", { class: `line faint c${colour}`, d: line(faint) }));
    found.push(draw("path", { class: `line c${colour}`, d: line(y) }));
    if (dots && x.length <= 80) {
      for (let i = 0; i < x.length; i++) {
        if (!known_(y)(i)) continue;
        found.push(draw("circle", { class: `dot c${colour}`, cx: toX(x[i]), cy: toY(y[i]), r: 2.5 }));
      }
    }
    return found;
  }

  #point(event) {
    if (!this.#scale) return;
    const { left, last, right } = this.#scale;
    const box = this.plot.getBoundingClientRect();
    const part = (event.clientX - box.left - LEFT) / (right - LEFT);
    this.#read(left + Math.min(1, Math.max(0, part)) * (last - left));
  }

  #key(event) {
    if (!this.#scale) return;
    const { left, last } = this.#scale;
    const places = this.#places();
    const here = this.#at === null ? places.length - 1 : nearest(places, this.#at);
    const far = Math.max(1, Math.round(places.length / 10));
    const moves = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -far, PageUp: far };
    const next =
      event.key === "Home" ? left
      : event.key === "End" ? last
      : event.key in moves ? places[Math.min(places.length - 1, Math.max(0, here + moves[event.key]))]
      : null;
    if (next === null) return;
    event.preventDefault();
    this.#read(next);
  }

  /** Where any series has a value, in order. */
  #places() {
    const all = this.#series.flatMap(({ x, y }) => x.filter((one, i) => known(one) && known(y[i])));
    return [...new Set(all)].sort((a, b) => a - b);
  }

  /** Tell the values at a place: in the legend, by marks, and to screen readers; null: the last. */
  #read(at) {
    this.#at = at;
    this.mark?.replaceChildren();
    if (!this.#series.length || !this.#scale) return;
    const { x, y, bottom, shown, left, last } = this.#scale;
    const { across } = this.#view;
    const found = this.#series.map((one) => ({ ...one, i: at === null ? lastKnown(one.y) : nearestKnown(one, at) }));
    const main = at === null ? null : found.reduce((a, b) => (gap(a, at) <= gap(b, at) ? a : b));
    const words = found.map(({ name, colour, y: values, i }) => {
      const key = make("span", { className: `key c${colour}` });
      return make("span", { className: "value" }, key, `${name} `, make("b", { dir: "auto" }, this.format(values[i])));
    });
    if (main) words.push(make("span", { className: "muted" }, across.format(main.x[main.i])));
    this.legend.replaceChildren(...words);
    const told = found.map(({ name, y: values, i }) => `${name} ${this.format(values[i])}`).join(", ");
    const place = main ? main.x[main.i] : last;
    this.plot.setAttribute("aria-valuemin", left);
    this.plot.setAttribute("aria-valuemax", last);
    this.plot.setAttribute("aria-valuenow", place);
    this.plot.setAttribute("aria-valuetext", `${across.format(place)}: ${told}`);
    if (!main || !this.mark) return;
    const across_ = x(place).toFixed(1);
    this.mark.append(draw("path", { d: `M${across_} ${TOP}V${bottom}` }));
    for (const { colour, x: xs, y: ys, i } of found) {
      if (!shown(ys[i])) continue;
      this.mark.append(draw("circle", { class: `dot c${colour}`, cx: x(xs[i]), cy: y(ys[i]), r: 4 }));
    }
  }
}

const gap = ({ x, i }, at) => Math.abs(x[i] - at);

const lastKnown = (values) => values.findLastIndex(known);

function nearest(places, at) {
  return places.reduce((best, one, i) => (Math.abs(one - at) < Math.abs(places[best] - at) ? i : best), 0);
}

function nearestKnown({ x, y }, at) {
  let best = lastKnown(y);
  for (let i = 0; i < x.length; i++) {
    if (known(x[i]) && known(y[i]) && Math.abs(x[i] - at) < Math.abs(x[best] - at)) best = i;
  }
  return best;
}
