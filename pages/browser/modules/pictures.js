// Pictures as models give them and as canvases take them.

import { level } from "./sources.js";

// Levels 0 to 255, RGB by pixel, of picture `index` of values (B, 3, side, side) in [-1, 1].
export const levelsOf = (values, index, side) => {
  const plane = side * side;
  const levels = new Uint8Array(3 * plane);
  for (let c = 0; c < 3; c++) {
    const first = (3 * index + c) * plane;
    for (let i = 0; i < plane; i++) levels[3 * i + c] = level(values[first + i]);
  }
  return levels;
};

// a - b around mid-grey at half contrast, as core.pictures.images.difference has it.
export const difference = (a, b) => a.map((value, i) => Math.min(128 + ((value - b[i]) >> 1), 255));

export const paint = (canvas, levels) => {
  const image = new ImageData(canvas.width, canvas.height);
  for (let i = 0, from = 0; i < image.data.length; i += 4) {
    for (let c = 0; c < 3; c++) image.data[i + c] = levels[from++];
    image.data[i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
};
