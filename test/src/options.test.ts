import { expect, test } from 'vitest';
import { fitOptions, overrideFit } from '#src/solvers/index.js';

test('defaults', () => {
  expect(fitOptions.parse({})).toEqual({
    solver: 'icf',
    userWeighting: 0,
    outputPower: 0,
    scans: 4,
    tolerance: 1e-4,
    scale: true,
    rescale: false,
    shiftStep: 1e-3,
    shiftMultiplier: 2,
    maxShifts: 12,
  });
  expect(fitOptions.parse({ solver: 'fsai' })).toEqual({
    solver: 'fsai',
    userWeighting: 0.5,
    outputPower: 0,
    alpha: 0.3,
  });
});

test('overrides keep the other settings, unless they change the solver', () => {
  const icf = fitOptions.parse({ l2: 5, scans: 1, serving: 0 });
  expect(fitOptions.parse(overrideFit(icf, { density: 0.5 }))).toEqual({ ...icf, density: 0.5 });
  const fsai = fitOptions.parse(overrideFit(icf, { solver: 'fsai', alpha: 0 }));
  expect(fsai).toEqual(fitOptions.parse({ solver: 'fsai', alpha: 0, serving: 0 }));
  expect(fitOptions.safeParse(overrideFit(fsai, { density: 0.5 })).success).toBe(false);
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
  { neighbours: 20 },
  { solver: 'fsai', density: 0.1 },
  { solver: 'fsai', alpha: 2 },
  { userWeighting: -1 },
  { l2: 'none' },
])('%j is refused', options => {
  expect(fitOptions.safeParse(options).success).toBe(false);
});
