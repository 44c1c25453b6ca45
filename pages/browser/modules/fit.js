// All of a step stands on one screen of a hall: its words, and its figures, are made smaller where they are too high.
//
// Words are laid out anew at each size, as lines break elsewhere. Figures keep their layout and are drawn smaller,
// so that no chart has to be drawn again; where that would make them much smaller, they are first laid out on more
// width, which many of them use to be less high; so is a table that is too wide for its place. Charts of Plotly
// measure themselves by the screen: they are made less high in place of that.

const [WORDS, FIGURES] = [".st-key-lesson_words", ".st-key-lesson_figures"];
const CHART = "[data-testid=stFullScreenFrame]:has(> [data-testid=stPlotlyChart])";
const [LEAST, STEP] = [0.4, 0.04];
const [SMALL, WIDER] = [0.75, 1.5];
const REST = 120; // milliseconds without a change: half of what a step draws may be higher than all of it
const EDGE = 28; // pixels below, with what the page leaves there

const main = () => document.querySelector("[data-testid=stMain]");

// Pixels from the beginning of the page to the upper and the lower edge of a part.
const edges = (part) => {
  const { top, bottom } = part.getBoundingClientRect();
  return [top, bottom].map((edge) => edge + main().scrollTop);
};

const fitWords = (part) => {
  const fits = () => edges(part)[1] <= window.innerHeight - EDGE;
  let size = 1;
  part.style.zoom = "";
  while (!fits() && size - STEP >= LEAST) {
    size -= STEP;
    part.style.zoom = size;
  }
};

// What there is: whatever comes begins with the width that it has everywhere.
const names = (part) => [...part.querySelectorAll("[data-testid]")].map(({ dataset }) => dataset.testid).join();

const fitCharts = (part, charts) => {
  const over = edges(part)[1] - (window.innerHeight - EDGE);
  if (over <= 0) return;
  const now = charts.map((chart) => chart.getBoundingClientRect().height);
  const least = window.innerHeight / 4;
  charts.forEach((chart, i) => {
    const zoom = now[i] / chart.offsetHeight;
    chart.style.height = `${Math.max(now[i] - over / charts.length, least) / zoom}px`;
  });
};

// Whether a table is wider than its place, so that columns of it are not seen.
const cutOff = (part) =>
  [...part.querySelectorAll("[data-testid=stTable], [data-testid=stTable] div")].some(
    ({ scrollWidth, clientWidth }) => scrollWidth > clientWidth + 1,
  );

const fitFigures = (part) => {
  const { dataset, style } = part;
  if (dataset.of !== names(part)) {
    clear(part);
    dataset.of = names(part);
  }
  const charts = [...part.querySelectorAll(CHART)];
  if (charts.length) return fitCharts(part, charts);
  const before = Number(dataset.scale ?? 1);
  const [top, bottom] = edges(part);
  const natural = (bottom - top) / before;
  if (!natural) return;
  const wanted = (window.innerHeight - EDGE - top) / natural;
  if (wanted < SMALL || cutOff(part)) dataset.wide = true; // and never back, or the two would take turns
  const scale = Math.min(dataset.wide ? 1 / WIDER : 1, Math.max(LEAST, wanted));
  if (Math.abs(scale - before) > 0.002) dataset.scale = scale;
  const now = Number(dataset.scale ?? 1);
  style.width = dataset.wide ? `${100 * WIDER}%` : "";
  style.maxWidth = dataset.wide ? "none" : "";
  style.transformOrigin = "top left";
  const aside = dataset.wide ? (1 - now * WIDER) / (2 * WIDER) : (1 - now) / 2; // in the middle
  style.transform = now < 1 ? `translateX(${100 * aside}%) scale(${now})` : "";
  // What it leaves free below it, and at its side, is not to be scrolled to.
  style.marginBottom = now < 1 ? `${(now - 1) * part.offsetHeight}px` : "";
  style.marginRight = dataset.wide ? `${-100 * (WIDER - 1)}%` : "";
};

const clear = (part) => {
  const { dataset, style } = part;
  for (const chart of part.querySelectorAll(CHART)) chart.style.height = "";
  style.zoom = style.transform = style.transformOrigin = style.marginBottom = style.marginRight = "";
  style.width = style.maxWidth = "";
  for (const name of ["of", "scale", "wide"]) delete dataset[name];
};

const each = (selector, act) => document.querySelectorAll(selector).forEach(act);

// Keeps to it until the function that it returns is called.
export const fitting = () => {
  let waiting;
  const fit = () => {
    each(WORDS, fitWords);
    each(FIGURES, fitFigures);
    each(`${WORDS}, ${FIGURES}`, (part) => resized.observe(part));
  };
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(fit, REST);
  };
  const resized = new ResizeObserver(soon);
  const changed = new MutationObserver(soon);
  changed.observe(main(), { childList: true, subtree: true });
  window.addEventListener("resize", soon);
  soon();
  return () => {
    clearTimeout(waiting);
    resized.disconnect();
    changed.disconnect();
    window.removeEventListener("resize", soon);
    each(`${WORDS}, ${FIGURES}`, clear);
  };
};
