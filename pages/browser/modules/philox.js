// Gaussian numbers that Python draws alike: Philox 4x32-10 (Salmon et al. 2011) and Box-Muller.
// core/ddpm/counted_noise.py says what counter and key hold.

const [M0, M1, W0, W1] = [0xd2511f53, 0xcd9e8d57, 0x9e3779b9, 0xbb67ae85];
const ROUNDS = 10;

// The upper half of a product of two unsigned numbers of 32 bits.
const high = (a, b) => {
  const ah = a >>> 16;
  const al = a & 0xffff;
  const bh = b >>> 16;
  const bl = b & 0xffff;
  const middle = ah * bl + ((al * bl) >>> 16); // below 2 ** 33: exact
  const cross = al * bh + (middle % 65536);
  return (ah * bh + Math.floor(middle / 65536) + Math.floor(cross / 65536)) >>> 0;
};

// Four numbers of 32 bits of a counter of four and a key of two, into `out`.
export const philox = (c0, c1, c2, c3, k0, k1, out) => {
  for (let round = 0; round < ROUNDS; round++) {
    const h0 = high(M0, c0);
    const l0 = Math.imul(M0, c0) >>> 0;
    const h1 = high(M1, c2);
    const l1 = Math.imul(M1, c2) >>> 0;
    c0 = (h1 ^ c1 ^ k0) >>> 0;
    c1 = l1;
    c2 = (h0 ^ c3 ^ k1) >>> 0;
    c3 = l0;
    k0 = (k0 + W0) >>> 0;
    k1 = (k1 + W1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
};

// Draw `step` of a seed, laid out as Python's (3, height, width), into `eps` as (height, width, 3).
export const philoxNormals = (seed, step, eps) => {
  const plane = eps.length / 3;
  const out = new Uint32Array(4);
  const put = (index, value) => {
    if (index < eps.length) eps[3 * (index % plane) + Math.floor(index / plane)] = value;
  };
  for (let block = 0; 4 * block < eps.length; block++) {
    philox(block, step, 0, 0, seed, 0, out);
    for (let pair = 0; pair < 4; pair += 2) {
      const radius = Math.sqrt(-2 * Math.log((out[pair] + 0.5) / 4294967296));
      const angle = (2 * Math.PI * out[pair + 1]) / 4294967296;
      put(4 * block + pair, radius * Math.cos(angle));
      put(4 * block + pair + 1, radius * Math.sin(angle));
    }
  }
};
