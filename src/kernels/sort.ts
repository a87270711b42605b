import { I32s, U64s } from './views';

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

/** Sorts the first n keys, the largest first; insertion. */
export function descending(x: U64s, n: i32): void {
  for (let i = 1; i < n; i++) {
    const v = x[i];
    let k = i;
    for (; k > 0 && x[k - 1] < v; k--) x[k] = x[k - 1];
    x[k] = v;
  }
}
