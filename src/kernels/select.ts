import { U64s, View } from './views';

/** Moves the k largest of the first n keys to the front, in no order but for the least of them, which comes last (0 < k ≤ n). Hoare. */
export function largest<T>(x: View<T>, n: i32, k: i32): void {
  let lo = 0, hi = n - 1;
  while (lo < hi) {
    const pivot = x[(lo + hi) >>> 1];
    let i = lo, j = hi;
    while (i <= j) {
      while (x[i] > pivot) i++;
      while (x[j] < pivot) j--;
      if (i > j) break;
      const t = x[i];
      x[i++] = x[j];
      x[j--] = t;
    }
    // x[lo … j] ≥ pivot ≥ x[i … hi]
    if (k - 1 <= j) hi = j;
    else if (k - 1 >= i) lo = i;
    else return;
  }
}

/** As `largest`, for keys that all differ: no branch is taken by what a key is, half of which would be guessed wrong. Lomuto. */
export function largestDistinct(x: U64s, n: i32, k: i32): void {
  let lo = 0, hi = n - 1;
  while (lo < hi) {
    const a = x[lo], b = x[(lo + hi) >>> 1], c = x[hi];
    const at = (a < b) == (b < c) ? (lo + hi) >>> 1 : (b < a) == (a < c) ? lo : hi; // the middle one of three
    const pivot = x[at];
    x[at] = c;
    let p = lo;
    for (let i = lo; i < hi; i++) {
      const key = x[i];
      x[i] = x[p];
      x[p] = key;
      p += i32(key > pivot);
    }
    x[hi] = x[p];
    x[p] = pivot;
    // x[lo … p) > x[p] > x(p … hi]
    if (p == k - 1) return;
    if (p < k - 1) lo = p + 1;
    else hi = p - 1;
  }
}

/** The least of the first n > 0 keys. */
export function least(x: U64s, n: i32): u64 {
  let m = x[0];
  for (let e = 1; e < n; e++) m = min(m, x[e]);
  return m;
}

/** Orders by magnitude and then by smaller row: the larger key is kept first. */
@inline
export function keyOf(magnitude: f32, row: i32): u64 {
  return ((<u64>reinterpret<u32>(magnitude)) << 32) | <u64>(~(<u32>row));
}

@inline
export function rowOf(key: u64): i32 {
  return ~(<i32>key);
}
