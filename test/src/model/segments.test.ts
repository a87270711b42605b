import { expect, test } from 'vitest';
import { fit } from '#src/fit/fit.js';
import { segmentsOf } from '#src/model/segments.js';
import { withoutItems } from '#src/model/without.js';
import { fitOptions } from '#src/solvers/index.js';
import { fromCsr } from '../../support/dense.js';
import { randomRows } from '../../support/rows.js';

const rows = randomRows({ users: 400, items: 40, density: 0.1, seed: 3 });
const fitted = (solver: string, rank: number) =>
  fit({ mode: 'implicit', rows, scale: 1 }, fitOptions.parse({ solver, rank, steps: 3 }), { threads: 1 });

test('dimensions are the most popular items, and list their largest entries', async () => {
  const { model } = await fitted('compressed-elsa', 12);
  const counts = new Int32Array(40);
  for (const i of rows.indices) counts[i]!++;
  const popular = [...counts.keys()].sort((i, j) => counts[j]! - counts[i]! || i - j);
  const found = segmentsOf(model, 5)!;
  expect(found.map(s => s.dimension)).toEqual(popular.slice(0, 12));
  const A = fromCsr(model.encoder);
  found.forEach(({ items, scores, size }, l) => {
    const column = A.map((row, i) => ({ i, a: row[l]! })).filter(({ a }) => a !== 0);
    const best = column.sort((x, y) => y.a - x.a || x.i - y.i).slice(0, 5);
    expect(size).toBe(column.length);
    expect([...items]).toEqual(best.map(({ i }) => i));
    expect([...scores]).toEqual(best.map(({ a }) => a));
  });
});

test('a dimension whose item has left has no name; those behind it keep theirs', async () => {
  const { model } = await fitted('compressed-elsa', 12);
  const [first, ...others] = model.dimensions!;
  const left = segmentsOf(withoutItems(model, Int32Array.of(first!)), 5)!;
  expect(left.map(s => s.dimension)).toEqual([-1, ...others.map(i => (i > first! ? i - 1 : i))]);
});

test('latents that are no items have no segments', async () => {
  expect(segmentsOf((await fitted('elsa', 8)).model, 5)).toBeUndefined();
});
