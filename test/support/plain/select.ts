/** The k-th largest (1 ≤ k ≤ length) of the first `length` values, by Hoare's quickselect; permutes them. */
export function kthLargest(x: Float32Array, length: number, k: number): number {
  let lo = 0;
  let hi = length - 1;
  while (lo < hi) {
    const pivot = x[(lo + hi) >> 1]!;
    let i = lo;
    let j = hi;
    while (i <= j) {
      while (x[i]! > pivot) i++;
      while (x[j]! < pivot) j--;
      if (i > j) break;
      const t = x[i]!;
      x[i++] = x[j]!;
      x[j--] = t;
    }
    // x[lo … j] ≥ pivot ≥ x[i … hi], and what lies between equals it
    if (k - 1 <= j) hi = j;
    else if (k - 1 >= i) lo = i;
    else break;
  }
  return x[k - 1]!;
}
