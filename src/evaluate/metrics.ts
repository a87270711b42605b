import { hashed } from './hashed.js';

/** Measures that are averaged over users; each lies between 0 and 1 but novelty, which is in bits. */
export const measures = ['recall', 'ndcg', 'hitRate', 'mrr', 'novelty'] as const;
export type Measure = (typeof measures)[number];

/**
 * Ranking quality over all users with test items: the mean of each measure (see `listMetrics` and `Catalogue`) and its
 * standard error over users.
 */
export interface Metrics extends Readonly<Record<Measure | `${Measure}Error`, number>> {
  /** Distinct recommended items over n. */
  readonly coverage: number;
  readonly users: number;
  /** 95% interval of each mean, by the percentiles of a bootstrap over users, when one was asked for. */
  readonly intervals?: Readonly<Record<Measure, readonly [low: number, high: number]>> | undefined;
}

/** Quality of one list. */
export type ListMetrics = Readonly<Record<'recall' | 'ndcg' | 'hitRate' | 'mrr', number>>;

/**
 * The first k of a list of different items against the relevant ones, ranks r from 1: recall = hits / |relevant|;
 * ndcg = Σ_{hit at r} 1/log₂(r + 1) over the same sum of min(k, |relevant|) hits in front, He et al. 2020; hitRate = 1
 * if there is a hit; mrr = 1/r of the first hit.
 */
export function listMetrics(items: Int32Array, relevant: ReadonlySet<number>, k: number): ListMetrics {
  if (relevant.size === 0) return { recall: 0, ndcg: 0, hitRate: 0, mrr: 0 };
  let hits = 0;
  let gain = 0;
  let mrr = 0;
  for (let r = 0; r < items.length && r < k; r++) {
    if (!relevant.has(items[r]!)) continue;
    if (hits++ === 0) mrr = 1 / (r + 1);
    gain += 1 / Math.log2(r + 2);
  }
  let ideal = 0;
  for (let r = 0; r < Math.min(k, relevant.size); r++) ideal += 1 / Math.log2(r + 2);
  return { recall: hits / relevant.size, ndcg: gain / ideal, hitRate: hits > 0 ? 1 : 0, mrr };
}

/** The items that lists are made of, with how popular each is among the users of the train set. */
export interface Catalogue {
  /** Train users that have item i, by item; its length is n. */
  readonly usersOf: ArrayLike<number>;
  /** Train users. */
  readonly users: number;
}

/** Number of draws of users for the intervals, and their seed. */
export interface Bootstrap {
  readonly draws: number;
  readonly seed: number;
}

/** Adds up the quality of lists, wherever they come from. */
export interface Tally {
  /** The list of one user, best first, and the items it should have found: not none. */
  add(items: Int32Array, relevant: ReadonlySet<number>): void;
  metrics(): Metrics;
}

/**
 * A tally of lists of k items. The novelty of a list is the mean self-information −log₂(p_i) of its items, p_i the share
 * of train users that have item i (of at least one): how many bits of surprise a recommendation is. Users with an
 * empty list have no novelty and do not count in its mean.
 */
export function createTally(k: number, { usersOf, users }: Catalogue, bootstrap?: Bootstrap): Tally {
  const n = usersOf.length;
  const recommended = new Uint8Array(n);
  const means = {
    recall: moments(),
    ndcg: moments(),
    hitRate: moments(),
    mrr: moments(),
    novelty: moments(),
  };
  /** The measures of each user in turn, for the bootstrap. */
  const values: number[] = [];

  const noveltyOf = (items: Int32Array): number => {
    let bits = 0;
    for (const i of items) bits += Math.log2(users / Math.max(1, usersOf[i]!));
    return bits / items.length;
  };

  return {
    add(list, relevant) {
      const items = list.subarray(0, k);
      for (const i of items) recommended[i] = 1;
      const found = { ...listMetrics(items, relevant, k), novelty: noveltyOf(items) };
      for (const measure of measures) {
        if (!Number.isNaN(found[measure])) means[measure].add(found[measure]);
        if (bootstrap) values.push(found[measure]);
      }
    },
    metrics() {
      const each = measures.flatMap(m => [
        [m, means[m].mean()],
        [`${m}Error`, means[m].error()],
      ]);
      const distinct = recommended.reduce((count, seen) => count + seen, 0);
      return {
        ...(Object.fromEntries(each) as Record<Measure | `${Measure}Error`, number>),
        coverage: n === 0 ? 0 : distinct / n,
        users: means.recall.count(),
        ...(bootstrap && { intervals: intervalsOf(values, bootstrap) }),
      };
    },
  };
}

/** 95% intervals of the means of `values`, which holds every measure of the first user, then of the second … */
function intervalsOf(
  values: readonly number[],
  { draws, seed }: Bootstrap,
): NonNullable<Metrics['intervals']> {
  const width = measures.length;
  const users = values.length / width;
  const drawn = measures.map(() => new Float64Array(draws));
  for (let d = 0; d < draws; d++) {
    const sums = new Float64Array(width);
    const counts = new Float64Array(width);
    for (let r = 0; r < users; r++) {
      const at = width * Math.floor(hashed(seed, d, r) * users);
      for (let m = 0; m < width; m++) {
        const value = values[at + m]!;
        if (Number.isNaN(value)) continue;
        sums[m]! += value;
        counts[m]!++;
      }
    }
    for (let m = 0; m < width; m++) drawn[m]![d] = counts[m]! === 0 ? 0 : sums[m]! / counts[m]!;
  }
  const interval = (means: Float64Array): readonly [number, number] => {
    means.sort();
    const at = (share: number): number => means[Math.round(share * (draws - 1))] ?? 0;
    return [at(0.025), at(0.975)];
  };
  return Object.fromEntries(measures.map((name, m) => [name, interval(drawn[m]!)])) as never;
}

/** Mean and its standard error, by Welford's recurrence; 0 where there are too few values. */
function moments() {
  let n = 0;
  let mean = 0;
  let squares = 0;
  return {
    add(x: number): void {
      const delta = x - mean;
      mean += delta / ++n;
      squares += delta * (x - mean);
    },
    mean: () => mean,
    count: () => n,
    error: () => (n > 1 ? Math.sqrt(squares / (n - 1) / n) : 0),
  };
}
