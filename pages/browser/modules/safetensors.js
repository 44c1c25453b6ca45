// Weights out of a bundle's own file, as ONNX Runtime takes them: float32, by name.

const WIDTH = 8; // bytes before the header, which say how long it is

// A half-precision number, by its 16 bits.
const half = (bits) => {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size =
    exponent === 0
      ? fraction * 2 ** -24
      : exponent === 31
        ? fraction ? NaN : Infinity
        : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return bits >> 15 ? -size : size;
};

let halves; // all 65,536 of them: a table is faster than arithmetic a weight

const widened = (bytes) => {
  halves ??= Float32Array.from({ length: 2 ** 16 }, (_, bits) => half(bits));
  const narrow = new Uint16Array(bytes);
  const wide = new Float32Array(narrow.length);
  for (let i = 0; i < narrow.length; i++) wide[i] = halves[narrow[i]];
  return new Uint8Array(wide.buffer);
};

const READ = { F16: widened, F32: (bytes) => new Uint8Array(bytes) };

// `[{path, data}]` of an ArrayBuffer; tensors of other types, such as counters, are no weights.
export const weightsOf = (file) => {
  const length = Number(new DataView(file).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(file, WIDTH, length)));
  return Object.entries(header)
    .filter(([, tensor]) => tensor.dtype in READ)
    .map(([path, { dtype, data_offsets: [begin, end] }]) => {
      const first = WIDTH + length;
      return { path, data: READ[dtype](file.slice(first + begin, first + end)) };
    });
};
