// The control of a timeline: scrub, step, play, at some speed, once or over and over.

import { writer } from "./numbers.js";
import { timeline } from "./timelines.js";

const ICONS = {
  back: "M6 5h2v14H6zm12 0v14l-9-7z",
  play: "M8 5v14l11-7z",
  pause: "M6 5h4v14H6zm8 0h4v14h-4z",
  on: "M16 5h2v14h-2zM6 5v14l9-7z",
  loop: "M7 7h10v3l4-4-4-4v3H5v6h2zm10 10H7v-3l-4 4 4 4v-3h12v-6h-2z",
};
const SPEEDS = [0.25, 0.5, 1, 2, 4];
const SECONDS = 6; // from end to end at speed 1, or longer where the stops are few
const SECONDS_A_STOP = 0.12;
const STILL_STOPS = 10; // how many stops are shown where a visitor wants no motion
const REST = 250; // milliseconds after a key until the server is told

const icon = (name) => `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;

const HTML = `
<div class="timeline">
  <label class="words"><span></span> <output></output><input type="range" min="0" step="1" /></label>
  <div class="buttons">
    <button type="button" data-part="back">${icon("back")}</button>
    <button type="button" data-part="play">${icon("play")}</button>
    <button type="button" data-part="on">${icon("on")}</button>
    <button type="button" data-part="loop" aria-pressed="false">${icon("loop")}</button>
    <select data-part="speed"></select>
  </div>
</div>`;

// Marks a control that stays in view, `header` rem below the top, while it does.
const stuckBelow = (header, control) => {
  control.classList.add("sticky");
  const top = header * parseFloat(getComputedStyle(document.documentElement).fontSize);
  const watching = new IntersectionObserver(
    ([seen]) => control.classList.toggle("stuck", seen.boundingClientRect.top < top + 1),
    { rootMargin: `${-top - 1}px 0px 0px 0px`, threshold: 1 }
  );
  watching.observe(control);
  return watching;
};

export const open = (root) => {
  root.innerHTML = HTML;
  const [name, value, slider] = ["span", "output", "input"].map((part) => root.querySelector(part));
  const part = (which) => root.querySelector(`[data-part=${which}]`);
  const [back, play, on, loop, speed] = ["back", "play", "on", "loop", "speed"].map(part);
  let line, send, known, playing, words, write, sticking;
  let [python, resting] = [undefined, 0]; // where the server believes the hand to be
  const underway = []; // values sent that no run of the page has come back with yet

  const show = () => {
    // Set while a hand holds it, even to what it is, a slider would not tell that it was let go.
    if (Number(slider.value) !== line.at) slider.value = line.at;
    value.textContent = words.stops?.[line.at] ?? write.fixed(line.value, 0);
    slider.setAttribute("aria-valuetext", value.textContent);
  };
  const tell = () => {
    clearTimeout(resting);
    const { value } = line;
    if (value === (underway.at(-1) ?? python)) return;
    underway.push(value);
    send("value", [value, Date.now()]); // going back to a place is news, too
  };
  const tellSoon = () => {
    clearTimeout(resting);
    resting = setTimeout(tell, REST);
  };

  const pause = () => {
    cancelAnimationFrame(playing);
    playing = undefined;
    play.innerHTML = icon("play");
    play.title = words.play;
    play.setAttribute("aria-label", words.play);
  };
  const start = () => {
    const last = line.stops.length - 1;
    if (line.at === last) line.go(0);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    let [place, before] = [line.at, performance.now()];
    const frame = (now) => {
      const seconds = Math.max(SECONDS, last * Math.min(SECONDS_A_STOP, 10 / last));
      place += ((now - before) / 1000) * Number(speed.value) * (last / seconds);
      before = now;
      const looping = last > 0 && loop.getAttribute("aria-pressed") === "true";
      if (looping && place >= last + 1) place = 0; // the last stop has its turn, too
      const jump = still ? Math.max(1, last / STILL_STOPS) : 1;
      const at = place >= last ? last : Math.floor(Math.floor(place / jump) * jump);
      if (at !== line.at) line.go(at);
      if (place < last || looping) playing = requestAnimationFrame(frame);
      else stop();
    };
    playing = requestAnimationFrame(frame);
    play.innerHTML = icon("pause");
    play.title = words.pause;
    play.setAttribute("aria-label", words.pause);
  };
  const stop = () => {
    pause();
    tell();
  };
  const yieldTo = () => {
    if (playing) pause();
    clearTimeout(resting);
  };
  const step = (by) => {
    if (playing) pause();
    line.go(line.at + by);
    tellSoon();
  };

  slider.oninput = () => {
    yieldTo();
    line.go(Number(slider.value));
  };
  // A key may be pressed again within a moment; a hand that lets go has decided.
  let pressed = false;
  slider.onkeydown = () => void (pressed = true);
  slider.onpointerdown = () => void (pressed = false); // a handler's false would end the drag
  slider.onchange = () => (pressed ? tellSoon() : tell());
  back.onclick = () => step(-1);
  on.onclick = () => step(1);
  play.onclick = () => (playing ? stop() : start());
  loop.onclick = () =>
    loop.setAttribute("aria-pressed", String(loop.getAttribute("aria-pressed") !== "true"));

  const leave = () => {
    line?.removeEventListener("move", show);
    line?.removeEventListener("rest", tell);
    line?.removeEventListener("take", yieldTo);
  };

  return {
    update(data, sender) {
      send = sender;
      words = data.words;
      write = writer(data.language);
      const key = JSON.stringify([data.timeline, data.stops]);
      if (key !== known) {
        leave();
        if (playing) pause();
        known = key;
        line = timeline(data.timeline);
        line.addEventListener("move", show);
        line.addEventListener("rest", tell);
        line.addEventListener("take", yieldTo);
        underway.length = 0;
        python = undefined;
      }
      const answered = underway.indexOf(data.value);
      if (answered >= 0) underway.splice(0, answered + 1);
      else if (data.value !== python) {
        // Where no hand has put it: at the start, or because the page was told to.
        underway.length = 0;
        line.set(data.stops, Math.max(data.stops.indexOf(data.value), 0));
      }
      python = data.value;
      if (data.sticky && !sticking) sticking = stuckBelow(data.sticky, root.firstElementChild);
      name.textContent = data.label;
      slider.max = data.stops.length - 1;
      slider.setAttribute("aria-label", data.label);
      for (const [button, said] of [[back, words.back], [on, words.on], [loop, words.loop], [speed, words.speed]]) {
        button.title = said;
        button.setAttribute("aria-label", said);
      }
      if (!speed.options.length)
        speed.replaceChildren(...SPEEDS.map((one) => new Option(`${one} ×`, one, one === 1, one === 1)));
      if (!playing) pause();
      show();
    },
    close() {
      cancelAnimationFrame(playing);
      clearTimeout(resting);
      leave();
      sticking?.disconnect();
    },
  };
};
