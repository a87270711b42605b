import { availableParallelism } from 'node:os';
import { type Rows, rowsOfUsers } from '../gramian/rows.js';
import { Arena } from '../kernels.js';
import type { Model } from '../model/model.js';
import { loadRanker, rankRows } from '../model/rank.js';
import { Threads } from '../threads.js';

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

/** Users ranked at a time. */
const batchRows = 8192;

/**
 * Recommends k items, the train items masked, to every user with test items, and compares them with the test
 * items. Rows are matched by user id; a test user without a train row gets an empty list, which counts as 0.
 * Test items ≥ n, which the model does not know, are items that it misses.
 */
export async function evaluate(
  model: Model,
  train: Rows,
  test: Rows,
  k: number,
  resources: { readonly threads?: number | undefined; readonly memoryBytes?: number | undefined } = {},
): Promise<Metrics> {
  const arena = new Arena(resources.memoryBytes);
  const threads = new Threads(arena, resources.threads ?? availableParallelism());
  const recommended = new Uint8Array(model.n);
  const recall = moments();
  const ndcg = moments();
  try {
    const ranker = loadRanker(arena, model);
    for (let first = 0; first < test.users.length; first += batchRows) {
      const last = Math.min(test.users.length, first + batchRows);
      const users = test.users.subarray(first, last);
      const lists = rankRows(arena, threads, ranker, rowsOfUsers(train, users), k);
      for (let r = first; r < last; r++) {
        const relevant = new Set(test.indices.subarray(test.indptr[r]!, test.indptr[r + 1]!));
        if (relevant.size === 0) continue;
        const at = (r - first) * k;
        const items = lists.items.subarray(at, at + lists.lengths[r - first]!);
        for (const i of items) recommended[i] = 1;
        const list = listMetrics(items, relevant, k);
        recall.add(list.recall);
        ndcg.add(list.ndcg);
      }
    }
  } finally {
    await threads.close();
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
