// Arrows and places in a plane whose y goes up, drawn in an SVG whose y goes down.

import { drawn } from "./elements.js";

export const DEGREE = Math.PI / 180;

// The shorter way from one angle to another, in (-pi, pi].
export const wayTo = (from, to) => {
  const turn = (to - from) % (2 * Math.PI);
  return turn > Math.PI ? turn - 2 * Math.PI : turn <= -Math.PI ? turn + 2 * Math.PI : turn;
};

export const polar = (angle, radius) => [radius * Math.cos(angle), -radius * Math.sin(angle)];

const HEAD = 11; // pixels of an arrow's head, or as much as the arrow has

// The path of an arrow by (x, y) from a place; two heads say that it is longer than drawn.
export const arrow = ([x, y], [right, down], twice = false) => {
  const length = Math.hypot(right, down);
  if (length < 0.5) return "";
  const [ux, uy] = [right / length, down / length];
  const head = Math.min(HEAD, length);
  const tip = (at) => {
    const [tx, ty] = [x + at * ux, y + at * uy];
    const side = (sign) => `${tx - head * (ux - sign * 0.55 * uy)} ${ty - head * (uy + sign * 0.55 * ux)}`;
    return `M${side(1)}L${tx} ${ty}L${side(-1)}`;
  };
  return `M${x} ${y}L${x + right} ${y + down}${tip(length)}${twice ? tip(length - 0.6 * head) : ""}`;
};

export const words = (text, [x, y], attributes = {}) => {
  const made = drawn("text", { x, y, "text-anchor": "middle", "dominant-baseline": "central", ...attributes });
  made.textContent = text;
  return made;
};
