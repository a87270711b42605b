import { wholeRows } from '../defaults.js';
import { type Axis, powerAxes, type Solver, servingAxis, weightingAxis } from '../solver.js';
import { entryBudget, type IcfOptions, icfOptions } from './options.js';
import { room, solve } from './solve.js';

const density = (n: number): Axis => ({ low: Math.min(1, 4 / n), high: Math.min(1, 64 / n), log: true });

/** SANSA by incomplete Cholesky, as a solver. */
export const icf = {
  options: icfOptions,
  reads: 'gramian',
  sizedBy: 'density',
  room,
  smaller(options, _n, fits) {
    if (!fits({ ...options, density: Number.MIN_VALUE })) return undefined;
    let [lo, hi] = [0, options.density ?? 1];
    for (let step = 0; step < 50; step++) {
      const middle = (lo + hi) / 2;
      if (fits({ ...options, density: middle || Number.MIN_VALUE })) lo = middle;
      else hi = middle;
    }
    return lo.toExponential(1);
  },
  /**
   * Seven times the entries of the layers stay within 1% of them on Gowalla; where these are more than 150 the layers serve: 150 lose 1 to
   * 40% on five of six generated catalogues of fewer items, which have more entries.
   */
  servingWidth(n, { density }) {
    if (n <= wholeRows) return wholeRows;
    const wanted = Math.round((7 * entryBudget(n, density)) / n);
    return wanted > 150 ? 0 : Math.max(20, wanted);
  },
  space: n => ({
    l2: { low: 1, high: 200, log: true },
    density: density(n), // 4 to 64 weights an item
    userWeighting: weightingAxis,
    rescale: { choices: [false, true] },
    serving: servingAxis,
    ...powerAxes,
  }),
  solve,
} as const satisfies Solver<IcfOptions>;
