// Pictures that follow a timeline: some are the frame of now, some stand for one stop and are marked when it is near.

import { addressesOf, forget, openSource } from "./sources.js";
import { follow, timeline } from "./timelines.js";

const MOST_ACROSS = 13; // of a strip
const MOST_NARROW = 5; // on a narrow screen; where there are more, half as many

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

export const open = (root) => {
  const film = element("div", { className: "film" });
  root.replaceChildren(film);
  let [known, stopFollowing, held, latest, words] = ["", () => {}, [], 0, undefined];

  // One text for all stops, or one a stop.
  const filled = (text, line) =>
    Array.isArray(text) ? (text[line.at] ?? "") : text.replaceAll("{t}", () => words?.[line.at] ?? line.value);

  const build = async (data) => {
    const line = timeline(data.timeline);
    const turn = ++latest;
    const sources = await Promise.all(data.sources.map(openSource));
    if (turn !== latest) return;
    stopFollowing();
    const following = [];
    const marks = [];
    film.replaceChildren(
      ...data.rows.map((row) => {
        const said = row.words ? [element("div", { className: "said words", textContent: row.words })] : [];
        const cells = row.cells.map((cell) => {
          const source = sources[cell.source];
          const canvas = element("canvas", { width: source.width, height: source.height });
          canvas.setAttribute("role", "img");
          const caption = element("figcaption", { className: "words" });
          const fixed = cell.at !== null;
          const inner = fixed ? element("button", { type: "button" }, canvas) : canvas;
          const figure = element("figure", {}, inner, caption);
          const pen = canvas.getContext("2d");
          const draw = (at) => {
            pen.putImageData(source.frame(at), 0, 0);
            canvas.setAttribute("aria-label", filled(cell.alt, line));
            canvas.dataset.at = at;
          };
          caption.textContent = cell.label;
          if (fixed) {
            draw(cell.frame);
            canvas.setAttribute("aria-label", cell.alt);
            inner.onclick = () => {
              line.go(cell.at);
              line.rest();
            };
          } else {
            following.push(() => {
              draw(line.at);
              caption.textContent = filled(cell.label, line);
            });
          }
          return { figure, at: cell.at };
        });
        const places = cells.filter(({ at }) => at !== null);
        if (places.length)
          marks.push(() => {
            const off = places.map(({ at }) => Math.abs(at - line.at));
            const nearest = off.indexOf(Math.min(...off));
            places.forEach(({ figure }, place) => {
              figure.classList.toggle("marked", place === nearest);
              figure.firstChild.setAttribute("aria-current", place === nearest);
            });
          });
        const made = element("div", { className: `row ${row.kind}` }, ...cells.map(({ figure }) => figure));
        if (row.widest) made.style.setProperty("--widest", `${row.widest}px`);
        const lines = Math.ceil(cells.length / MOST_ACROSS);
        const across = Math.ceil(cells.length / lines);
        made.style.setProperty("--across", across);
        made.style.setProperty("--narrow", across > MOST_NARROW ? Math.ceil(across / 2) : across);
        return element("div", { className: "line" }, ...said, made);
      })
    );
    stopFollowing = follow(line, () => [...following, ...marks].forEach((draw) => draw()));
    forget(held.filter((address) => !data.sources.flatMap(addressesOf).includes(address)));
    held = data.sources.flatMap(addressesOf);
  };

  return {
    async update(data) {
      const { module, ...shown } = data;
      const key = JSON.stringify(shown);
      if (key === known) return;
      known = key;
      words = data.stops;
      await build(data).catch((error) => {
        console.error(error);
        known = "";
        film.replaceChildren(element("p", { className: "failed words", textContent: data.failed }));
      });
    },
    close() {
      latest++;
      stopFollowing();
      forget(held);
      film.replaceChildren();
    },
  };
};
