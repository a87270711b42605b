/** A solver that reads interactions gets them from X, and is refused where there is only a Gramian. */
import { expect, it } from 'vitest';
import { z } from 'zod';
import { fitWith } from '#src/fit/fit.js';
import type { CommonOptions, Solver } from '#src/solvers/solver.js';
import { randomRows } from '../../support/rows.js';

/** Recommends with every item the items of its first user. */
const trial: Solver = {
  options: z.strictObject({}),
  reads: 'interactions',
  sizedBy: 'l2',
  room: () => ({ phases: {}, layers: 0 }),
  smaller: () => undefined,
  servingWidth: () => 2,
  space: () => ({}),
  solve({ arena, gramian: { n }, rows }) {
    const i32 = (a: Int32Array) => arena.i32(arena.copy(a, 'model'), a.length);
    const ones = (length: number) => arena.f32(arena.copy(new Float32Array(length).fill(1), 'model'), length);
    const items = rows!.indices.slice(0, rows!.indptr[1]!);
    const each = Int32Array.from({ length: n + 1 }, (_, i) => i);
    // n × 1 and 1 × n
    const encoder = {
      rows: n,
      columns: 1,
      indptr: i32(each),
      indices: i32(new Int32Array(n)),
      data: ones(n),
    };
    const indptr = i32(Int32Array.of(0, items.length));
    const decoder = { rows: 1, columns: n, indptr, indices: i32(items), data: ones(items.length) };
    return { layers: { n, encoder, decoder }, l2: 1, details: { factorEntries: 0 } };
  },
};
const options: CommonOptions = { solver: 'trial', userWeighting: 0, outputPower: 0 };
const rows = randomRows({ users: 20, items: 12, density: 0.4, seed: 3 });

it('gets them from X, and its latents may be fewer than the items', async () => {
  const input = { mode: 'implicit', rows, scale: 1 } as const;
  const { model, report } = await fitWith(trial, input, options, { threads: 1 });
  const first = [...rows.indices.subarray(0, rows.indptr[1]!)];
  expect(report.parameters).toBe(12 + first.length);
  expect([model.encoder.columns, model.decoder.rows]).toEqual([1, 1]);
  for (let i = 0; i < 12; i++) {
    const { indptr, indices } = model.serving!;
    const served = [...indices.subarray(indptr[i]!, indptr[i + 1]!)];
    expect(served).toHaveLength(2);
    expect(served.every(k => k !== i && first.includes(k))).toBe(true);
  }
});

it('is refused on a stored Gramian', async () => {
  const input = { mode: 'stored', paths: [], n: 12, scale: 1 } as const;
  await expect(fitWith(trial, input, options, { threads: 1 })).rejects.toMatchObject({
    code: 'INTERACTIONS_NEEDED',
    exitCode: 2,
    message: 'The solver trial reads the interactions, and this fit has only a stored Gramian of them.',
  });
});
