/** Lists by dense layers against the scorer, which adds up entry by entry in float64: the same up to the rounding of float32. */
import { describe, expect, it } from 'vitest';
import type { CsrMatrix, Model } from '#src/model/model.js';
import { type Choice, loadRanker, rankRows } from '#src/model/rank.js';
import { createScorer } from '#src/model/score.js';
import { servingMatrix } from '#src/model/serving.js';
import { build, type Dense } from '../../support/dense.js';
import { seeded } from '../../support/random.js';
import { randomRows } from '../../support/rows.js';
import { arenaWithThreads } from '../../support/threads.js';

const { arena, one, three } = arenaWithThreads(64 << 20);
const [n, rank] = [150, 70];

/** Rows with all entries, or none. */
function csr(A: Dense): CsrMatrix {
  const kept = A.map(row => row.flatMap((x, j) => (x === 0 ? [] : [[j, x] as const])));
  const indptr = [0];
  for (const row of kept) indptr.push(indptr.at(-1)! + row.length);
  return {
    rows: A.length,
    columns: A[0]!.length,
    indptr: Int32Array.from(indptr),
    indices: Int32Array.from(kept.flat(), ([j]) => j),
    data: Float32Array.from(kept.flat(), ([, x]) => x),
  };
}

const random = seeded(3);
// Items 5, 18, … have no vector, as if nobody had them.
const A = build(n, rank, i => (i % 13 === 5 ? 0 : random() - 0.5));
const model: Model = { n, encoder: csr(A), decoder: csr(build(rank, n, (l, i) => A[i]![l]!)) };
// More items than the model knows, and users without any.
const rows = randomRows({ users: 200, items: n + 10, density: 0.06, seed: 4, most: 3 });
const popular = Int32Array.from({ length: n }, (_, p) => (7 * p + 1) % n).filter(i => i % 13 !== 5);
const allowed = Uint8Array.from({ length: n }, (_, i) => (i % 3 === 0 ? 0 : 1));

/** The lists of all rows; twice, because the scratch must be as it was. */
function ranked(threads: typeof one, k: number, choice: Choice) {
  const mark = arena.mark();
  const ranker = loadRanker({ arena, threads }, model, k);
  expect(ranker.dense).not.toBe(0);
  const [first, second] = [0, 1].map(() => {
    const { lengths, items, scores, fallbacks } = rankRows(ranker, rows, choice);
    return Array.from(lengths, (length, r) => ({
      items: Array.from(items.subarray(r * k, r * k + length)),
      scores: Array.from(scores.subarray(r * k, r * k + length)),
      scored: length - fallbacks[r]!,
    }));
  });
  arena.release(mark);
  expect(second).toEqual(first);
  return first!;
}

describe.each<[string, number, Choice]>([
  ['alone', 10, {}],
  ['longer than the catalogue', 200, {}],
  ['of allowed items', 10, { allowed }],
  ['with own items', 10, { keepOwn: true }],
  ['filled up', 145, { allowed, popular }],
  ['of no length', 0, {}],
])('lists %s', (_, k, choice) => {
  it('are those of the scorer', () => {
    const lists = ranked(one, k, choice);
    const scorer = createScorer(model);
    rows.users.forEach((_, r) => {
      const [lo, hi] = [rows.indptr[r]!, rows.indptr[r + 1]!];
      const own = rows.indices.subarray(lo, hi);
      const values = rows.values?.subarray(lo, hi);
      const all = scorer.topK(own, values, n, { exclude: !choice.keepOwn });
      const exact = new Map(Array.from(all.items, (i, p) => [i, all.scores[p]!]));
      const best = Array.from(all.items).filter(i => !choice.allowed || choice.allowed[i]);
      const { items: found, scores, scored } = lists[r]!;
      expect(scored).toBe(Math.min(k, best.length));
      expect(new Set(found).size).toBe(found.length);
      for (let p = 0; p < scored; p++) {
        expect(Math.abs(scores[p]! - exact.get(best[p]!)!)).toBeLessThan(1e-4);
        expect(Math.abs(scores[p]! - exact.get(found[p]!)!)).toBeLessThan(1e-4);
      }
      const others = popular.filter(
        i => allowed[i] && !own.includes(i) && !found.slice(0, scored).includes(i),
      );
      expect(found.slice(scored)).toEqual(choice.popular ? [...others].slice(0, k - scored) : []);
    });
  });

  it('are the same for any number of threads', () => {
    expect(ranked(three, k, choice)).toEqual(ranked(one, k, choice));
  });
});

it.each([false, true])('the serving matrix has the largest entries of the product (signed: %s)', signed => {
  const width = 20;
  const mark = arena.mark();
  const { indptr, indices, data } = servingMatrix(arena, three, model, width, signed);
  for (let i = 0; i < n; i++) {
    const scores = A.map((a, j) => (j === i ? 0 : a.reduce((sum, x, l) => sum + x * A[i]![l]!, 0)));
    const size = (x: number) => (signed ? Math.abs(x) : x);
    const best = scores.map(size).filter(x => x > 0);
    best.sort((x, y) => y - x);
    const [lo, hi] = [indptr[i]!, indptr[i + 1]!];
    expect(hi - lo).toBe(Math.min(width, best.length));
    const found = Array.from(indices.subarray(lo, hi));
    expect(found).toEqual([...new Set(found)].sort((x, y) => x - y));
    found.forEach((j, e) => {
      expect(Math.abs(data[lo + e]! - scores[j]!)).toBeLessThan(1e-4);
      expect(size(scores[j]!)).toBeGreaterThan(best[hi - lo - 1]! - 1e-4);
    });
  }
  arena.release(mark);
});
