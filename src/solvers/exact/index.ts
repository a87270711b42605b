import { signedDensity, wholeRows } from '../defaults.js';
import { powerAxes, type Solver, servingAxis, weightingAxis } from '../solver.js';
import { type ExactOptions, exactOptions, keptEntries } from './options.js';
import { room, solve } from './solve.js';

/** The dense inverse of G + λI, or its exact factor, as a solver. */
export const exact = {
  options: exactOptions,
  reads: 'gramian',
  sizedBy: 'precision',
  dense: true,
  room,
  smaller: (options, _n, fits) =>
    options.precision === 'float64' && fits({ ...options, precision: 'float32' }) ? 'float32' : undefined,
  /** The rows of the inverse are cut once. */
  servingWidth: (n, options) =>
    options.form === 'inverse' ? keptEntries(n, options) : n <= wholeRows ? wholeRows : 150,
  signedFrom: signedDensity,
  inputPower: 0.2,
  space: () => ({
    l2: { low: 1 / 5, high: 5, log: true, timesL2: true },
    userWeighting: weightingAxis,
    serving: servingAxis,
    ...powerAxes,
  }),
  solve,
} as const satisfies Solver<ExactOptions>;
