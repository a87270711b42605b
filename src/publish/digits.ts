const significant = 6;
const ZERO = 0x30;
const powers = Float64Array.from({ length: 23 }, (_, e) => 10 ** e);

/**
 * Writes `value` with six significant digits, as JSON understands it, to `bytes` at `at`; returns where it ends.
 * Needs room for 24 bytes. About eight times faster than `toPrecision` where 1e-6 ≤ |value| < 1e6.
 */
export function digitsOf(value: number, bytes: Uint8Array, at: number): number {
  const size = Math.abs(value);
  if (size === 0) {
    bytes[at] = ZERO;
    return at + 1;
  }
  if (!(size >= 1e-6 && size < 999999)) {
    const text = String(Number(value.toPrecision(significant)));
    for (let c = 0; c < text.length; c++) bytes[at++] = text.charCodeAt(c);
    return at;
  }
  if (value < 0) bytes[at++] = 0x2d;
  // decimals: digits behind the point that leave six significant ones
  let decimals = significant - 1;
  if (size >= 1) while (decimals > 0 && size >= powers[significant - decimals]!) decimals--;
  else while (size * powers[decimals]! < powers[significant - 1]!) decimals++;
  // At most 1e6: int32 from here on, which is twice as fast.
  let digits = (size * powers[decimals]! + 0.5) | 0;
  while (decimals > 0 && digits % 10 === 0) {
    digits = (digits / 10) | 0;
    decimals--;
  }
  const whole = (digits / powers[decimals]!) | 0;
  at = decimal(whole, bytes, at, whole === 0 ? 1 : 0);
  if (decimals === 0) return at;
  bytes[at++] = 0x2e;
  return decimal(whole === 0 ? digits : digits % powers[decimals]!, bytes, at, decimals);
}

/** Writes a whole number, an int32, with at least `least` digits. */
function decimal(value: number, bytes: Uint8Array, at: number, least: number): number {
  let count = least;
  while (value >= powers[count]!) count++;
  for (let c = at + count - 1; c >= at; c--) {
    const rest = (value / 10) | 0;
    bytes[c] = ZERO + (value - 10 * rest);
    value = rest;
  }
  return at + count;
}
