// A chart that follows a timeline: curves with a dot at its stop, curves and maps of points that change with it.

import { scale, ticks } from "./axes.js";
import { drawn, element } from "./elements.js";
import { writer } from "./numbers.js";
import { bytes, forget } from "./sources.js";
import { symbol } from "./symbols.js";
import { follow, timeline } from "./timelines.js";

const DASHES = { solid: "none", dash: "9 6", dot: "2 5", dashdot: "10 5 2 5", longdash: "16 6" };
const [POINT, DOT] = [4.5, 6]; // radii
const [ABOVE, BELOW, TICK_WIDTH, TICK_HEIGHT] = [12, 8, 75, 48];
const ROOM = DOT + 2; // around the plot, so that nothing on its edge is cut
const LARGEST_SQUARE = 520;
const [SLIM, LOW] = [1.5, 220]; // on a phone: how much higher than wide a chart is, and how high at least
const EDGE = 16; // of a saved picture
const PASSES = 100; // points of a curve that the name of a level keeps away from
const SAVE = "M12 3v10.2l3.6-3.6L17 11l-5 5-5-5 1.4-1.4 3.6 3.6V3zM5 19h14v2H5z";
const LOOKS = [
  ...["color", "display", "dominant-baseline", "fill", "fill-opacity", "font-family", "font-size", "font-weight"],
  ...["opacity", "overflow", "paint-order", "stroke", "stroke-dasharray", "stroke-linejoin", "stroke-opacity", "stroke-width"],
  ...["text-anchor"],
];

// The series with their numbers: `frame(place)` is what is drawn at one of its stops.
const read = (specs, values) => {
  let from = 0;
  const take = (count) => values.subarray(from, (from += count));
  return specs.map((spec) => {
    const { count, stops } = spec;
    const frames = stops?.length ?? 1;
    const x = take(spec.x_moves ? frames * count : count);
    const y = take(frames * count);
    const [low, high] = spec.band ? [take(count), take(count)] : [];
    const part = (array, place) => array.subarray(place * count, (place + 1) * count);
    const frame = (place) => ({ x: spec.x_moves ? part(x, place) : x, y: part(y, place) });
    const at = stops ? undefined : new Map(Array.from(x, (value, i) => [value, y[i]]));
    return { ...spec, frame, at, low, high, y };
  });
};

// The last of `stops` that `value` has reached.
const reached = (stops, value) => Math.max(stops.findLastIndex((stop) => stop <= value), 0);

const linePath = ({ x, y }, sx, sy) => {
  let [path, down] = ["", false];
  for (let i = 0; i < x.length; i++) {
    const [right, below] = [sx(x[i]), sy(y[i])];
    const there = Number.isFinite(right + below);
    if (there) path += `${down ? "L" : "M"}${right.toFixed(1)} ${below.toFixed(1)}`;
    down = there;
  }
  return path;
};

const pointsPath = ({ x, y }, sx, sy, shape) => {
  let path = "";
  for (let i = 0; i < x.length; i++)
    if (Number.isFinite(x[i] + y[i])) path += `M${sx(x[i]).toFixed(1)} ${sy(y[i]).toFixed(1)}${shape}`;
  return path;
};

const bandPath = ({ frame, low, high }, sx, sy) => {
  const { x } = frame(0);
  const back = { x: x.slice().reverse(), y: low.slice().reverse() };
  return `${linePath({ x, y: high }, sx, sy)}${linePath(back, sx, sy).replace("M", "L")}z`;
};

const paint = (one, attributes = {}) => {
  const made = drawn("path", { class: one.symbol ? "points" : "curve", ...attributes });
  const open = one.symbol && symbol(one.symbol, POINT).open;
  const filled = one.symbol && !open;
  made.style.fill = filled ? one.colour : "none";
  made.style.stroke = filled ? "" : one.colour;
  made.style.strokeWidth = open ? 2 : filled ? "" : one.width;
  if (!one.symbol) made.style.strokeDasharray = DASHES[one.dash];
  return made;
};

// What stands for a series in the legend.
const sample = (one) => {
  const made = paint(one, {
    d: one.symbol ? `M12 8${symbol(one.symbol, POINT).shape}` : "M0 8H24",
  });
  return drawn("svg", { viewBox: "0 0 24 16", width: 24, height: 16, "aria-hidden": true }, made);
};

export const open = (root) => {
  const legend = element("div", { className: "legend words" });
  const svg = drawn("svg", { role: "img", class: "plot" });
  const save = element("button", { type: "button", className: "save" });
  const body = element("div", {}, svg);
  const chart = element("div", { className: "chart" }, legend, body, save);
  root.replaceChildren(chart);
  save.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${SAVE}"/></svg>`;

  const hidden = new Set(); // names
  let [known, held, latest, stopFollowing] = ["", undefined, 0, () => {}];
  let [data, series, line, write] = [];
  let place; // of a value along the timeline, in pixels; unknown while nothing is drawn
  let draw = () => {};

  const along = () => line.value + data.shift; // where the stop lies on the horizontal axis
  const filled = (template) => template.replaceAll("{t}", write.fixed(along(), 0));
  const inWords = (value) => {
    if (!Number.isFinite(value)) return data.words.nothing;
    const { percent, digits } = data.y;
    if (percent) return write.percent(value, digits);
    return digits === null ? write.counting(value) : write.fixed(value, digits);
  };

  // ------------------------------------------------------------ the legend

  const showLegend = () => {
    const now = element("span", { className: "now" });
    const values = [];
    const entries = series.filter((one) => one.name).map((one) => {
      const value = element("b");
      if (data.along && one.at) {
        const widest = Math.max(...Array.from(one.y, (y) => inWords(y).length));
        value.style.minWidth = `${widest}ch`; // or entries would jump from line to line
        values.push(() => (value.textContent = one.at.has(along()) ? inWords(one.at.get(along())) : ""));
      }
      const entry = element("button", { type: "button", className: "entry" }, sample(one), one.name, value);
      const show = () => entry.setAttribute("aria-pressed", String(!hidden.has(one.name)));
      entry.onclick = () => {
        if (!hidden.delete(one.name)) hidden.add(one.name);
        show();
        draw();
      };
      show();
      return entry;
    });
    legend.replaceChildren(...(data.now ? [now] : []), ...entries);
    return () => {
      now.textContent = filled(data.now);
      for (const tell of values) tell();
    };
  };

  // ------------------------------------------------------------ what no stop moves

  const tall = (wanted, width) => (width ? Math.min(wanted.height, Math.max(LOW, SLIM * width)) : wanted.height);

  // Draws the axes and all that stays; returns what draws the rest anew for the stop of now.
  const layOut = () => {
    const width = body.clientWidth;
    if (!width) return () => {}; // not on the screen yet
    const { fontSize, fontFamily } = getComputedStyle(svg);
    const letter = parseFloat(fontSize);
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = `${fontSize} ${fontFamily}`;
    const wide = (words) => pen.measureText(words).width;
    const text = (words, attributes) => {
      const made = drawn("text", attributes);
      made.textContent = words;
      return made;
    };

    const bare = data.x.bare && data.y.bare;
    const top = ABOVE + (data.y.title ? 1.5 * letter : 0);
    const bottom = BELOW + (data.x.bare ? 0 : 1.3 * letter) + (data.x.title ? 1.5 * letter : 0);
    const high = tall(data, width);
    const down = data.y.bare ? [] : ticks(data.y, (high - top - bottom) / TICK_HEIGHT, write);
    const left = bare ? ROOM : 10 + Math.max(0, ...down.map(({ words }) => wide(words)));
    const side = Math.min(width - left - 14, data.largest ?? LARGEST_SQUARE);
    const height = data.square ? side + top + bottom : high;
    const right = data.square ? left + side : width - 14;
    const across = data.x.bare ? [] : ticks(data.x, (right - left) / TICK_WIDTH, write);
    const low = height - bottom;
    const sx = scale(data.x, left, right);
    const sy = scale(data.y, low, top);
    place = sx;

    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.classList.toggle("handle", data.along);
    const frame = drawn("g", { class: "axes" });
    for (const { value, words } of down) {
      frame.append(drawn("line", { x1: left, x2: right, y1: sy(value), y2: sy(value) }));
      frame.append(text(words, { x: left - 8, y: sy(value), "text-anchor": "end", "dominant-baseline": "central" }));
    }
    for (const { value, words } of across) {
      const half = wide(words) / 2;
      const x = Math.min(Math.max(sx(value), half), width - half);
      if (data.square) frame.append(drawn("line", { x1: sx(value), x2: sx(value), y1: top, y2: low }));
      frame.append(text(words, { x, y: low + 1.4 * letter, "text-anchor": "middle" }));
    }
    if (!bare) frame.append(drawn("line", { class: "base", x1: left, x2: right, y1: low, y2: low }));
    frame.append(text(data.y.title, { class: "title", x: 0, y: letter }));
    const below = { class: "title", x: (left + right) / 2, y: height - 0.4 * letter, "text-anchor": "middle" };
    frame.append(text(data.x.title, below));

    // A picture in the picture cuts off what lies beyond the axes.
    const [from, to] = [{ x: left - ROOM, y: top - ROOM }, { x: right + ROOM, y: low + ROOM }];
    const size = { width: to.x - from.x, height: to.y - from.y };
    const plot = drawn("svg", { ...from, ...size, viewBox: `${from.x} ${from.y} ${size.width} ${size.height}` });
    const over = drawn("g");
    svg.replaceChildren(frame, plot, over);

    const shown = series.filter((one) => !hidden.has(one.name));
    for (const level of data.levels) {
      const made = drawn("line", { x1: left, x2: right, y1: sy(level.value), y2: sy(level.value) });
      Object.assign(made.style, { stroke: level.colour, strokeWidth: 2, strokeDasharray: DASHES[level.dash] });
      plot.append(made);
    }

    for (const mark of data.marks)
      plot.append(drawn("line", { class: "part", x1: sx(mark), x2: sx(mark), y1: top - ROOM, y2: low }));

    const changing = [];
    for (const one of shown) {
      const path = one.symbol
        ? (at) => pointsPath(at, sx, sy, symbol(one.symbol, POINT).shape)
        : (at) => linePath(at, sx, sy);
      if (one.low) {
        const band = drawn("path", { class: "band", d: bandPath(one, sx, sy) });
        band.style.fill = one.colour;
        plot.append(band);
      }
      if (one.stops && !one.symbol) plot.append(paint(one, { class: "curve ghost", d: path(one.frame(0)) }));
      const made = paint(one, one.stops ? {} : { d: path(one.frame(0)) });
      plot.append(made);
      if (one.stops)
        changing.push(() => {
          const at = reached(one.stops, line.value);
          made.setAttribute("d", path(one.frame(at)));
          made.dataset.at = one.stops[at];
        });
    }
    nameLevels(over, shown, { left, right, top, low, sx, sy, wide, letter, text });

    if (data.along) {
      const marker = drawn("line", { class: "marker", y1: top - ROOM, y2: low });
      plot.prepend(marker);
      changing.push(() => {
        const x = sx(along());
        marker.style.display = x >= left - 1 && x <= right + 1 ? "" : "none";
        marker.setAttribute("x1", x);
        marker.setAttribute("x2", x);
      });
      for (const one of shown.filter(({ at, name }) => at && name)) {
        const dot = drawn("circle", { class: "dot", r: one.width < 2 ? DOT - 2 : DOT });
        dot.style.fill = one.colour;
        over.append(dot);
        changing.push(() => {
          const y = sy(one.at.get(along()) ?? NaN);
          dot.style.display = Number.isFinite(y) ? "" : "none";
          if (!Number.isFinite(y)) return;
          dot.setAttribute("cx", sx(along()));
          dot.setAttribute("cy", y);
        });
      }
    }
    return () => {
      for (const change of changing) change();
      svg.setAttribute("aria-label", filled(data.alt));
      svg.dataset.at = line.value;
    };
  };

  // Every level's name at that end of it, and on that side, where the fewest curves pass.
  const nameLevels = (over, shown, { left, right, top, low, sx, sy, wide, letter, text }) => {
    const passing = shown.filter((one) => !one.stops && !one.symbol).flatMap((one) => {
      const { x, y } = one.frame(0);
      const between = (array, i) => array[Math.floor(i)] * (1 - (i % 1)) + array[Math.ceil(i)] * (i % 1);
      const many = Array.from({ length: PASSES + 1 }, (_, i) => (i / PASSES) * (x.length - 1));
      return many.map((i) => [sx(between(x, i)), sy(between(y, i))]);
    });
    const taken = data.levels.map(({ value }) => sy(value));
    for (const { name, value } of data.levels.filter((level) => level.name)) {
      const length = wide(name);
      const places = [1, 0, 0.5, 0.75, 0.25].map((share) => left + 4 + share * (right - left - length - 8)).flatMap((x) =>
        [sy(value) - 0.45 * letter, sy(value) + 1.1 * letter].map((y) => [x, y])
      );
      const crowd = ([x, y]) => {
        const within = ([px, py]) => px > x - 6 && px < x + length + 6 && py > y - letter && py < y + 6;
        const out = y - letter < top - ROOM || y + 4 > low;
        const crossed = taken.filter((level) => level > y - 0.8 * letter && level < y).length;
        return passing.filter(within).length + 1000 * (out + crossed);
      };
      const counts = places.map(crowd);
      const [x, y] = places[counts.indexOf(Math.min(...counts))];
      const toTheRight = x > (left + right - length) / 2; // as letters may be wider in a saved picture
      const from = toTheRight ? { x: x + length, "text-anchor": "end" } : { x };
      over.append(text(name, { class: "level", y, ...from }));
    }
  };

  // ------------------------------------------------------------ a hand on it

  // The nearest stop to where the pointer is.
  const goTo = (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) * svg.clientWidth) / box.width; // a stage zooms its charts
    const off = line.stops.map((stop) => Math.abs(place(stop + data.shift) - x));
    const at = off.indexOf(Math.min(...off));
    if (at !== line.at) line.go(at);
  };
  let before; // the stop that a hand found, while it holds on
  svg.onpointerdown = (event) => {
    if (!data?.along || !place || event.button) return;
    before = line.at;
    svg.setPointerCapture(event.pointerId);
    if (event.pointerType !== "mouse") return; // a finger may be about to scroll the page
    line.take();
    goTo(event);
  };
  svg.onpointermove = (event) => {
    if (before === undefined) return;
    line.take();
    goTo(event);
  };
  svg.onpointerup = (event) => {
    if (before === undefined) return;
    line.take();
    goTo(event);
    before = undefined;
    line.rest();
  };
  svg.onpointercancel = () => {
    if (before === undefined) return;
    line.go(before);
    before = undefined;
    line.rest();
  };

  // ------------------------------------------------------------ the picture as a file

  save.onclick = () => {
    const parts = [svg, ...svg.querySelectorAll("*")];
    const copy = svg.cloneNode(true);
    const copies = [copy, ...copy.querySelectorAll("*")];
    parts.forEach((part, i) => {
      const style = getComputedStyle(part);
      for (const look of LOOKS) copies[i].style.setProperty(look, style.getPropertyValue(look));
    });
    const { backgroundColor, color, fontFamily, fontSize } = getComputedStyle(chart);
    const size = parseFloat(fontSize);
    const [step, pen] = [1.6 * size, document.createElement("canvas").getContext("2d")];
    pen.font = `${1.2 * size}px sans-serif`; // who opens the file may lack the page's letters
    let wide = svg.clientWidth;
    const shown = [...legend.children].filter((entry) => entry.getAttribute("aria-pressed") !== "false");
    const lines = shown.flatMap((entry, i) => {
      const swatch = entry.querySelector("svg")?.cloneNode(true);
      swatch?.setAttribute("y", (i + 0.5) * step - 6);
      const said = drawn("text", { x: swatch ? 32 : 0, y: (i + 0.8) * step });
      said.textContent = [...entry.childNodes].map((part) => part.textContent).filter(Boolean).join("  ");
      wide = Math.max(wide, 32 + pen.measureText(said.textContent).width);
      return swatch ? [swatch, said] : [said];
    });
    copy.setAttribute("y", shown.length * step);
    const [width, height] = [wide + 2 * EDGE, svg.clientHeight + shown.length * step + 2 * EDGE];
    const viewBox = `${-EDGE} ${-EDGE} ${width} ${height}`;
    const whole = drawn("svg", { xmlns: "http://www.w3.org/2000/svg", width, height, viewBox });
    Object.assign(whole.style, { backgroundColor, color, fill: color, fontFamily, fontSize });
    whole.append(...lines, copy);
    const file = new Blob([new XMLSerializer().serializeToString(whole)], { type: "image/svg+xml" });
    const address = URL.createObjectURL(file);
    element("a", { href: address, download: `${data.name}.svg` }).click();
    setTimeout(() => URL.revokeObjectURL(address));
  };

  // ------------------------------------------------------------ with every run of the page

  const build = async (wanted) => {
    const turn = ++latest;
    chart.style.minHeight = `${tall(wanted, root.clientWidth)}px`; // so that the page below does not jump
    const values = new Float32Array(await bytes(wanted.address));
    if (turn !== latest) return;
    if (held !== undefined && held !== wanted.address) forget([held]);
    held = wanted.address;
    data = wanted;
    write = writer(data.language);
    series = read(data.series, values);
    line = timeline(data.timeline);
    chart.replaceChildren(legend, body, save);
    save.title = data.words.save;
    save.setAttribute("aria-label", data.words.save);
    stopFollowing();
    const tell = showLegend();
    draw = () => {
      move = layOut();
      move();
    };
    let move = layOut();
    stopFollowing = follow(line, () => {
      move();
      tell();
    });
  };

  let across = 0;
  const resized = new ResizeObserver(() => {
    if (body.clientWidth === across) return; // its height is the chart's own doing
    across = body.clientWidth;
    draw();
  });
  resized.observe(body);

  return {
    async update(wanted) {
      const { module, ...shown } = wanted;
      const key = JSON.stringify(shown);
      if (key === known) return;
      known = key;
      const turn = latest + 1;
      await build(wanted).catch((error) => {
        if (turn !== latest) return; // of what is no longer wanted
        console.error(error);
        known = "";
        chart.replaceChildren(element("p", { className: "failed words", textContent: wanted.failed }));
      });
    },
    close() {
      latest++;
      resized.disconnect();
      stopFollowing();
      if (held !== undefined) forget([held]);
      root.replaceChildren();
    },
  };
};
