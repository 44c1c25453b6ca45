// A page begins at its top, or at the part that a link leads to.

const PATIENCE = 20000; // milliseconds until a part that does not come is given up
const STILL = 2000; // milliseconds for which a part has to stand where it is

// What is seen last, whichever run of the page has mounted this: Streamlit may draw it anew with a page.
let shown, arrived, leading;

const main = () => document.querySelector("[data-testid=stMain]");

// Whether the page is still on its way from the server.
const running = () => document.querySelector("[data-testid=stApp]")?.dataset.testScriptState === "running";

// Follows a part that moves as what is above it comes, until it stands or a hand scrolls.
const lead = (view) => {
  clearInterval(leading);
  const begun = performance.now();
  let [before, since] = [undefined, begun];
  const stop = () => {
    clearInterval(leading);
    for (const kind of ["wheel", "touchstart", "keydown", "pointerdown"]) removeEventListener(kind, stop, true);
  };
  for (const kind of ["wheel", "touchstart", "keydown", "pointerdown"]) addEventListener(kind, stop, true);
  leading = setInterval(() => {
    const now = performance.now();
    if (now - begun > PATIENCE) return stop();
    const key = CSS.escape(`st-key-${view}`);
    const part = document.querySelector(`.${key}, .${key}_hand`); // what a hand moves has a key of its own
    if (!part?.getBoundingClientRect().height) return;
    const { height } = part.getBoundingClientRect();
    part.style.scrollMarginTop = "5rem"; // below the app's header
    part.scrollIntoView({ block: height < 0.8 * innerHeight ? "center" : "start" });
    const at = `${part.getBoundingClientRect().top} ${height}`;
    if (at !== before || running()) [before, since] = [at, now];
    else if (now - since > STILL) stop();
  }, 100);
};

export const open = (root) => ({
  update: ({ page, view, number }) => {
    root.dataset.page = page;
    if (view && number !== arrived) lead(view);
    else if (shown !== undefined && page !== shown) {
      clearInterval(leading);
      main()?.scrollTo(0, 0);
    }
    [shown, arrived] = [page, view ? number : arrived];
  },
  close: () => {},
});
