// A way back from noise by DDIM without fresh noise, gone by the visitor's own browser.
//
// Song, Meng & Ermon 2021, equation 12 with sigma = 0: x_s = sqrt(a_s) x0_hat + sqrt(1 - a_s) eps_hat.

import { fetched } from "./fetched.js";
import { openNetwork, runsNetworks } from "./networks.js";

const saying = (words) => Object.assign(new Error(words), { said: words });

// Values at every stop, from pure noise to the picture: `x_t`, `eps_hat`, `x0_hat`, and `x_s`, where the step from
// x_t ends; each one Float32Array a stop.
const go = async ({ network, noise, levels, alpha_bar, says }, words, report, stoppable) => {
  if (!runsNetworks()) throw saying(words.unable);
  report(words.loading);
  const opened = openNetwork(network);
  stoppable(opened.close);
  try {
    const [begin] = await Promise.all([fetched(noise), opened.ready]);
    let x = new Float32Array(begin);
    const way = { x_t: [], eps_hat: [], x0_hat: [], x_s: [] };
    for (const [step, t] of levels.entries()) {
      report(words.step.replace("{step}", step + 1).replace("{steps}", levels.length));
      const said = await opened.run({
        x_t: { type: "float32", data: x.slice(), dims: [1, 3, 32, 32] },
        t: { type: "int64", data: BigInt64Array.of(BigInt(t)), dims: [1] },
      });
      const [a, a_s] = [alpha_bar[step], alpha_bar[step + 1]];
      const eps = says === "v" ? x.map((value, i) => Math.sqrt(1 - a) * value + Math.sqrt(a) * said[i]) : said;
      const x0 = x.map((value, i) => (value - Math.sqrt(1 - a) * eps[i]) / Math.sqrt(a));
      way.x_t.push(x);
      way.eps_hat.push(eps);
      way.x0_hat.push(x0);
      x = x0.map((value, i) => Math.sqrt(a_s) * value + Math.sqrt(1 - a_s) * eps[i]);
      way.x_s.push(x);
    }
    way.x_t.push(x);
    way.eps_hat.push(new Float32Array(x.length));
    way.x0_hat.push(x);
    way.x_s.push(x);
    return way;
  } finally {
    opened.close(); // with its weights: a way is gone once
  }
};

let last = {};

// The same way for all figures that ask for it, whatever their language. The newest one alone is gone on
// with and kept.
export const wayOf = ({ part, words, ...spec }, report) => {
  const key = JSON.stringify(spec);
  if (last.key !== key) {
    last.stop?.();
    const mine = (last = { key });
    const tell = (said) => mine.report?.(said);
    mine.way = go(spec, words, tell, (stop) => (mine.stop = stop));
    mine.way.catch(() => last === mine && (last = {}));
  }
  last.report = report;
  return last.way;
};

// To be called when the figure leaves the page: a way that is not yet gone ends.
export const leaveWay = () => last.stop?.();
