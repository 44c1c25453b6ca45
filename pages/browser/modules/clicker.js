// Keys of a lecture. A clicker sends PageDown and PageUp, or arrows, and a full stop or a B to blank the screen.
//
// The arrows belong to whatever has the focus first: a timeline, a slider, a field. With or without keys, a step
// that comes is shown from its beginning. With keys, on a stage, it is made to fit into the screen.

import { fitting } from "./fit.js";

const NEXT = new Set(["PageDown", "ArrowRight"]);
const BACK = new Set(["PageUp", "ArrowLeft"]);
const BLANK = new Set([".", "B"]);
const OWN = "input, textarea, select, [role=slider], [contenteditable=true], [tabindex]:not([tabindex='-1'])";

// What has the focus, within the shadow trees of components as well.
const focused = () => {
  let found = document.activeElement;
  while (found?.shadowRoot?.activeElement) found = found.shadowRoot.activeElement;
  return found;
};

let shown; // the step that this page showed last

const isTyping = (element) =>
  element?.matches("textarea, [contenteditable=true]") ||
  (element?.matches("input") && !["range", "radio", "checkbox", "button"].includes(element.type));

export const open = (root) => {
  let [data, send] = [{}, () => {}];
  let [blank, stopFitting] = [];

  const darken = () => {
    if (blank) {
      blank.remove();
      blank = undefined;
      return;
    }
    blank = document.createElement("div");
    blank.className = "latent-atelier-blank";
    blank.setAttribute("role", "status");
    blank.setAttribute("aria-label", data.words.blank);
    blank.style.cssText = "position: fixed; inset: 0; background: #000; z-index: 1000000; cursor: none;";
    blank.addEventListener("click", darken);
    document.body.append(blank);
  };

  const wants = (event) => {
    if (event.key === "PageDown" || event.key === "PageUp") return event.key === "PageDown" ? "next" : "back";
    const held = focused();
    // A click on the page itself gives the focus to the box that scrolls, which needs no arrows.
    const own = held?.matches(OWN) && !held.matches("[data-testid=stMain]");
    if (held && held !== document.body && own) return undefined;
    if (NEXT.has(event.key)) return "next";
    if (BACK.has(event.key)) return "back";
    return event.key === "r" || event.key === "R" ? "reveal" : undefined;
  };

  const pressed = (event) => {
    if (!data.keys || event.ctrlKey || event.metaKey || event.altKey || isTyping(focused())) return;
    if (BLANK.has(event.key.toUpperCase())) {
      event.preventDefault();
      darken();
      return;
    }
    const wanted = wants(event);
    if (wanted === undefined) return;
    event.preventDefault();
    if (event.repeat) return; // a key that is held goes one step
    if (blank) darken();
    // The moment makes two presses of one key two values.
    send("value", [wanted, data.step, Date.now()]);
  };

  window.addEventListener("keydown", pressed, { capture: true });
  return {
    update: (given, sendNow) => {
      [data, send] = [given, sendNow];
      root.dataset.step = data.step; // listens for this one
      if (data.keys) stopFitting ??= fitting(); // there are keys on a stage alone
      else stopFitting = stopFitting?.();
      if (shown !== data.step) document.querySelector("[data-testid=stMain]")?.scrollTo(0, 0);
      shown = data.step;
    },
    close: () => {
      window.removeEventListener("keydown", pressed, { capture: true });
      blank?.remove();
      stopFitting?.();
    },
  };
};
