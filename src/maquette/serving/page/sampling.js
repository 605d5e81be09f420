// How tokens are drawn: the fields of the form #sampling. Their bounds and defaults stand in the
// page itself, as attributes.

import { byId, make } from "./dom.js";

export class Sampling {
  /** `found`: what was kept, field -> value. `changed(values)` is called with what is to be kept. */
  constructor(found, changed) {
    this.form = byId("sampling");
    this.fields = [...this.form.elements].filter((field) => field.name);
    this.held = {};
    for (const field of this.fields) {
      this.held[field.name] = field.defaultValue;
      const before = found?.[field.name];
      if (typeof before === "string") field.value = before;
      this.#take(field);
    }
    this.form.addEventListener("input", (event) => {
      this.#take(event.target);
      changed(this.held, event.target.name);
    });
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("reset", (event) => {
      event.preventDefault();
      for (const field of this.fields) {
        field.value = field.defaultValue;
        this.#take(field);
      }
      changed(this.held);
    });
  }

  /** As the API takes it; fields left empty aren't there. */
  values() {
    const filled = Object.entries(this.held).filter(([, value]) => value !== "");
    return Object.fromEntries(filled.map(([name, value]) => [name, Number(value)]));
  }

  /** A value out of bounds is told, and the one before it holds. */
  #take(field) {
    const place = field.closest(".field");
    place.querySelector(".wrong")?.remove();
    field.removeAttribute("aria-invalid");
    if (field.validity.valid) {
      this.held[field.name] = field.value;
    } else {
      const held = this.held[field.name] || field.placeholder.toLowerCase();
      const textContent = `${bounds(field)}; ${held} holds.`;
      place.append(make("p", { className: "wrong small", role: "alert", textContent }));
      field.setAttribute("aria-invalid", "true");
    }
    const output = place.querySelector("output");
    if (output) output.textContent = field.value;
  }
}

function bounds({ min, max, step }) {
  const kind = step === "1" ? "A whole number" : "A number";
  return max ? `${kind}, ${min} to ${max}` : `${kind}, ${min} or more`;
}
