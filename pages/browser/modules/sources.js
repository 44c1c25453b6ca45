// Where the frames of a film come from: pictures that are known, or two of them and coefficients.

import { fetched } from "./fetched.js";
import { philoxNormals } from "./philox.js";
import { wayOf } from "./way.js";

const SIDE = 32; // of a model's pictures
const STEPS_AHEAD = 20; // of a walk, in one slice

const kept = new Map();

// Bytes of an address, fetched once; forgotten with the last figure that holds them.
export const bytes = (address) => {
  if (!kept.has(address)) {
    const wanted = fetched(address);
    kept.set(address, wanted);
    wanted.catch(() => kept.delete(address));
  }
  return kept.get(address);
};

export const forget = (addresses) => addresses.forEach((address) => kept.delete(address));

export const level = (value) => Math.min(Math.max(Math.round((value + 1) * 127.5), 0), 255);

// Tiles (rows of `columns`, `gap` pixels between, nothing where there is none) as one picture. `get` gives
// the levels of a tile as RGB, and where in them it begins.
const laid = ({ height, width, tiles = 1, columns = 1, gap = 1 }) => {
  const [across, down] = [Math.min(columns, tiles), Math.ceil(tiles / columns)];
  const image = new ImageData(across * (width + gap) - gap, down * (height + gap) - gap);
  const paint = (levels, offset) => {
    for (let tile = 0; tile < tiles; tile++) {
      const left = (tile % columns) * (width + gap);
      const top = Math.floor(tile / columns) * (height + gap);
      for (let y = 0; y < height; y++) {
        let to = 4 * ((top + y) * image.width + left);
        for (let x = 0; x < width; x++, to += 4, offset += 3) {
          image.data[to] = levels[offset];
          image.data[to + 1] = levels[offset + 1];
          image.data[to + 2] = levels[offset + 2];
          image.data[to + 3] = 255;
        }
      }
    }
    return image;
  };
  return { paint, width: image.width, height: image.height };
};

const walks = new Map();
const MOST_WALKS = 2; // of 9 MB each

// One walk for all that is shown of it: frames of every level, as far as it has gone.
const walkOf = ({ address, seed, height, width }, values) => {
  const key = `${address} ${seed}`;
  if (walks.has(key)) return walks.get(key);
  const one = height * width * 3;
  const alphas = values.subarray(one);
  const made = {};
  for (const part of ["walked", "direct", "off"]) made[part] = new Uint8Array(one * (alphas.length + 1));
  const x = Float64Array.from(values.subarray(0, one));
  const [summed, eps] = [new Float64Array(one), new Float64Array(one)];
  let [signal, gone] = [1, 0];
  const keep = () => {
    const offset = gone * one;
    for (let i = 0; i < one; i++) {
      const direct = signal * values[i] + summed[i];
      made.walked[offset + i] = level(x[i]);
      made.direct[offset + i] = level(direct);
      made.off[offset + i] = level(x[i] - direct);
    }
  };
  keep();
  made.go = (to) => {
    while (gone < to) {
      philoxNormals(seed, gone, eps);
      const [shrink, add] = [Math.sqrt(alphas[gone]), Math.sqrt(1 - alphas[gone])];
      for (let i = 0; i < one; i++) {
        x[i] = shrink * x[i] + add * eps[i];
        summed[i] = shrink * summed[i] + add * eps[i];
      }
      signal *= shrink;
      gone++;
      keep();
    }
  };
  const ahead = () => {
    made.go(Math.min(gone + STEPS_AHEAD, alphas.length));
    if (gone < alphas.length && walks.get(key) === made) setTimeout(ahead);
  };
  setTimeout(ahead); // in slices, so that neither the hand nor the page waits
  walks.set(key, made);
  if (walks.size > MOST_WALKS) walks.delete(walks.keys().next().value);
  return made;
};

// One kind of source each: `size`, and `frame(at)`, an ImageData.
const KINDS = {
  // uint8 (N, tiles, height, width, 3), of which this source has `count` from `first` on
  levels: async (spec) => {
    const levels = new Uint8Array(await bytes(spec.address));
    const layout = laid(spec);
    const nothing = new ImageData(layout.width, layout.height);
    const one = spec.tiles * spec.height * spec.width * 3;
    const frame = (at) => {
      const last = (spec.places?.length ?? spec.count) - 1;
      const place = spec.places ? spec.places[Math.min(at, last)] : Math.min(at, last);
      return place === null ? nothing : layout.paint(levels, (spec.first + place) * one);
    };
    return { ...layout, frame };
  },

  // float32: two pictures (height, width, 3), then their N coefficients a and b: a A + b B
  mix: async (spec) => {
    const values = new Float32Array(await bytes(spec.address));
    const layout = laid(spec);
    const one = spec.height * spec.width * 3;
    const count = (values.length - 2 * one) / 2;
    const mixed = new Uint8Array(one);
    return {
      ...layout,
      frame: (at) => {
        const [a, b] = [values[2 * one + at], values[2 * one + count + at]];
        for (let i = 0; i < one; i++) mixed[i] = level(a * values[i] + b * values[one + i]);
        return layout.paint(mixed, 0);
      },
    };
  },

  // float32: a picture (height, width, 3), then alpha of every step; x_t = sqrt(alpha) x + sqrt(1 - alpha) eps
  // `walked`: that; `direct`: sqrt(alpha_bar_t) x0 + the noise of all steps summed up; `off`: their difference
  walk: async (spec) => {
    const values = new Float32Array(await bytes(spec.address));
    const layout = laid(spec);
    const walk = walkOf(spec, values);
    return {
      ...layout,
      frame: (at) => {
        walk.go(at);
        return layout.paint(walk[spec.part], at * spec.height * spec.width * 3);
      },
    };
  },

  // JPEG sheets of tiles without gaps, one a frame, of which the first `tiles` are shown
  sheets: async (spec) => {
    const layout = laid(spec);
    const { height, width, tiles } = spec;
    const levels = new Uint8Array(tiles * height * width * 3);
    const sheets = await Promise.all(
      spec.addresses.map(async (address) => {
        const sheet = await createImageBitmap(new Blob([await bytes(address)], { type: "image/jpeg" }));
        const canvas = new OffscreenCanvas(sheet.width, sheet.height);
        const pen = canvas.getContext("2d");
        pen.drawImage(sheet, 0, 0);
        return pen.getImageData(0, 0, sheet.width, sheet.height);
      })
    );
    const frame = (at) => {
      const sheet = sheets[at];
      const across = Math.floor(sheet.width / width);
      let to = 0;
      for (let tile = 0; tile < tiles; tile++)
        for (let y = 0; y < height; y++) {
          const top = Math.floor(tile / across) * height + y;
          let from = 4 * (top * sheet.width + (tile % across) * width);
          for (let x = 0; x < width; x++, from += 4)
            for (let c = 0; c < 3; c++) levels[to++] = sheet.data[from + c];
        }
      return layout.paint(levels, 0);
    };
    return { ...layout, frame };
  },

  // What a network that runs here makes of noise: one part of it, values in [-span, span]
  way: async ({ span, ...spec }, report) => {
    const values = (await wayOf(spec, report))[spec.part];
    const layout = laid({ height: SIDE, width: SIDE });
    const levels = new Uint8Array(3 * SIDE * SIDE);
    const frame = (at) => {
      const plane = SIDE * SIDE;
      for (let c = 0; c < 3; c++)
        for (let i = 0; i < plane; i++) levels[3 * i + c] = level(values[at][c * plane + i] / span);
      return layout.paint(levels, 0);
    };
    return { ...layout, frame };
  },
};

// `report` is told in words how far a source is that takes its time.
export const openSource = (spec, report) => KINDS[spec.kind](spec, report);
export const addressesOf = (spec) => spec.addresses ?? [spec.address];
