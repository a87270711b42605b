import { from, I32s, U64s } from './views';

/** Sorts the first n numbers ascending; Shell's sort, which is insertion sort for the short lists it mostly meets. */
export function ascending(x: I32s, n: i32): void {
  let gap = 1;
  while (gap < n / 3) gap = 3 * gap + 1;
  for (; gap > 0; gap /= 3) {
    for (let i = gap; i < n; i++) {
      const v = x[i];
      let k = i;
      for (; k >= gap && x[k - gap] > v; k -= gap) x[k] = x[k - gap];
      x[k] = v;
    }
  }
}

/** How many of the first n numbers are below v: where v goes in their order, if they differ. */
export function below(x: I32s, n: i32, v: i32): i32 {
  const four = i32x4.splat(v);
  let counts = i32x4.splat(0);
  const whole = n & ~3;
  for (let k = 0; k < whole; k += 4) counts = i32x4.sub(counts, i32x4.lt_s(v128.load(changetype<usize>(from(x, k))), four));
  const pairs = i32x4.add(counts, v128.shuffle<i32>(counts, counts, 2, 3, 0, 1));
  let count = i32x4.extract_lane(pairs, 0) + i32x4.extract_lane(pairs, 1);
  for (let k = whole; k < n; k++) count += i32(x[k] < v);
  return count;
}

/** Sorts the first n keys, the largest first; insertion. */
export function descending(x: U64s, n: i32): void {
  for (let i = 1; i < n; i++) {
    const v = x[i];
    let k = i;
    for (; k > 0 && x[k - 1] < v; k--) x[k] = x[k - 1];
    x[k] = v;
  }
}
