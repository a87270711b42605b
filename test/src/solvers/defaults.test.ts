import { expect, it } from 'vitest';
import { fit } from '#src/fit/fit.js';
import type { Rows } from '#src/matrix/rows.js';
import { defaultNeighbours } from '#src/solvers/defaults.js';
import { fitOptions } from '#src/solvers/index.js';

it('where the Gramian has few entries an item there are 20 neighbours', () => {
  expect(defaultNeighbours(3000, 2 ** 30, 255)).toBe(20);
  expect(defaultNeighbours(3000, 2 ** 30, 256)).toBe(64);
  expect(defaultNeighbours(2 ** 15, 2 ** 30, 256)).toBe(32);
});

/** 1,200 items on a circle: user u has item u and the `width` − 1 after it. */
function circle(width: number): Rows {
  const [users, items] = [1200, 1200];
  const indptr = Int32Array.from({ length: users + 1 }, (_, u) => u * width);
  const indices = Int32Array.from({ length: users * width }, (_, k) => k);
  for (let u = 0; u < users; u++) {
    const row = Array.from({ length: width }, (_, k) => (u + k) % items);
    indices.set(
      row.sort((a, b) => a - b),
      u * width,
    );
  }
  return {
    n: items,
    users: Int32Array.from({ length: users }, (_, u) => u),
    indptr,
    indices,
    values: undefined,
  };
}

it.each([
  [100, 20, 0],
  [140, 64, 0.2],
])(
  'users of %d items give %d neighbours and weigh items by the power %d',
  async (width, neighbours, power) => {
    const input = { mode: 'implicit', rows: circle(width), scale: 1 } as const;
    const { report } = await fit(input, fitOptions.parse({ solver: 'fsai' }), { threads: 1 });
    expect([report.neighbours, report.inputPower]).toEqual([neighbours, power]);
  },
);
