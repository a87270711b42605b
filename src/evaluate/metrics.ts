import type { Rows } from '../gramian/rows.js';
import type { Model } from '../model/model.js';
import { createScorer } from '../model/score.js';

/** Ranking quality over all users with test items, LightGCN protocol. */
export interface Metrics {
  /** Mean share of a user's test items among the first k. */
  readonly recall: number;
  /** Mean normalized discounted cumulative gain of the first k, binary relevance. */
  readonly ndcg: number;
  /** Distinct recommended items over n. */
  readonly coverage: number;
  readonly users: number;
  /** Standard errors of the means over users. */
  readonly recallError: number;
  readonly ndcgError: number;
}

/** Quality of one list. */
export interface ListMetrics {
  readonly recall: number;
  readonly ndcg: number;
}

/**
 * Recall@k = hits / |relevant| and NDCG@k = Σ_{hit at rank r} 1/log₂(r + 1) over the same sum of
 * min(k, |relevant|) hits in front, ranks from 1, for a list of at most k different items. He et al. 2020.
 */
export function listMetrics(items: Int32Array, relevant: ReadonlySet<number>, k: number): ListMetrics {
  if (relevant.size === 0) return { recall: 0, ndcg: 0 };
  let hits = 0;
  let gain = 0;
  for (let r = 0; r < items.length && r < k; r++) {
    if (!relevant.has(items[r]!)) continue;
    hits++;
    gain += 1 / Math.log2(r + 2);
  }
  let ideal = 0;
  for (let r = 0; r < Math.min(k, relevant.size); r++) ideal += 1 / Math.log2(r + 2);
  return { recall: hits / relevant.size, ndcg: gain / ideal };
}

/**
 * Recommends k items, the train items masked, to every user with test items, and compares them with the test
 * items. Rows are matched by user id; a test user without a train row gets an empty list, which counts as 0.
 */
export function evaluate(model: Model, train: Rows, test: Rows, k: number): Metrics {
  const scorer = createScorer(model);
  const recommended = new Uint8Array(model.n);
  const recall = moments();
  const ndcg = moments();
  let t = 0;
  for (let r = 0; r < test.users.length; r++) {
    const relevant = new Set(test.indices.subarray(test.indptr[r]!, test.indptr[r + 1]!));
    if (relevant.size === 0) continue;
    while (t < train.users.length && train.users[t]! < test.users[r]!) t++;
    const [from, to] = train.users[t] === test.users[r] ? [train.indptr[t]!, train.indptr[t + 1]!] : [0, 0];
    const { items } = scorer.topK(train.indices.subarray(from, to), train.values?.subarray(from, to), k);
    for (const i of items) recommended[i] = 1;
    const list = listMetrics(items, relevant, k);
    recall.add(list.recall);
    ndcg.add(list.ndcg);
  }
  const distinct = recommended.reduce((count, seen) => count + seen, 0);
  return {
    recall: recall.mean(),
    ndcg: ndcg.mean(),
    coverage: model.n === 0 ? 0 : distinct / model.n,
    users: recall.count(),
    recallError: recall.error(),
    ndcgError: ndcg.error(),
  };
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
