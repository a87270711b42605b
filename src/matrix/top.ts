/** Items with their scores, best first, ties by the smaller item. */
export interface Ranked {
  readonly items: Int32Array;
  readonly scores: Float32Array;
}

/**
 * The k best of the first `count` candidates by `scores[item]`, ties by the smaller item; all of them if there
 * are fewer. Permutes `candidates`.
 */
export function topK(candidates: Int32Array, count: number, scores: Float32Array, k: number): Ranked {
  const before = (i: number, j: number) => scores[i]! > scores[j]! || (scores[i]! === scores[j]! && i < j);
  // candidates[0 … size) is a heap with the worst of the best k on top
  const size = Math.min(k, count);
  const sink = (p: number) => {
    const item = candidates[p]!;
    for (let child = 2 * p + 1; child < size; child = 2 * p + 1) {
      if (child + 1 < size && before(candidates[child]!, candidates[child + 1]!)) child++;
      if (!before(item, candidates[child]!)) break;
      candidates[p] = candidates[child]!;
      p = child;
    }
    candidates[p] = item;
  };
  for (let p = (size >> 1) - 1; p >= 0; p--) sink(p);
  for (let e = size; size > 0 && e < count; e++) {
    if (!before(candidates[e]!, candidates[0]!)) continue;
    candidates[0] = candidates[e]!;
    sink(0);
  }
  const items = candidates.slice(0, size).sort((i, j) => scores[j]! - scores[i]! || i - j);
  return { items, scores: Float32Array.from(items, i => scores[i]!) };
}
