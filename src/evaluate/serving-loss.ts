import type { Rows } from '../matrix/rows.js';
import type { Model } from '../model/model.js';
import { createScorer } from '../model/score.js';
import { listMetrics } from './metrics.js';

/** Users that are asked at most, and the length of their lists. */
const SAMPLE = 300;
const K = 20;
/** Every fifth item of a user is hidden from the scorer. */
const HIDDEN = 5;

/**
 * The share of the layers' NDCG@20 that the serving matrix loses, < 0 if it gains, where a sample of users of `rows` is given
 * four fifths of their items and is to find the others. The model knows these already: it compares two forms of one model, and
 * says nothing of its accuracy. Needs no memory but for a few numbers an item.
 */
export function servingLoss(model: Model, { users, indptr, indices, values }: Rows): number | undefined {
  if (!model.serving) return undefined;
  const scorers = [createScorer({ ...model, serving: undefined }), createScorer(model)];
  const sums = [0, 0];
  const step = Math.max(1, Math.floor(users.length / SAMPLE));
  for (let r = 0; r < users.length; r += step) {
    const [lo, hi] = [indptr[r]!, indptr[r + 1]!];
    if (hi - lo < HIDDEN) continue;
    const isHidden = (_: number, e: number): boolean => (e + r) % HIDDEN === 0;
    const isKnown = (_: number, e: number): boolean => (e + r) % HIDDEN !== 0;
    const known = indices.subarray(lo, hi).filter(isKnown);
    const relevant = new Set(indices.subarray(lo, hi).filter(isHidden));
    const weights = values?.subarray(lo, hi).filter(isKnown);
    scorers.forEach((scorer, s) => {
      sums[s]! += listMetrics(scorer.topK(known, weights, K).items, relevant, K).ndcg;
    });
  }
  return sums[0] === 0 ? undefined : 1 - sums[1]! / sums[0]!;
}
