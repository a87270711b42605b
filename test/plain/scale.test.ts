import { expect, test } from 'vitest';
import { denseGramian } from '../support/dense.js';
import { columnScales } from '../support/plain/scale.js';

test('s_j = ‖G_j‖^(−1/2) of the real Gramian, 1 for an empty column', () => {
  // columns of norm 5 and 0; stored at scale 10 they are 100 times as large
  const G = [
    [300, 400, 0],
    [400, 300, 0],
    [0, 0, 0],
  ];
  const s = columnScales(denseGramian(G, 10));
  expect(s[0]).toBeCloseTo(5 ** -0.5, 14);
  expect(s[1]).toBeCloseTo(5 ** -0.5, 14);
  expect(s[2]).toBe(1);
});
