// A copy of the visit's sheet in this tab's own storage: a reload leaves it in place, and the end of the tab
// takes it away. What is in it is decided by the visit alone: this module writes what it is given, and reads
// what is there when it is asked. Next to it lies a random token, by which the tab is known after a reload.

const REST = 500; // milliseconds without a hand on mouse, screen or keys
const LONGEST = 4000; // milliseconds: a hand that never rests
const NAME = "latent-atelier-sheet";
const TAB = "latent-atelier-tab";

const token = () => {
  try {
    const held = window.sessionStorage.getItem(TAB);
    if (held) return held;
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    const made = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    window.sessionStorage.setItem(TAB, made);
    return made;
  } catch {
    return ""; // a browser may refuse its storage to a frame
  }
};

const held = (most) => {
  try {
    const text = window.sessionStorage.getItem(NAME);
    return text === null ? ["none"] : ["held", text.slice(0, most + 1)];
  } catch {
    return ["forbidden"]; // a browser may refuse its storage to a frame
  }
};

const store = (text) => {
  let storage;
  try {
    storage = window.sessionStorage;
  } catch {
    return "forbidden";
  }
  try {
    if (text === "") storage.removeItem(NAME);
    else storage.setItem(NAME, text);
    return "stored";
  } catch {
    return "full"; // what was there before is still there
  }
};

// Streamlit sends what a visitor does a moment later, together with all else that has changed by then, and
// asks for one part of the page alone: were this part named, a click of that moment would show nothing. So
// this module, which nobody has asked to speak, says by a request of its own what the page need not run for,
// and all else when no hand has moved for a while.
let moved = 0; // when a hand did so last
const hand = () => void (moved = performance.now());
for (const kind of ["pointermove", "pointerdown", "pointerup", "keydown", "wheel", "touchstart"])
  window.addEventListener(kind, hand, { capture: true, passive: true });

// What is not said yet, and who says it: a page may end before, and the next one says it.
let unsaid, speak;
let waiting = false;

const say = (words) => {
  unsaid = words;
  if (waiting) return;
  waiting = true;
  const since = performance.now();
  const look = () => {
    const now = performance.now();
    const rests = now - Math.max(moved, since) >= REST || now - since > LONGEST;
    if (!rests || !speak || navigator.scheduling?.isInputPending?.()) return setTimeout(look, 50);
    waiting = false;
    speak("value", unsaid);
  };
  setTimeout(look, 50);
};

const ANSWERED = 204;
const QUIET = ["none", "stored"]; // answers that change nothing on the page
const PATIENCE = 3000; // milliseconds: other requests may hold all connections that a browser has to a server

const post = async (address, words) => {
  try {
    const body = JSON.stringify(words);
    const signal = AbortSignal.timeout(PATIENCE);
    const place = new URL(address, window.location.origin);
    const answer = await fetch(place, { method: "POST", body, signal });
    return answer.status === ANSWERED;
  } catch {
    return false; // no connection: said again as all else is
  }
};

export const open = () => {
  let said; // what was said last, and to which visit
  let mine;

  return {
    update({ visit, address, ask, version, sheet, most }, send) {
      speak = mine = send;
      // The browser sends what was said last with every run of the page: that is not to be a whole sheet.
      const whole = said === [visit, "held", ""].join(" ");
      const tell = (kind, more) => {
        const now = [visit, kind, kind === "held" ? "" : more].join(" ");
        if (now === said) return;
        said = now;
        const words = [kind, visit, more ?? null, token()];
        if (whole || !QUIET.includes(kind)) return say(words);
        post(address, words).then((taken) => taken || now !== said || say(words));
      };
      if (ask) tell(...held(most));
      else if (sheet !== null) tell(store(sheet), version);
      else if (whole) tell("done");
    },
    close() {
      if (speak === mine) speak = undefined;
    },
  };
};
