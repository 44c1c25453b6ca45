// Steps of several networks in slow motion: outputs on the circle, and arrows for how the loss turns them.

import { arrow, polar, wayTo, words } from "./arrows.js";
import { drawn, element } from "./elements.js";
import { writer } from "./numbers.js";
import { bytes, forget } from "./sources.js";
import { follow, timeline } from "./timelines.js";

const [SIZE, R] = [330, 114]; // of the picture, and of the circle in it
const [PULL, LONGEST] = [190, 125]; // pixels of a pull of 1, and the longest arrow
const INSIDE = 0.16 * R; // off the circle, where the predictions of all points lie
const [LENS, WITHIN] = [3, 150]; // how much larger a lens shows it, and how far apart both views are in it at most
const [OUT, LABEL, APART] = [9, 30, 0.5]; // pixels off the circle; radians between two names
const [GLIDE, BLINK] = [260, 60]; // milliseconds from one step to the next, and too few to see it glide
const PARTS = ["z1", "z2", "p1", "p2", "asked1", "asked2", "predicts1", "predicts2", "target1", "target2"];
const ANGLES = 4; // of the parts are angles, the others pulls
const DIAMOND = "m0 -9l9 9l-9 9l-9 -9z";

// Along a circle from one angle to another.
const arc = (from, to, radius) => {
  const turn = wayTo(from, to);
  const path = `M${polar(from, radius)}A${radius} ${radius} 0 0 ${turn > 0 ? 0 : 1} ${polar(from + turn, radius)}`;
  return Math.abs(turn) < 0.002 ? "" : path;
};

// Names of places on the circle, so far apart that each can be read.
const spaced = (first, second, apart) => {
  const turn = wayTo(first, second);
  const short = (apart - Math.abs(turn)) / 2;
  if (short <= 0) return [first, second];
  const sign = turn < 0 ? -1 : 1;
  return [first - sign * short, second + sign * short];
};

const panelOf = (spec) => {
  const svg = drawn("svg", { class: "circle", viewBox: `${-SIZE / 2} ${-SIZE / 2} ${SIZE} ${SIZE}`, role: "img" });
  const made = { ...spec, svg, parts: {} };
  const add = (name, tag, attributes = {}) =>
    svg.append((made.parts[name] = drawn(tag, { class: name.replace(/\d/, ""), ...attributes })));
  add("unit", "circle");
  add("wedge", "path");
  add("trails", "path");
  add("guesses", "path");
  add("cloud", "path");
  for (const view of [1, 2]) {
    add(`goes${view}`, "path");
    add(`asked${view}`, "path");
    add(`target${view}`, "path");
    add(`predicts${view}`, "path");
    add(`p${view}`, "path");
    add(`z${view}`, "circle", { r: view === 1 ? 10 : 6 }); // both are seen where they lie on one another
    for (const name of ["z", "p"]) {
      const text = words(`${name}${"₁₂"[view - 1]}`, [0, 0], { class: `name of-${name}` });
      svg.append((made.parts[`name-${name}${view}`] = text));
    }
  }
  made.bar = element("span", { className: "filled" });
  made.said = Object.fromEntries(["spread", "cosine", "towards"].map((part) => [part, element("b")]));
  made.body = element("div", { className: "panel" });
  made.body.dataset.network = spec.code;
  return made;
};

export const open = (root) => {
  const panels = element("div", { className: "panels" });
  const both = element("button", { type: "button", disabled: true }); // until there is something to show
  const lens = element("button", { type: "button", disabled: true });
  const another = element("button", { type: "button", disabled: true });
  const which = element("span", { className: "which" });
  const figure = element("div", { className: "slow words" }, panels, element("div", { className: "line" }, lens, both, another, which));
  root.replaceChildren(figure);

  let [known, held, latest, stopFollowing] = ["", undefined, 0, () => {}];
  let [data, values, line, write, send, shown] = [];
  let [pair, python, halves, near, at, gliding, moved] = [0, undefined, false, false, undefined, 0, -Infinity];

  const count = () => data.pairs;
  const read = (network, stop, part, one) =>
    values[((network * data.stops.length + stop) * PARTS.length + part) * count() + one];

  // A part of a pair between two stops.
  const between = (network, from, to, share, part, one) => {
    const [first, last] = [read(network, from, part, one), read(network, to, part, one)];
    return first + share * (part < ANGLES ? wayTo(first, last) : last - first);
  };

  // How much larger than usual all panels are drawn, so that both views of the pair are seen in each.
  const enlarged = (from, to, share) => {
    if (!near) return 1;
    const gaps = shown.map(({ place }) => {
      const [z1, z2] = ["z1", "z2"].map((z) => between(place, from, to, share, PARTS.indexOf(z), pair));
      return 2 * R * Math.abs(Math.sin(wayTo(z1, z2) / 2));
    });
    return Math.min(LENS, Math.max(1, WITHIN / Math.max(...gaps, 1)));
  };

  const paint = (panel, from, to, share, scale) => {
    const { parts, place, predictor, stopped } = panel;
    const [ring, inner] = [scale * R, scale * R - INSIDE];
    const now = (part, one = pair) => between(place, from, to, share, PARTS.indexOf(part), one);
    const next = Math.min(to + 1, data.stops.length - 1);
    const then = (part, one = pair) => read(place, next, PARTS.indexOf(part), one);
    let [trails, cloud, guesses] = ["", "", ""];
    for (let one = 0; one < count(); one++)
      for (const z of ["z1", "z2"]) {
        const [x, y] = polar(now(z, one), ring);
        cloud += `M${x.toFixed(1)} ${y.toFixed(1)}h0`;
        if (next !== to) trails += arc(now(z, one), then(z, one), ring);
        if (!predictor) continue;
        const [px, py] = polar(now(z.replace("z", "p"), one), inner);
        guesses += `M${px.toFixed(1)} ${py.toFixed(1)}h0`;
      }
    parts.guesses.setAttribute("d", guesses);
    parts.cloud.setAttribute("d", cloud);
    parts.trails.setAttribute("d", trails);

    const reach = 0.45 * ring;
    const [p1, z2] = [now("p1"), now("z2")];
    const turn = wayTo(p1, z2);
    parts.wedge.setAttribute("d", `M0 0L${polar(p1, reach)}A${reach} ${reach} 0 0 ${turn > 0 ? 0 : 1} ${polar(p1 + turn, reach)}z`);

    const outer = spaced(now("z1"), now("z2"), APART / scale);
    const guessed = spaced(now("p1"), now("p2"), APART / scale);
    const middle = now("z1") + wayTo(now("z1"), now("z2")) / 2;
    const [right, down] = polar(middle, ring * Math.min(1, scale - 1)); // a lens stands over the two views
    panel.svg.setAttribute("viewBox", `${right - SIZE / 2} ${down - SIZE / 2} ${SIZE} ${SIZE}`);
    panel.svg.dataset.scale = scale.toFixed(2);
    parts.unit.setAttribute("r", ring);
    for (const view of [1, 2]) {
      const [z, p] = [now(`z${view}`), now(`p${view}`)];
      const predicts = view === 1 || halves; // this view is the predicted side of a half that is shown
      const isTarget = view === 2 || halves;
      const [x, y] = polar(z, ring);
      parts[`z${view}`].setAttribute("cx", x);
      parts[`z${view}`].setAttribute("cy", y);
      parts[`goes${view}`].setAttribute("d", next === to ? "" : arc(z, then(`z${view}`), ring));
      const [px, py] = polar(p, ring);
      const ofItsOwn = predictor && predicts;
      parts[`p${view}`].setAttribute("d", ofItsOwn ? `M${px} ${py}${DIAMOND}` : "");
      const name = (of, angle, radius, visible) => {
        const [left, down] = polar(angle, radius);
        const text = parts[`name-${of}${view}`];
        text.setAttribute("x", left);
        text.setAttribute("y", down);
        text.style.display = visible ? "" : "none";
      };
      name("z", outer[view - 1], ring + LABEL, true);
      name("p", halves ? guessed[view - 1] : p, inner - LABEL, ofItsOwn);
      const pull = (kind, angle, radius, visible) => {
        const size = now(`${kind}${view}`);
        const whole = Math.abs(size) * PULL * scale;
        const length = Math.min(whole, LONGEST) * Math.sign(size);
        const along = polar(angle + Math.PI / 2, length);
        const path = visible ? arrow(polar(angle, radius), along, whole > LONGEST) : "";
        parts[`${kind}${view}`].setAttribute("d", path);
        parts[`${kind}${view}`].dataset.pull = visible ? read(place, to, PARTS.indexOf(`${kind}${view}`), pair).toFixed(5) : "";
      };
      pull("asked", p, ring, ofItsOwn);
      pull("predicts", z, ring + OUT, predicts);
      pull("target", z, ring - OUT, isTarget);
      parts[`target${view}`].classList.toggle("stopped", stopped);
    }

    const spread = panel.spread[from] + share * (panel.spread[to] - panel.spread[from]);
    panel.said.spread.textContent = write.fixed(spread, 2);
    panel.bar.style.width = `${100 * Math.min(spread, 1)}%`;
    panel.said.cosine.textContent = write.fixed(Math.cos(turn), 2);
    panel.said.towards.textContent = write.percent(panel.towards[to], 0);
    const alt = data.words.alt.replace("{title}", panel.title).replace("{step}", data.stops[to]);
    panel.svg.setAttribute("aria-label", alt.replace("{spread}", write.fixed(panel.spread[to], 2)));
    panel.svg.dataset.at = data.stops[to];
  };

  const paintAll = (from, to, share) => {
    const scale = enlarged(from, to, share);
    for (const panel of shown) paint(panel, from, to, share, scale);
    const larger = near ? ` · ${data.words.larger.replace("{scale}", write.fixed(scale, 1))}` : "";
    which.textContent = data.words.which.replace("{pair}", pair + 1).replace("{pairs}", count()) + larger;
  };

  // To where the timeline stands: step by step it glides there, so that one sees who moves. When it is
  // played, a step takes no longer than the one before left room for, or the next one would cut it short.
  const move = () => {
    const [from, to] = [at ?? line.at, line.at];
    at = to;
    cancelAnimationFrame(gliding);
    const begun = performance.now();
    const span = Math.min(GLIDE, begun - moved);
    moved = begun;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (Math.abs(to - from) !== 1 || span < BLINK || still) return paintAll(to, to, 1);
    const frame = (time) => {
      const share = Math.min(Math.max(time - begun, 0) / span, 1);
      paintAll(from, to, share * (2 - share));
      if (share < 1) gliding = requestAnimationFrame(frame);
    };
    paintAll(from, to, 0);
    gliding = requestAnimationFrame(frame);
  };
  const again = () => {
    cancelAnimationFrame(gliding);
    paintAll(line.at, line.at, 1);
  };

  const stand = () => JSON.stringify([pair, halves, near]);
  const press = () => {
    both.setAttribute("aria-pressed", String(halves));
    lens.setAttribute("aria-pressed", String(near));
    panels.classList.toggle("near", near);
  };
  const tell = () => {
    python = stand();
    press();
    again();
    send("value", [pair, halves, near, Date.now()]);
  };
  both.onclick = () => {
    halves = !halves;
    tell();
  };
  lens.onclick = () => {
    near = !near;
    tell();
  };
  another.onclick = () => {
    pair = (pair + 1) % count();
    tell();
  };

  const build = async (wanted) => {
    const turn = ++latest;
    const fetched = new Float32Array(await bytes(wanted.address));
    if (turn !== latest) return;
    if (held !== undefined && held !== wanted.address) forget([held]);
    [held, data, values, at] = [wanted.address, wanted, fetched, undefined];
    write = writer(data.language);
    line = timeline(data.timeline);
    figure.style.setProperty("--z", data.colours.z);
    figure.style.setProperty("--p", data.colours.p);
    shown = data.networks.map((spec) => panelOf(spec));
    for (const panel of shown) {
      const row = (label, ...rest) => element("p", {}, element("span", { textContent: label }), ...rest);
      panel.body.append(
        element("h4", { textContent: panel.title }),
        panel.svg,
        row(data.words.spread, element("span", { className: "bar" }, panel.bar), panel.said.spread),
        row(panel.predictor ? "cos(p₁, z₂)" : "cos(z₁, z₂)", panel.said.cosine),
        row(data.words.towards, panel.said.towards)
      );
    }
    panels.replaceChildren(...shown.map(({ body }) => body));
    panels.dataset.count = shown.length;
    both.textContent = data.words.both;
    another.textContent = data.words.another;
    lens.textContent = data.words.lens;
    press();
    lens.disabled = both.disabled = another.disabled = false;
    stopFollowing();
    stopFollowing = follow(line, move);
  };

  return {
    async update(wanted, sender) {
      send = sender;
      const { module, value, halves: whole, near: close, ...rest } = wanted;
      const said = JSON.stringify([value, whole, close]);
      if (said !== python) [pair, halves, near, python] = [value, whole, close, said];
      const key = JSON.stringify(rest);
      if (key === known) {
        press();
        if (shown) again();
        return;
      }
      known = key;
      const turn = latest + 1;
      await build(wanted).catch((error) => {
        if (turn !== latest) return; // of what is no longer wanted
        console.error(error);
        known = "";
        panels.replaceChildren(element("p", { textContent: wanted.failed }));
      });
    },
    close() {
      latest++;
      cancelAnimationFrame(gliding);
      stopFollowing();
      if (held !== undefined) forget([held]);
      root.replaceChildren();
    },
  };
};
