import { F64s, I32s, View } from './views';

/*
 * A column of a segment as bytes (Stream VByte, Lemire, Kurz & Rupp 2018). First a number of 7 bits a byte, lowest first,
 * the last one below 128:
 *
 *     4 g + 2 wide + signed
 *
 * Then two bytes for each four entries, which say how long their numbers are: two bits a number, 0 … 3 for 1 … 4 bytes,
 * first those of the rows, then those of the values. Then for each four entries the rows' numbers i − i' − 1, where i' is
 * the row before (−1 at first), and the values' numbers v. The last group is filled up with zeros.
 *
 * The value is g v; where `signed` says that the column has negative ones, v is their zigzag: 0, −1, 1, −2 … are 0, 1, 2,
 * 3 … Where `wide` says that numbers do not fit 32 bits, v takes 8 bytes as a float64, with its sign.
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

// bytes of a number, less one
@inline
function lengthCode(x: u32): i32 {
  return x < 1 << 16 ? i32(x >= 1 << 8) : 2 + i32(x >= 1 << 24);
}

/**
 * Writes column j with `count` > 0 entries to `to`, which has room for 9 + 50 ⌈count / 4⌉ + 3 bytes. Returns where they
 * end. `facts`: its diagonal entry, Σ values² (exact while below 2⁵³), max |value|.
 */
export function encodeColumn(j: i32, count: i32, indices: I32s, values: usize, wide: bool, to: usize, facts: F64s): usize {
  let g: i64 = 0, signed: u64 = 0, most: i64 = 0;
  let diagonal: f64 = 0, squares: f64 = 0;
  for (let e = 0; e < count; e++) {
    const v = valueAt(values, wide, e);
    if (v < 0) signed = 1;
    const size = abs(v);
    if (indices[e] == j) diagonal = <f64>v;
    squares += <f64>v * <f64>v;
    most = max(most, size);
    if (g == 1) continue;
    for (let rest = size; rest != 0; ) {
      const next = g % rest;
      g = rest;
      rest = next;
    }
  }
  facts[0] = diagonal;
  facts[1] = squares;
  facts[2] = <f64>most;
  const long = u64(most / g >= 1 << 31);
  let c = put(to, ((<u64>g) << 2) | (long << 1) | signed);
  const groups = (count + 3) >> 2;
  let p = c + 2 * <usize>groups;
  for (let e = 0, last = -1; e < 4 * groups; e += 4, c += 2) {
    let codes = 0;
    for (let k = 0; k < 4; k++) {
      const d = e + k < count ? <u32>(indices[e + k] - last - 1) : 0;
      if (e + k < count) last = indices[e + k];
      const code = lengthCode(d);
      codes |= code << (2 * k);
      store<u32>(p, d);
      p += code + 1;
    }
    store<u8>(c, <u8>codes);
    codes = 0;
    for (let k = 0; k < 4; k++) {
      const v = e + k < count ? valueAt(values, wide, e + k) / g : 0;
      if (long) {
        store<f64>(p, <f64>v);
        p += 8;
        continue;
      }
      const x = <u32>(signed ? (v << 1) ^ (v >> 63) : v);
      const code = lengthCode(x);
      codes |= code << (2 * k);
      store<u32>(p, x);
      p += code + 1;
    }
    store<u8>(c, <u8>codes, 1);
  }
  return p;
}

/** Fills the tables of `unpack`, 256 · 17 bytes: for each byte of lengths a shuffle, then their sum. */
export function lengthTables(to: usize): void {
  for (let code = 0; code < 256; code++) {
    let from = 0;
    for (let k = 0; k < 4; k++) {
      const length = ((code >> (2 * k)) & 3) + 1;
      // a byte from behind the register is 0
      for (let b = 0; b < 4; b++) store<u8>(to + ((code << 4) | (4 * k + b)), <u8>(b < length ? from + b : 255));
      from += length;
    }
    store<u8>(to + (256 << 4) + code, <u8>from);
  }
}

@inline
function numberAt(p: usize): u64 {
  let b = <u64>load<u8>(p);
  let x = b & 127;
  for (let shift: u64 = 7; b & 128; shift += 7) {
    b = <u64>load<u8>(++p);
    x |= (b & 127) << shift;
  }
  return x;
}

@inline
function past(p: usize): usize {
  while (load<u8>(p) & 128) p++;
  return p + 1;
}

// four numbers of the lengths `code` at p
@inline
function four(tables: usize, code: usize, p: usize): v128 {
  return i8x16.swizzle(v128.load(p), v128.load(tables + (code << 4)));
}

@inline
function bytesOf(tables: usize, code: usize): usize {
  return <usize>load<u8>(tables + (256 << 4) + code);
}

// the upper two lanes in the place of the lower ones
@inline
function upper(x: v128): v128 {
  return v128.shuffle<i64>(x, x, 1, 1);
}

// four rows, from the last one and the gaps to each
@inline
function rowsAfter(last: v128, gaps: v128, zero: v128): v128 {
  const sums = i32x4.add(gaps, v128.shuffle<i32>(zero, gaps, 0, 4, 5, 6));
  return i32x4.add(i32x4.add(sums, v128.shuffle<i32>(zero, sums, 0, 1, 4, 5)), last);
}

@inline
function groups(
  tables: usize, c: usize, count: i32, limit: i32, rows: usize, values: usize, head: u64, wide: bool, signed: bool,
): i32 {
  const zero = i32x4.splat(0), one = i32x4.splat(1);
  const g = f64x2.splat(<f64>(head >> 2));
  let p = c + (<usize>((count + 3) >> 2) << 1);
  let last = i32x4.splat(-1);
  for (let e = 0; e < count; e += 4, c += 2, rows += 16, values += 32) {
    if (i32x4.extract_lane(last, 0) >= limit) return e;
    const a = <usize>load<u8>(c), b = <usize>load<u8>(c, 1);
    const d = rowsAfter(last, i32x4.add(four(tables, a, p), one), zero);
    v128.store(rows, d);
    last = v128.shuffle<i32>(d, d, 3, 3, 3, 3);
    p += bytesOf(tables, a);
    if (wide) {
      v128.store(values, f64x2.mul(g, v128.load(p)));
      v128.store(values, f64x2.mul(g, v128.load(p, 16)), 16);
      p += 32;
      continue;
    }
    let x = four(tables, b, p);
    p += bytesOf(tables, b);
    if (signed) x = v128.xor(i32x4.shr_u(x, 1), i32x4.neg(v128.and(x, one)));
    v128.store(values, f64x2.mul(g, f64x2.convert_low_i32x4_s(x)));
    v128.store(values, f64x2.mul(g, f64x2.convert_low_i32x4_s(upper(x))), 16);
  }
  return count;
}

/**
 * The entries of the column at p, up to all `count`: at least those of the rows up to `limit`. Returns how many. `rows` and
 * `values` have room for 3 more. Reads up to 16 bytes behind the column. `tables`: see `lengthTables`.
 */
export function unpack(tables: usize, p: usize, count: i32, limit: i32, rows: I32s, values: F64s): i32 {
  const head = numberAt(p);
  const c = past(p), r = changetype<usize>(rows), v = changetype<usize>(values);
  if (head & 2) return groups(tables, c, count, limit, r, v, head, true, false);
  if (head & 1) return groups(tables, c, count, limit, r, v, head, false, true);
  return groups(tables, c, count, limit, r, v, head, false, false);
}

@inline
function behind(place: I32s, row: i32, value: i32, j: i32, within: bool, to: usize): usize {
  const i = place[row];
  store<i32>(to, i | value);
  return to + (<usize>(within & (i > j)) << 2);
}

/**
 * Of the column at p, as `unpack` reads it, the entries of a position behind j: `position | value << shift`, in order of
 * rows, with one written ahead. Returns how many, or −1 where the column is of the kinds `wide` or `signed`. Values and
 * positions fit a word. Reads up to 3 entries behind `place`.
 */
export function unpackBehind(
  tables: usize, p: usize, count: i32, limit: i32, place: I32s, j: i32, shift: i32, words: I32s,
): i32 {
  const head = numberAt(p);
  if (head & 3) return -1;
  const g = i32x4.splat(<i32>(head >> 2));
  const zero = i32x4.splat(0), one = i32x4.splat(1);
  let c = past(p);
  p = c + (<usize>((count + 3) >> 2) << 1);
  let to = changetype<usize>(words);
  let last = i32x4.splat(-1);
  for (let e = 0; e < count && i32x4.extract_lane(last, 0) < limit; e += 4, c += 2) {
    const a = <usize>load<u8>(c), b = <usize>load<u8>(c, 1);
    const d = rowsAfter(last, i32x4.add(four(tables, a, p), one), zero);
    last = v128.shuffle<i32>(d, d, 3, 3, 3, 3);
    p += bytesOf(tables, a);
    const x = i32x4.shl(i32x4.mul(four(tables, b, p), g), shift);
    p += bytesOf(tables, b);
    to = behind(place, i32x4.extract_lane(d, 0), i32x4.extract_lane(x, 0), j, true, to);
    to = behind(place, i32x4.extract_lane(d, 1), i32x4.extract_lane(x, 1), j, e + 1 < count, to);
    to = behind(place, i32x4.extract_lane(d, 2), i32x4.extract_lane(x, 2), j, e + 2 < count, to);
    to = behind(place, i32x4.extract_lane(d, 3), i32x4.extract_lane(x, 3), j, e + 3 < count, to);
  }
  return <i32>((to - changetype<usize>(words)) >> 2);
}
