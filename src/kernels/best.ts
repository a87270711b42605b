import { F64s, I32s } from './views';

/** The m best of a line so far, as a heap with the worst on top. */
@unmanaged
export class Best {
  length: i32;
  index: I32s;
  key: F64s;
}

/** Lays an empty one out in 16 + 12 m bytes of scratch. */
@inline
export function bestAt(scratch: usize, m: i32): Best {
  const best = changetype<Best>(scratch);
  best.length = 0;
  best.key = changetype<F64s>(scratch + 16);
  best.index = changetype<I32s>(scratch + 16 + ((<usize>m) << 3));
  return best;
}

/** Whether (key, i) comes after (other, k). */
@inline
export function worse(key: f64, i: i32, other: f64, k: i32): bool {
  return key < other || (key == other && i < k);
}

/** Takes (key, i) in, in place of the worst where that is worse; ties to the larger index. */
export function offer(best: Best, m: i32, key: f64, i: i32): void {
  const keys = best.key, index = best.index;
  if (best.length < m) {
    let p = best.length++;
    for (; p > 0; p = (p - 1) >> 1) {
      const up = (p - 1) >> 1;
      if (!worse(key, i, keys[up], index[up])) break;
      keys[p] = keys[up];
      index[p] = index[up];
    }
    keys[p] = key;
    index[p] = i;
    return;
  }
  if (!worse(keys[0], index[0], key, i)) return;
  let p = 0;
  for (;;) {
    let down = 2 * p + 1;
    if (down >= m) break;
    if (down + 1 < m && worse(keys[down + 1], index[down + 1], keys[down], index[down])) down++;
    if (!worse(keys[down], index[down], key, i)) break;
    keys[p] = keys[down];
    index[p] = index[down];
    p = down;
  }
  keys[p] = key;
  index[p] = i;
}
