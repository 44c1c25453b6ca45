// The latent desk: a slider a unit, and the decoder itself, which draws in the browser what they say.
//
// Until the decoder is here, and where it cannot be, Python decodes when the hand lets go.

import { element } from "./elements.js";
import { fetched } from "./fetched.js";
import { openNetwork, runsNetworks } from "./networks.js";
import { difference, levelsOf, paint } from "./pictures.js";

const SIDE = 32;
const ONE = 3 * SIDE * SIDE;
const REST = 250; // milliseconds after the last touch until the server is told
const QUIET = 80; // milliseconds after the last touch until strip and thumbnails may be decoded
const ROWS_AT_ONCE = 4; // of thumbnails, in one batch: what the hand may have to wait for

const canvas = (alt) => {
  const made = element("canvas", { width: SIDE, height: SIDE });
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", alt);
  return made;
};

export const open = (root) => {
  let data, send, network, still, units, strip, shown, parts;
  let [values, unit] = [[], 0];
  let here = false; // whether the decoder is in the browser
  let [built, running, stills] = ["", "", ""];
  let python; // where the server believes the hand to be
  const underway = []; // what was sent and no run of the page has come back with yet
  let standing = "loading";
  let due = { now: false, strip: false };
  let [busy, touched, later, resting] = [false, 0, 0, 0];
  let elsewhere = false; // whether pictures of another start are still due
  let typing; // the field in which a value is half written

  // ---------------------------------------------------------------- the point z

  // A slider that was not moved stands for the start's own value, which may have more decimals.
  const point = (at) =>
    Float32Array.from(at, (value, u) => (value === data.resting[u] ? data.start[u] : value));
  const inside = (value) => {
    const rounded = Math.round(Math.min(Math.max(value, -data.limit), data.limit) * 100) / 100;
    return rounded || 0; // never -0
  };

  const tell = () => {
    clearTimeout(resting);
    const said = JSON.stringify([values, unit]);
    if (said === (underway.at(-1) ?? python)) return;
    underway.push(said);
    // A list: of an object Streamlit would take its keys for those of the component. The time, because
    // going back to a place is news, too.
    send("value", [values, unit, Date.now()]);
  };
  const tellSoon = () => {
    clearTimeout(resting);
    resting = setTimeout(tell, REST);
  };

  const choose = (chosen) => {
    if (chosen === unit) return;
    unit = chosen;
    due.strip = true;
  };
  const changed = () => {
    touched = performance.now();
    due.now = true;
    for (const menu of parts.menus) menu.value = "";
    parts.desk.classList.toggle("waiting", !here);
    show();
    pump();
  };
  const move = (u, value) => {
    clearTimeout(resting);
    choose(u);
    values = values.with(u, inside(value));
    for (const other of units) other.stale ||= other.unit !== u;
    changed();
  };
  const setAll = (wanted) => {
    values = wanted.map(inside);
    for (const one of units) one.stale = true;
    due.strip = true;
    changed();
    tell();
  };

  // ---------------------------------------------------------------- decoding, the newest wish first

  const decode = async (points) => {
    const d = points[0].length;
    const z = new Float32Array(points.length * d);
    points.forEach((one, row) => z.set(one, row * d));
    const found = await network.run({ z: { type: "float32", data: z, dims: [points.length, d] } });
    return points.map((_, row) => levelsOf(found, row, SIDE));
  };
  const along = (u, stops) => stops.map((value) => point(values).with(u, value));

  const drawNow = async () => {
    due.now = false;
    const asked = values;
    const [levels] = await decode([point(asked)]);
    showNow(levels, asked);
  };
  const drawStrip = async () => {
    due.strip = false;
    const asked = unit;
    const pictures = await decode(along(unit, data.stops));
    if (asked === unit) showStrip(pictures);
  };
  const drawEnds = async (rows) => {
    for (const row of rows) row.stale = false;
    const pictures = await decode(rows.flatMap((row) => along(row.unit, [-data.limit, data.limit])));
    rows.flatMap(({ ends }) => ends).forEach((end, place) => paint(end.firstChild, pictures[place]));
  };
  const next = () => {
    if (!here) return undefined;
    if (due.now) return drawNow;
    const wait = QUIET - (performance.now() - touched);
    if (wait > 0) {
      clearTimeout(later);
      later = setTimeout(pump, wait);
      return undefined;
    }
    if (due.strip) return drawStrip;
    const rows = units.filter(({ stale, seen }) => stale && seen).slice(0, ROWS_AT_ONCE);
    return rows.length ? () => drawEnds(rows) : undefined;
  };
  const pump = async () => {
    if (busy) return;
    busy = true;
    const mine = network;
    try {
      for (let job = next(); job; job = next()) await job();
    } catch (error) {
      if (mine === network) failed(error);
    }
    busy = false;
    if (mine !== network) pump();
  };

  const leaveNetwork = () => {
    network?.close();
    network = undefined;
    here = false;
  };
  const failed = (error) => {
    console.error(error);
    leaveNetwork();
    say("failed");
  };
  const begin = async () => {
    leaveNetwork();
    if (!data.network) return say("unknown");
    if (!runsNetworks()) return say("unable");
    say("loading");
    const mine = (network = openNetwork(data.network));
    try {
      await mine.ready;
      if (mine !== network) return;
      here = true;
      say("here");
      wishForAll();
    } catch (error) {
      if (mine === network) failed(error);
    }
  };
  const wishForAll = () => {
    elsewhere = false;
    due = { now: true, strip: true };
    for (const one of units) one.stale = true;
    pump();
  };

  // ---------------------------------------------------------------- what is seen

  const say = (where) => {
    standing = where;
    parts.state.textContent = data.words[where];
    parts.desk.classList.toggle("decoding", here);
  };

  const showNow = (levels, of) => {
    shown = levels;
    paint(parts.now, levels);
    if (still) paint(parts.change, difference(levels, still[0]));
    parts.now.dataset.values = of.join(" ");
    parts.desk.classList.remove("waiting");
  };
  const showStrip = (pictures) => {
    strip.forEach(({ picture }, place) => paint(picture, pictures[place]));
    parts.strip.dataset.unit = unit + 1;
  };
  const show = () => {
    for (const { unit: u, slider, field, row } of units) {
      // Set while a hand holds it, even to what it is, a slider would not tell that it was let go.
      if (Number(slider.value) !== values[u]) slider.value = values[u];
      if (field !== typing && (field.value === "" || Number(field.value) !== values[u]))
        field.value = values[u].toFixed(2);
      row.classList.toggle("moved", values[u] !== data.resting[u]);
      row.classList.toggle("chosen", u === unit);
    }
    parts.stripName.textContent = data.words.strip.replace("{unit}", unit + 1);
    const off = data.stops.map((stop) => Math.abs(stop - values[unit]));
    const nearest = off.indexOf(Math.min(...off));
    strip.forEach(({ button }, place) => {
      button.classList.toggle("marked", place === nearest);
      button.setAttribute("aria-current", place === nearest);
    });
  };

  // ---------------------------------------------------------------- what it is made of

  const unitRow = (u) => {
    const { words, limit, kl } = data;
    const name = `z${u + 1}`;
    const slider = element("input", { type: "range", min: -limit, max: limit, step: 0.01 });
    slider.setAttribute("aria-label", `${name}, KL ${kl[u]}`);
    slider.oninput = () => move(u, Number(slider.value));
    // A key may be pressed again within a moment; a hand that lets go has decided.
    let pressed = false;
    slider.onkeydown = () => void (pressed = true);
    slider.onpointerdown = () => void (pressed = false); // a handler's false would end the drag
    slider.onchange = () => (pressed ? tellSoon() : tell());
    const field = element("input", { type: "number", min: -limit, max: limit, step: 0.01 });
    field.setAttribute("aria-label", words.typed.replace("{unit}", name));
    field.oninput = () => (typing = field);
    field.onblur = field.onchange = () => {
      if (typing !== field) return;
      typing = undefined;
      if (field.value !== "") move(u, Number(field.value));
      else show();
      tellSoon();
    };
    const ends = [-limit, limit].map((end) => {
      const said = words.end.replace("{unit}", name).replace("{value}", end);
      const button = element("button", { type: "button", className: "end", title: said }, canvas(said));
      button.onclick = () => {
        move(u, end);
        tellSoon();
      };
      return button;
    });
    const label = element("button", { type: "button", className: "name", title: words.choose });
    label.append(element("strong", { textContent: name }), ` · KL ${kl[u]}`);
    label.onclick = () => {
      choose(u);
      show();
      pump();
      tellSoon();
    };
    const middle = element("div", { className: "middle words" }, label, field, slider);
    const row = element("div", { className: "unit" }, ends[0], middle, ends[1]);
    return { unit: u, row, slider, field, ends, stale: true, seen: false };
  };

  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const one = units.find(({ row }) => row === target); // none where it belongs to an earlier start
      if (one) one.seen = isIntersecting;
    }
    pump();
  });

  const picture = (label, alt) => {
    const made = canvas(alt);
    return [made, element("figure", {}, made, element("figcaption", { className: "words", textContent: label }))];
  };
  const button = (label, onclick) => element("button", { type: "button", textContent: label, onclick });

  const build = () => {
    const { words, order, first } = data;
    const [now, nowFigure] = picture(...words.now);
    const [change, changeFigure] = picture(...words.change);
    const small = data.pictures.map(([label, alt]) => picture(label, alt));
    const state = element("p", { className: "state words" });
    state.setAttribute("role", "status");
    const pictures = element(
      "div",
      { className: "pictures" },
      nowFigure,
      changeFigure,
      element("div", { className: "small" }, ...small.map(([, figure]) => figure))
    );

    const menus = data.menus.map(([title, places], which) => {
      const menu = element("select", {}, new Option(title, ""));
      menu.append(...places.map(([label], place) => new Option(label, place)));
      menu.setAttribute("aria-label", title);
      menu.onchange = () => {
        const chosen = menu.value;
        if (chosen !== "") setAll(data.menus[which][1][chosen][1]);
        menu.value = chosen;
      };
      return menu;
    });
    const set = element(
      "div",
      { className: "set words" },
      words.set,
      ...menus,
      // Looked up at the click: another seed brings other draws.
      ...data.draws.map(([label], place) => button(label, () => setAll(data.draws[place][1]))),
      button(words.reset, () => setAll(data.resting))
    );

    seen.disconnect();
    units = order.map(unitRow);
    const rows = units.map(({ row }) => row);
    const others = element("details", {}, element("summary", { className: "words", textContent: words.others }));
    others.append(...rows.slice(first));
    const list = element("div", { className: "units" }, ...rows.slice(0, first));
    if (rows.length > first) list.append(others);
    rows.forEach((row) => seen.observe(row));

    strip = data.stops.map((stop, place) => {
      const said = words.stop.replace("{value}", data.labels[place]);
      const made = canvas(said);
      const label = element("span", { className: "words", textContent: data.labels[place] });
      const one = element("button", { type: "button", title: said }, made, label);
      one.onclick = () => {
        move(unit, stop);
        tellSoon();
      };
      return { button: one, picture: made };
    });
    const stripName = element("p", { className: "words" });
    const stops = element("div", { className: "stops" }, ...strip.map((one) => one.button));
    const stripBox = element("div", { className: "strip" }, stripName, stops);

    const desk = element("div", { className: "desk" }, pictures, state, set, list, stripBox);
    root.replaceChildren(desk);
    parts = { desk, now, change, small: small.map(([made]) => made), state, menus, others, strip: stripBox, stripName };
  };

  // ---------------------------------------------------------------- runs of the page

  const cut = (levels, place) => levels.subarray(place * ONE, (place + 1) * ONE);

  const showStills = async () => {
    if (stills === data.stills) return;
    const wanted = (stills = data.stills);
    const answer = await fetched(wanted).catch((error) => {
      if (stills === wanted) stills = ""; // to be asked for again
      throw error;
    });
    if (wanted !== data.stills) return;
    const levels = new Uint8Array(answer);
    still = parts.small.map((_, place) => cut(levels, place));
    parts.small.forEach((made, place) => paint(made, still[place]));
    if (shown) paint(parts.change, difference(shown, still[0]));
  };
  // What Python decoded: the picture of now, then the strip.
  const showFrames = async () => {
    const { frames, values: of } = data;
    const levels = new Uint8Array(await fetched(frames));
    if (here || frames !== data.frames || of.join() !== values.join()) return;
    showNow(cut(levels, 0), of);
    showStrip(strip.map((_, place) => cut(levels, place + 1)));
  };

  return {
    async update(given, sender) {
      [data, send] = [given, sender];
      const { language, words, order, limit, kl, pictures, menus, draws } = data;
      const names = draws.map(([label]) => label);
      const kind = JSON.stringify([language, words, order, limit, kl, pictures, menus, names]);
      const fresh = kind !== built;
      if (fresh) {
        built = kind;
        [stills, shown] = ["", undefined];
        build();
        say(standing);
      }
      const said = JSON.stringify([data.values, data.unit]);
      const answered = underway.indexOf(said);
      const moved = answered < 0 && said !== python;
      elsewhere ||= moved || stills !== data.stills;
      python = said;
      if (moved) {
        // Where no hand has put it: at another start, or where a link says.
        underway.length = 0;
        [values, unit] = [data.values, data.unit];
      } else underway.splice(0, answered + 1);
      // What a link has moved is not folded away.
      if (fresh) parts.others.open = order.slice(data.first).some((u) => values[u] !== data.resting[u]);
      show();
      try {
        await showStills();
        if (!here) await showFrames();
      } catch (error) {
        console.error(error);
        parts.state.textContent = data.failed;
      }
      if (given !== data) return; // another run of the page has come meanwhile
      const wanted = JSON.stringify(data.network);
      if (wanted !== running) {
        running = wanted;
        await begin();
      } else if (elsewhere) wishForAll();
    },
    close() {
      clearTimeout(later);
      clearTimeout(resting);
      seen.disconnect();
      leaveNetwork();
      root.replaceChildren();
    },
  };
};
