import { defaultWidth, signedDensity } from '../defaults.js';
import { powerAxes, type Solver, servingAxis, weightingAxis } from '../solver.js';
import { type FsaiOptions, fsaiOptions, neighboursOf } from './options.js';
import { ranged } from './ranges.js';
import { room, solve } from './solve.js';

/** SANSA by a factorized sparse approximate inverse, as a solver. */
export const fsai = {
  options: fsaiOptions,
  reads: 'gramian',
  sizedBy: 'neighbours',
  room,
  smaller(options, n, fits) {
    let neighbours = neighboursOf(n, options, 0);
    while (neighbours > 0 && !fits({ ...options, neighbours })) neighbours--;
    return neighbours > 0 ? String(neighbours) : undefined;
  },
  servingWidth: (n, options, { signed, memoryBytes, density }) =>
    defaultWidth(n, neighboursOf(n, options, memoryBytes, density?.()), signed, memoryBytes),
  pruning: (n, options, memoryBytes) => ({
    alpha: options.alpha,
    least: 5 * neighboursOf(n, options, memoryBytes),
  }),
  signedFrom: signedDensity,
  inputPower: 0.2,
  space: () => ({
    l2: { low: 1 / 5, high: 5, log: true, timesL2: true },
    neighbours: { choices: [10, 20, 32, 64], shared: true },
    alpha: { choices: [0.1, 0.3, 0.5, 0.7, 0.9], shared: true },
    userWeighting: { ...weightingAxis, shared: true },
    serving: servingAxis,
    ...powerAxes,
  }),
  solve,
  ranged,
} as const satisfies Solver<FsaiOptions>;
