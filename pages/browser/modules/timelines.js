// Where on its timeline each figure stands: one state for all figures of a page that name the same key.

class Timeline extends EventTarget {
  at = 0;
  stops = [0];
  fixed = false;

  // Python's stops, and where it stands; a hand that is holding on is not moved. `fixed`: no hand moves it.
  set(stops, at, fixed = false) {
    this.stops = stops;
    this.fixed = false;
    this.go(at);
    this.fixed = fixed;
  }

  get value() {
    return this.stops[this.at];
  }

  go(at) {
    if (this.fixed) return;
    this.at = Math.min(Math.max(at, 0), this.stops.length - 1);
    this.dispatchEvent(new Event("move"));
  }

  // A hand takes hold of a figure: what plays stops.
  take() {
    this.dispatchEvent(new Event("take"));
  }

  // The hand has let go: the server may know.
  rest() {
    this.dispatchEvent(new Event("rest"));
  }
}

const known = new Map();

export const timeline = (key) => {
  if (!known.has(key)) known.set(key, new Timeline());
  return known.get(key);
};

// Calls `draw` at once and after every move, at most once a frame; returns how to stop that.
export const follow = (line, draw) => {
  let waiting = 0;
  const soon = () => {
    waiting ||= requestAnimationFrame(() => {
      waiting = 0;
      draw();
    });
  };
  line.addEventListener("move", soon);
  draw();
  return () => {
    line.removeEventListener("move", soon);
    cancelAnimationFrame(waiting);
  };
};
