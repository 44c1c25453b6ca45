// Shapes of points, each a path around the place where the pen stands.

const closed = (...corners) => {
  const [[x, y], ...others] = corners;
  let [at, path] = [[x, y], `m${x} ${y}`];
  for (const [right, down] of others) {
    path += `l${(right - at[0]).toFixed(2)} ${(down - at[1]).toFixed(2)}`;
    at = [right, down];
  }
  return `${path}z`;
};
const around = (count, radius, turn = -Math.PI / 2) =>
  Array.from({ length: count }, (_, i) => {
    const [angle, r] = [turn + (2 * Math.PI * i) / count, radius(i)];
    return [r * Math.cos(angle), r * Math.sin(angle)];
  });
const turned = (corners, angle) =>
  corners.map(([x, y]) => [
    x * Math.cos(angle) - y * Math.sin(angle),
    x * Math.sin(angle) + y * Math.cos(angle),
  ]);

const circle = (r) => `m${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
const square = (r) => closed([-r, -r], [r, -r], [r, r], [-r, r]);
const diamond = (r) => closed(...around(4, () => 1.3 * r));
const plus = (r) => {
  const [a, b] = [1.15 * r, 0.4 * r];
  return [[-b, -a], [b, -a], [b, -b], [a, -b], [a, b], [b, b], [b, a], [-b, a], [-b, b], [-a, b], [-a, -b], [-b, -b]];
};

const SHAPES = {
  circle,
  square: (r) => square(0.9 * r),
  diamond,
  "triangle-up": (r) => closed(...around(3, () => 1.25 * r)),
  "triangle-down": (r) => closed(...around(3, () => 1.25 * r, Math.PI / 2)),
  cross: (r) => closed(...plus(r)),
  x: (r) => closed(...turned(plus(r), Math.PI / 4)),
  star: (r) => closed(...around(10, (i) => (i % 2 ? 0.55 * r : 1.35 * r))),
};

// The shape, and whether it is open: drawn as a line, not filled.
export const symbol = (name, radius) => {
  const open = name.endsWith("-open");
  return { shape: SHAPES[open ? name.slice(0, -5) : name](radius), open };
};
