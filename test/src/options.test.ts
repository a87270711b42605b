import { expect, test } from 'vitest';
import { fitOptions } from '#src/options.js';

test('defaults', () => {
  expect(fitOptions.parse({})).toEqual({
    solver: 'icf',
    l2: 20,
    density: 5e-4,
    scans: 4,
    tolerance: 1e-4,
    scale: true,
    rescale: false,
    shiftStep: 1e-3,
    shiftMultiplier: 2,
    maxShifts: 12,
  });
});

test.each([
  { l2: 0 },
  { l2: -1 },
  { density: 0 },
  { density: 1.01 },
  { scans: -1 },
  { scans: 1.5 },
  { maxShifts: -1 },
  { shiftMultiplier: 0.5 },
  { solver: 'ease' },
  { lambda: 3 },
])('%j is refused', options => {
  expect(fitOptions.safeParse(options).success).toBe(false);
});
