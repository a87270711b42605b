/** Batch ranking gives the lists of the plain scorer, whatever the number of threads. */
import { expect, it } from 'vitest';
import { fit } from '#src/fit/fit.js';
import { loadRanker, rankRows } from '#src/model/rank.js';
import { createScorer } from '#src/model/score.js';
import { Arena } from '#src/runtime/arena.js';
import { Threads } from '#src/runtime/threads.js';
import { fitOptions } from '#src/solvers/index.js';
import { randomRows } from '../../support/rows.js';

it.each([1, 3])('on %i threads', async threadCount => {
  const k = 7;
  // The last one reaches far more items than are gathered before the best are chosen among them.
  for (const { most, items, density } of [
    { most: 1, items: 120, density: 0.05 },
    { most: 4, items: 120, density: 0.05 },
    { most: 1, items: 400, density: 0.5 },
  ]) {
    const rows = randomRows({ users: 300, items, density: 0.06, seed: 5, most });
    const input = { mode: 'implicit', rows, scale: 1 } as const;
    const { model } = await fit(input, fitOptions.parse({ density, l2: 1 }), { threads: 1 });
    const scorer = createScorer(model);
    const arena = new Arena();
    const threads = new Threads(arena, threadCount);
    const lists = rankRows(loadRanker({ arena, threads }, model, k), rows);
    for (let r = 0; r < rows.users.length; r++) {
      const [from, to] = [rows.indptr[r]!, rows.indptr[r + 1]!];
      const own = rows.indices.subarray(from, to);
      const best = scorer.topK(own, rows.values?.subarray(from, to), k);
      const at = r * k;
      expect([...lists.items.subarray(at, at + lists.lengths[r]!)]).toEqual([...best.items]);
      lists.scores.subarray(at, at + lists.lengths[r]!).forEach((s, e) => {
        expect(Math.abs(s - best.scores[e]!)).toBeLessThan(1e-6);
      });
    }
    await threads.close();
  }
});
