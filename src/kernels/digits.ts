const SIGNIFICANT: i32 = 6;
const ZERO: u8 = 0x30;

/** Bytes that a number takes at most. */
export const NUMBER: i32 = 16;

// powers of ten that are exact
const POWERS = memory.data<f64>([1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12]);

@inline
function power(e: i32): f64 {
  return load<f64>(POWERS + ((<usize>e) << 3));
}

// `value` with `count` digits, zeros in front
@inline
function whole(value: u32, count: i32, at: usize): usize {
  for (let c = at + count - 1; c >= at; c--) {
    const rest = value / 10;
    store<u8>(c, <u8>(ZERO + (value - 10 * rest)));
    value = rest;
  }
  return at + count;
}

/** Writes a finite `value` with six significant digits, as JSON understands it; returns where it ends. */
export function digits(value: f64, at: usize): usize {
  let size = abs(value);
  if (size == 0) {
    store<u8>(at, ZERO);
    return at + 1;
  }
  if (value < 0) store<u8>(at++, 0x2d);
  let exponent = 0;
  // what rounds to less than 1e-6, or to more than 1e6
  if (size < 9.999995e-7 || size > 999999.5) {
    for (; size >= 1e8; exponent += 8) size /= 1e8;
    for (; size >= 10; exponent++) size /= 10;
    for (; size < 1e-8; exponent -= 8) size *= 1e8;
    for (; size < 1; exponent--) size *= 10;
  }
  // so many behind the point that six are significant
  let decimals = SIGNIFICANT - 1;
  if (size >= 1) while (decimals > 0 && size >= power(SIGNIFICANT - decimals)) decimals--;
  else while (size * power(decimals) < power(SIGNIFICANT - 1)) decimals++;
  let all = <u32>(size * power(decimals) + 0.5);
  if (exponent != 0 && all == 1000000) {
    all = 100000;
    exponent++;
  }
  while (decimals > 0 && all % 10 == 0) {
    all /= 10;
    decimals--;
  }
  const unit = <u32>power(decimals);
  const front = decimals < 10 ? all / unit : 0; // behind ten zeros there is nothing in front
  let count = 1;
  while (front >= <u32>power(count)) count++;
  at = whole(front, count, at);
  if (decimals > 0) {
    store<u8>(at++, 0x2e);
    at = whole(decimals < 10 ? all - front * unit : all, decimals, at);
  }
  if (exponent == 0) return at;
  store<u8>(at++, 0x65);
  if (exponent < 0) store<u8>(at++, 0x2d);
  const places = abs(exponent);
  return whole(places, places < 10 ? 1 : 2, at);
}
