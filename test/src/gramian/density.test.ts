import { expect, it } from 'vitest';
import { densityOfRows, sampledItems } from '#src/gramian/density.js';

it('counts items that occur together', () => {
  // pairs 0–1 and 1–2, item 3 alone, item 4 in no row: 2 + 3 + 2 + 1 entries of 25
  const rows = {
    n: 5,
    users: Int32Array.of(0, 1, 2),
    indptr: Int32Array.of(0, 2, 4, 5),
    indices: Int32Array.of(0, 1, 1, 2, 3),
    values: undefined,
  };
  expect(densityOfRows(rows)).toBeCloseTo(8 / 25, 12);
  expect(new Set(sampledItems(10_000)).size).toBe(256);
});
