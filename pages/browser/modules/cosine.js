// Two arrows to turn and to stretch: their cosine, and the loss that is made of it.

import { DEGREE, arrow, polar, wayTo, words } from "./arrows.js";
import { drawn, element } from "./elements.js";
import { writer } from "./numbers.js";

const [SIZE, UNIT] = [364, 75]; // of the picture, and of length 1 in it: the longest has its name in it
const [SHORTEST, LONGEST, STEP] = [0.4, 1.8, 0.05];
const [PULL, REST] = [50, 300]; // pixels of a pull of 1; milliseconds after a key until the server is told
const round = (value, step) => Math.round(value / step) * step;
const within = (value, low, high) => Math.min(Math.max(value, low), high);

export const open = (root) => {
  const svg = drawn("svg", { class: "plane", viewBox: `${-SIZE / 2} ${-SIZE / 2} ${SIZE} ${SIZE}`, role: "group" });
  const circle = drawn("circle", { class: "unit", r: UNIT });
  const wedge = drawn("path", { class: "wedge" });
  svg.append(circle, wedge);
  const numbers = element("div", { className: "numbers words" });
  const figure = element("div", { className: "cosine" }, svg, numbers);
  root.replaceChildren(figure);

  // What a hand moves: two arrows, each with the angle in degrees and the length.
  const make = (name) => {
    const line = drawn("path", { class: "arrow" });
    const pull = drawn("path", { class: "pull" });
    const label = words("", [0, 0]);
    const grip = drawn("circle", { class: "grip", r: 17 });
    const handle = drawn("g", { class: "handle", tabindex: 0, role: "slider", "data-name": name }, grip);
    svg.append(line, pull, label, handle);
    return { name, line, pull, label, handle, angle: 0, length: 1 };
  };
  const [p, z] = ["p", "z"].map(make);
  const both = [p, z];
  const said = Object.fromEntries(
    ["cosine", "loss", "angle", "lengths"].map((part) => [part, element("b", { className: part })])
  );
  const mark = drawn("circle", { r: 8, cy: 14 });
  const scale = drawn("svg", { class: "scale", viewBox: "0 0 240 46", "aria-hidden": true });
  scale.append(drawn("line", { x1: 20, x2: 220, y1: 14, y2: 14 }));
  for (const [at, text] of [[20, "−1"], [120, "0"], [220, "1"]])
    scale.append(drawn("line", { x1: at, x2: at, y1: 8, y2: 20 }), words(text, [at, 36]));
  scale.append(mark);

  let [data, send, python, write, waiting] = [];

  const sayAll = () => {
    const turn = wayTo(p.angle * DEGREE, z.angle * DEGREE);
    const cosine = Math.cos(turn);
    said.cosine.textContent = write.fixed(cosine, 2);
    said.loss.textContent = write.fixed(-cosine || 0, 2);
    said.angle.textContent = `${write.fixed(Math.abs(turn) / DEGREE, 0)}°`;
    said.lengths.textContent = `${write.fixed(p.length, 2)} · ${write.fixed(z.length, 2)}`;
    mark.setAttribute("cx", 120 + 100 * cosine);
    svg.setAttribute("aria-label", `${data.words.alt}: ${said.cosine.textContent}`);
    figure.dataset.cosine = cosine.toFixed(6);
    const from = polar(p.angle * DEGREE, 0.45 * UNIT);
    const to = polar(z.angle * DEGREE, 0.45 * UNIT);
    wedge.setAttribute("d", `M0 0L${from}A${0.45 * UNIT} ${0.45 * UNIT} 0 0 ${turn > 0 ? 0 : 1} ${to}z`);
    for (const [one, other] of [[p, z], [z, p]]) {
      const [right, down] = polar(one.angle * DEGREE, one.length * UNIT);
      one.line.setAttribute("d", arrow([0, 0], [right, down]));
      one.handle.setAttribute("transform", `translate(${right} ${down})`);
      const away = polar(one.angle * DEGREE, one.length * UNIT + 32);
      one.label.setAttribute("x", away[0]);
      one.label.setAttribute("y", away[1]);
      // By its angle alone, as the cosine sees no length: -dD/d(angle) = sin of the way to the other.
      const size = Math.sin(wayTo(one.angle * DEGREE, other.angle * DEGREE));
      const pull = polar(one.angle * DEGREE + Math.PI / 2, size * PULL);
      one.pull.setAttribute("d", data.pull ? arrow([right, down], pull) : "");
      one.pull.dataset.size = size.toFixed(4);
      one.handle.setAttribute("aria-valuenow", one.angle);
      one.handle.setAttribute(
        "aria-valuetext",
        data.words.place.replace("{angle}", write.fixed(one.angle, 0)).replace("{length}", write.fixed(one.length, 2))
      );
    }
  };
  const stand = () => both.flatMap(({ angle, length }) => [angle, Number(length.toFixed(2))]);
  const tell = () => {
    clearTimeout(waiting);
    const now = stand();
    if (JSON.stringify(now) === JSON.stringify(python)) return;
    python = now;
    send("value", [...now, Date.now()]);
  };
  const put = (one, angle, length) => {
    one.angle = ((((Math.round(angle) + 180) % 360) + 360) % 360) - 180; // [-180, 180)
    one.length = within(round(length, STEP), SHORTEST, LONGEST);
    sayAll();
  };

  for (const one of both) {
    let held = false;
    one.handle.onpointerdown = (event) => {
      if (event.button) return;
      held = true;
      one.handle.setPointerCapture(event.pointerId);
      one.handle.focus({ preventScroll: true });
      event.preventDefault();
    };
    one.handle.onpointermove = (event) => {
      if (!held) return;
      const box = svg.getBoundingClientRect();
      const pixel = SIZE / box.width;
      const right = (event.clientX - box.left - box.width / 2) * pixel;
      const up = -(event.clientY - box.top - box.height / 2) * pixel;
      put(one, Math.atan2(up, right) / DEGREE, Math.hypot(right, up) / UNIT);
    };
    const letGo = () => {
      if (held) tell();
      held = false;
    };
    one.handle.onpointerup = letGo;
    one.handle.onpointercancel = letGo;
    one.handle.onkeydown = (event) => {
      const by = event.shiftKey ? 10 : 1;
      const turn = { ArrowLeft: by, ArrowRight: -by }[event.key];
      const stretch = { ArrowUp: STEP, ArrowDown: -STEP }[event.key];
      if (!turn && !stretch) return;
      event.preventDefault();
      put(one, one.angle + (turn ?? 0), one.length + (stretch ?? 0));
      clearTimeout(waiting);
      waiting = setTimeout(tell, REST);
    };
  }

  return {
    update(wanted, sender) {
      [data, send] = [wanted, sender];
      write = writer(data.language);
      const row = (label, value) => element("p", {}, element("span", { textContent: label }), value);
      numbers.replaceChildren(
        row("cos(p, z)", said.cosine),
        scale,
        row(data.words.loss, said.loss),
        row(data.words.angle, said.angle),
        row("|p| · |z|", said.lengths)
      );
      svg.setAttribute("aria-label", data.words.alt);
      p.label.textContent = "p";
      z.label.textContent = "z";
      for (const [one, colour] of [[p, data.colours.p], [z, data.colours.z]]) {
        for (const part of [one.line, one.pull]) part.style.stroke = colour;
        one.label.style.fill = colour;
        one.handle.style.setProperty("--colour", colour);
        one.handle.setAttribute("aria-label", data.words.turn.replace("{name}", one.name));
        one.handle.setAttribute("aria-valuemin", -180);
        one.handle.setAttribute("aria-valuemax", 180);
      }
      z.pull.classList.toggle("stopped", true);
      if (JSON.stringify(data.value) !== JSON.stringify(python)) {
        [p.angle, p.length, z.angle, z.length] = data.value;
        python = data.value;
      }
      sayAll();
    },
    close() {
      clearTimeout(waiting);
      root.replaceChildren();
    },
  };
};
