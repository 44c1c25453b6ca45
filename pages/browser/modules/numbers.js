// Numbers as the visitor's language writes them, with a minus sign that is one.

const SMALL = 1e-3; // below it, and above its inverse of powers, a number is written with a power of ten
const raised = (power) => [...String(power)].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");

export const writer = (language) => {
  const formats = new Map();
  const write = (value, options) => {
    const key = JSON.stringify(options);
    if (!formats.has(key)) formats.set(key, new Intl.NumberFormat(language, options));
    // Narrow spaces alone, as the sentences of the page have them.
    return formats.get(key).format(value).replace("-", "−").replaceAll("\u00a0", "\u202f");
  };
  const fixed = (value, digits) =>
    write(value, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const percent = (share, digits) =>
    write(share, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits });
  // Three digits that count: 0.0123, 12.3, 1.23 × 10⁻⁷.
  const counting = (value) => {
    const power = value ? Math.floor(Math.log10(Math.abs(value))) : 0;
    if (!value || (power >= Math.log10(SMALL) && power < 6)) return fixed(value, Math.max(0, 2 - power));
    return `${fixed(value / 10 ** power, 2)} × 10${raised(power)}`;
  };
  const power = (exponent) =>
    Math.abs(exponent) <= 3 ? fixed(10 ** exponent, Math.max(0, -exponent)) : `10${raised(exponent)}`;
  return { fixed, percent, counting, power };
};
