// Where the figures of a timeline stand that a link or a lesson leaves out: it draws nothing, and no hand moves it.

import { timeline } from "./timelines.js";

export const open = () => ({
  update: ({ timeline: key, stops, value }) =>
    timeline(key).set(stops, Math.max(stops.indexOf(value), 0), true),
  close: () => {},
});
