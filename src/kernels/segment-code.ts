import { F64s, I32s, View } from './views';

/*
 * A column of a segment as bytes, numbers of 7 bits a byte, lowest first, the last one below 128:
 *
 *     2 g + s, then for each entry  i − i' − 1, v
 *
 * i' is the row before (−1 at first). The value is g v where s = 0; where s = 1 the column has negative ones, and v is
 * their zigzag: 0, −1, 1, −2 … are 0, 1, 2, 3 …
 */

@inline
function put(p: usize, x: u64): usize {
  for (; x >= 128; x >>= 7) store<u8>(p++, <u8>x | 128);
  store<u8>(p++, <u8>x);
  return p;
}

@inline
function valueAt(values: usize, wide: bool, e: i32): i64 {
  return wide ? <i64>changetype<F64s>(values)[e] : <i64>changetype<I32s>(values)[e];
}

/**
 * Writes column j with `count` > 0 entries to `to`, which has room for 9 + 13 · count bytes. Returns where they end.
 * `facts`: its diagonal entry, Σ values² (exact while below 2⁵³), max |value|.
 */
export function encodeColumn(j: i32, count: i32, indices: I32s, values: usize, wide: bool, to: usize, facts: F64s): usize {
  let g: i64 = 0, signed: u64 = 0;
  let diagonal: f64 = 0, squares: f64 = 0, largest: f64 = 0;
  for (let e = 0; e < count; e++) {
    const v = valueAt(values, wide, e);
    if (v < 0) signed = 1;
    const size = abs(v);
    if (indices[e] == j) diagonal = <f64>v;
    squares += <f64>v * <f64>v;
    largest = max(largest, <f64>size);
    if (g == 1) continue;
    for (let rest = size; rest != 0; ) {
      const next = g % rest;
      g = rest;
      rest = next;
    }
  }
  facts[0] = diagonal;
  facts[1] = squares;
  facts[2] = largest;
  let p = put(to, ((<u64>g) << 1) | signed);
  for (let e = 0, last = -1; e < count; e++) {
    p = put(p, <u64>(indices[e] - last - 1));
    last = indices[e];
    const v = valueAt(values, wide, e) / g;
    p = put(p, signed ? <u64>((v << 1) ^ (v >> 63)) : <u64>v);
  }
  return p;
}

/** The end of the number at p. */
@inline
export function past(p: usize): usize {
  while (load<u8>(p) & 128) p++;
  return p + 1;
}

/** The number at p. */
export function numberAt(p: usize): u64 {
  let b = <u64>load<u8>(p);
  let x = b & 127;
  for (let shift: u64 = 7; b & 128; shift += 7) {
    b = <u64>load<u8>(++p);
    x |= (b & 127) << shift;
  }
  return x;
}

/** The next `count` entries at p of a column that begins with `head`, behind row `last`. Returns where they end. */
export function unpack(p: usize, head: u64, last: i32, count: i32, rows: I32s, values: F64s): usize {
  const g = <f64>(head >> 1);
  const signed = head & 1;
  let i = last + 1;
  for (let e = 0; e < count; e++) {
    let d = <u32>load<u8>(p++);
    if (d & 128) {
      let b = <u32>load<u8>(p++);
      d = (d & 127) | ((b & 127) << 7);
      for (let shift = 14; b & 128; shift += 7) {
        b = <u32>load<u8>(p++);
        d |= (b & 127) << shift;
      }
    }
    i += d;
    rows[e] = i++;
    let x = <u64>load<u8>(p++);
    if (x & 128) {
      let b = <u64>load<u8>(p++);
      x = (x & 127) | ((b & 127) << 7);
      for (let shift: u64 = 14; b & 128; shift += 7) {
        b = <u64>load<u8>(p++);
        x |= (b & 127) << shift;
      }
    }
    values[e] = g * <f64>(<i64>((x >> signed) ^ (0 - (x & signed))));
  }
  return p;
}
