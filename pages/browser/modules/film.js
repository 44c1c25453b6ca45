// Pictures that follow a timeline: some are the frame of now, some stand for one stop and are marked when it is near.

import { element } from "./elements.js";
import { writer } from "./numbers.js";
import { addressesOf, forget, openSource } from "./sources.js";
import { follow, timeline } from "./timelines.js";
import { leaveWay } from "./way.js";

const MOST_ACROSS = 13; // of a strip
const MOST_NARROW = 5; // on a narrow screen; where there are more, half as many

// Frames the figure whose stop is nearest to now.
const marking = (line, places, figures) => {
  let marked;
  return () => {
    const off = places.map((at) => Math.abs(at - line.at));
    const nearest = figures[off.indexOf(Math.min(...off))];
    if (nearest === marked) return;
    for (const [figure, on] of [[marked, false], [nearest, true]]) {
      figure?.classList.toggle("marked", on);
      figure?.firstChild.setAttribute("aria-current", on);
    }
    marked = nearest;
  };
};

export const open = (root) => {
  const film = element("div", { className: "film" });
  root.replaceChildren(film);
  let [known, stopFollowing, held, latest, words, write] = ["", () => {}, [], 0, undefined, undefined];

  // One text for all stops, or one a stop.
  const filled = (text, line) =>
    Array.isArray(text) ? (text[line.at] ?? "") : text.replaceAll("{t}", () => words?.[line.at] ?? write.fixed(line.value, 0));

  const build = async (data) => {
    const line = timeline(data.timeline);
    const turn = ++latest;
    const wanted = data.sources.flatMap(addressesOf);
    const left = held.filter((address) => !wanted.includes(address));
    held = [...held, ...wanted]; // whoever is overtaken leaves nothing behind either
    const report = (said) => {
      if (turn === latest) film.replaceChildren(element("p", { className: "words", textContent: said }));
    };
    const sources = await Promise.all(data.sources.map((spec) => openSource(spec, report)));
    if (turn !== latest) return;
    stopFollowing();
    const following = [];
    film.replaceChildren(
      ...data.rows.map((row) => {
        const said = row.words ? [element("div", { className: "said words", textContent: row.words })] : [];
        const cells = row.cells.map((cell) => {
          const source = sources[cell.source];
          const sign = cell.sign ? [element("span", { className: "sign", textContent: cell.sign })] : [];
          const caption = element("figcaption", { className: "words" });
          const canvas = element("canvas", { width: source.width, height: source.height });
          const draw = (at) => canvas.getContext("2d").putImageData(source.frame(at), 0, 0);
          if (cell.at === null) {
            canvas.setAttribute("role", "img");
            following.push(() => {
              draw(line.at);
              canvas.setAttribute("aria-label", filled(cell.alt, line));
              caption.textContent = filled(cell.label, line);
            });
            return element("figure", {}, ...sign, canvas, caption);
          }
          // A picture that stays is no canvas: a browser paints all canvases of a layer when one changes.
          draw(cell.frame);
          const still = element("img", { src: canvas.toDataURL(), alt: cell.alt });
          const choose = () => {
            line.take();
            line.go(cell.at);
            line.rest();
          };
          caption.textContent = cell.label;
          return element("figure", {}, ...sign, element("button", { type: "button", onclick: choose }, still), caption);
        });
        const places = row.cells.map(({ at }) => at);
        if (!places.includes(null)) following.push(marking(line, places, cells));
        const made = element("div", { className: `row ${row.kind}` }, ...cells);
        if (row.widest) made.style.setProperty("--widest", `${row.widest}px`);
        const lines = Math.ceil(cells.length / MOST_ACROSS);
        const across = Math.ceil(cells.length / lines);
        made.style.setProperty("--across", across);
        made.style.setProperty("--narrow", across > MOST_NARROW ? Math.ceil(across / 2) : across);
        return element("div", { className: "line" }, ...said, made);
      })
    );
    stopFollowing = follow(line, () => following.forEach((draw) => draw()));
    forget(left);
    held = wanted;
  };

  return {
    async update(data) {
      const { module, ...shown } = data;
      const key = JSON.stringify(shown);
      if (key === known) return;
      known = key;
      words = data.stops;
      write = writer(data.language);
      const turn = latest + 1;
      await build(data).catch((error) => {
        if (turn !== latest) return; // of what is no longer wanted
        console.error(error);
        known = "";
        const said = error.said ?? data.failed;
        film.replaceChildren(element("p", { className: "failed words", textContent: said }));
      });
    },
    close() {
      latest++;
      stopFollowing();
      forget(held);
      leaveWay();
      film.replaceChildren();
    },
  };
};
