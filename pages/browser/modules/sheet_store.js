// A copy of the visit's sheet in this tab's own storage: a reload leaves it in place, and the end of the tab
// takes it away. What is in it is decided by the visit alone: this module writes what it is given, and reads
// what is there when it is asked. Next to it lies a random token, by which the tab is known after a reload.

const LONGEST = 3000; // milliseconds: a film that plays may leave no rest
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

const look = (most) => {
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
// this module, which nobody has asked to speak, speaks while nothing else goes on.
const atRest = (then) => {
  if (!window.requestIdleCallback) return setTimeout(then);
  const pending = () => navigator.scheduling?.isInputPending?.();
  return window.requestIdleCallback(() => (pending() ? atRest(then) : then()), { timeout: LONGEST });
};

export const open = () => {
  let said; // what was said last, and to which visit
  let closed = false;

  return {
    update({ visit, ask, version, sheet, most }, send) {
      const say = (kind, more) => {
        const now = [visit, kind, kind === "held" ? "" : more].join(" ");
        if (now === said) return;
        said = now;
        const words = [kind, visit, more, token()];
        atRest(() => closed || now !== said || send("value", words));
      };
      if (ask) say(...look(most));
      else if (sheet !== null) say(store(sheet), version);
      // The browser sends what was said last with every run of the page: that is not to be a whole sheet.
      else if (said === [visit, "held", ""].join(" ")) say("done");
    },
    close() {
      closed = true;
    },
  };
};
