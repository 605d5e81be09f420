// The theme: the system's, until the button #theme chooses another. No module, and in <head>,
// so that a chosen theme is there before anything is painted.
(() => {
  "use strict";

  const KEY = "maquette.theme";
  const NEXT = { system: "light", light: "dark", dark: "system" };
  const SHAPES = {
    system: "M4 5h16v11H4zM9 20h6M12 16v4",
    light: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5",
    dark: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  };
  const SVG = "http://www.w3.org/2000/svg";
  let theme = "system";

  function stored() {
    try {
      const found = localStorage.getItem(KEY);
      return Object.hasOwn(NEXT, found ?? "") ? found : "system";
    } catch {
      return "system"; // storage is refused
    }
  }

  function apply(chosen) {
    theme = chosen;
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) label(button);
  }

  function label(button) {
    const name = theme === "system" ? "Theme: as the system's" : `Theme: ${theme}`;
    button.setAttribute("aria-label", name);
    button.title = name;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", SHAPES[theme]);
    svg.append(path);
    button.replaceChildren(svg);
  }

  function choose() {
    apply(NEXT[theme]);
    try {
      if (theme === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // It holds until the page is closed.
    }
  }

  apply(stored());
  document.addEventListener("DOMContentLoaded", () => {
    apply(theme);
    document.getElementById("theme")?.addEventListener("click", choose);
  });
  addEventListener("storage", (event) => {
    if (event.key === KEY || event.key === null) apply(stored());
  });
})();
