/** The differences between the lists that two models make for the same users. */
export interface ListDifference {
  readonly k: number;
  readonly users: number;
  /** Share of users whose list changed at all. */
  readonly changed: number;
  /** Mean share of a list that is in the other one too. */
  readonly overlap: number;
  /** Mean of Spearman's correlation of the places of all items of both lists; an item that a list lacks is in place k + 1. */
  readonly rankCorrelation: number;
  /** Distinct recommended items of each model over its items. */
  readonly coverage: readonly [before: number, after: number];
}

/** Adds up the differences of pairs of lists of at most k items, of models of so many items. */
export function createComparison(k: number, items: readonly [number, number]) {
  const seen = [new Set<number>(), new Set<number>()] as const;
  let [users, changed, overlap, correlation] = [0, 0, 0, 0];
  return {
    add(a: Int32Array, b: Int32Array): void {
      users++;
      for (const i of a) seen[0].add(i);
      for (const i of b) seen[1].add(i);
      if (a.length !== b.length || a.some((item, r) => item !== b[r])) changed++;
      const other = new Set(b);
      const longest = Math.max(a.length, b.length);
      overlap += longest === 0 ? 1 : a.filter(item => other.has(item)).length / longest;
      correlation += spearman(a, b, k);
    },
    result(): ListDifference {
      const mean = (sum: number): number => (users === 0 ? 0 : sum / users);
      const coverage = [0, 1].map(m => seen[m]!.size / Math.max(1, items[m]!)) as [number, number];
      const means = { changed: mean(changed), overlap: mean(overlap), rankCorrelation: mean(correlation) };
      return { k, users, ...means, coverage };
    },
  };
}

/** Correlation of the places of the items of both lists, −1 … 1. */
function spearman(a: Int32Array, b: Int32Array, k: number): number {
  const items = [...new Set([...a, ...b])];
  const [x, y] = [a, b].map(list => {
    const places = new Map(Array.from(list, (item, r) => [item, r + 1]));
    return items.map(item => places.get(item) ?? k + 1);
  }) as [number[], number[]];
  if (x.every((place, r) => place === y[r])) return 1;
  const mean = (z: number[]): number => z.reduce((sum, v) => sum + v, 0) / z.length;
  const [mx, my] = [mean(x), mean(y)];
  let [xy, xx, yy] = [0, 0, 0];
  for (let r = 0; r < x.length; r++) {
    xy += (x[r]! - mx) * (y[r]! - my);
    xx += (x[r]! - mx) ** 2;
    yy += (y[r]! - my) ** 2;
  }
  return xx === 0 || yy === 0 ? 0 : xy / Math.sqrt(xx * yy);
}
