// Axes: where a value lies, and at which round numbers the ticks stand.

const ROUND = [1, 2, 2.5, 5, 10];
const NEARLY = 1e-6;

// From the values of an axis to pixels.
export const scale = ({ low, high, log }, from, to) => {
  const put = log ? Math.log10 : (value) => value;
  const [first, last] = [put(low), put(high)];
  return (value) => from + ((put(value) - first) / (last - first)) * (to - from);
};

// At most about `most` ticks, as values and in words; two at least, as one alone gives no scale.
export const ticks = (axis, most, write) => (axis.log ? powers : steps)(axis, Math.max(most, 1), write);

const steps = ({ low, high, percent, whole }, most, write) => {
  let step = roundStep((high - low) / most);
  const many = () => Math.floor(high / step + NEARLY) - Math.ceil(low / step - NEARLY) + 1;
  while (high > low && many() < 2) step = roundStep(step / 2.1);
  if (whole) step = Math.max(1, Math.ceil(step));
  const shown = percent ? 100 * step : step;
  let digits = 0;
  while (digits < 9 && Math.abs(shown * 10 ** digits - Math.round(shown * 10 ** digits)) > NEARLY) digits++;
  const found = [];
  for (let i = Math.ceil(low / step - NEARLY); i <= high / step + NEARLY; i++) {
    const value = i * step || 0; // never minus zero
    found.push({ value, words: percent ? write.percent(value, digits) : write.fixed(value, digits) });
  }
  return found;
};

// The smallest round number that is as large as `rough`.
const roundStep = (rough) => {
  const size = 10 ** Math.floor(Math.log10(rough));
  return ROUND.map((one) => one * size).find((one) => one >= rough * (1 - NEARLY));
};

const powers = ({ low, high }, most, write) => {
  const [first, last] = [Math.ceil(Math.log10(low) - NEARLY), Math.floor(Math.log10(high) + NEARLY)];
  const every = Math.max(1, Math.ceil((last - first + 1) / most));
  const found = [];
  for (let exponent = Math.ceil(first / every) * every; exponent <= last; exponent += every)
    found.push({ value: 10 ** exponent, words: write.power(exponent) });
  if (found.length > 1) return found;
  // Within a decade or so powers alone would say too little.
  for (let exponent = first - 1; exponent <= last; exponent++)
    for (const factor of [1, 2, 5]) {
      const value = factor * 10 ** exponent;
      if (value >= low && value <= high && !found.some((one) => one.value === value))
        found.push({ value, words: write.counting(value) });
    }
  return found;
};
