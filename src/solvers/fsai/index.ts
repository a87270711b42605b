import { type Solver, servingAxis, weightingAxis } from '../solver.js';
import { type FsaiOptions, fsaiOptions, neighboursOf } from './options.js';
import { room, solve } from './solve.js';

/** SANSA by a factorized sparse approximate inverse, as a solver. */
export const fsai = {
  options: fsaiOptions,
  reads: 'gramian',
  sizedBy: 'neighbours',
  room,
  smaller(options, n, fits) {
    let neighbours = neighboursOf(n, options);
    while (neighbours > 0 && !fits({ ...options, neighbours })) neighbours--;
    return neighbours > 0 ? String(neighbours) : undefined;
  },
  /** Measured on Gowalla: 50 rank better than both layers. */
  servingWidth: () => 50,
  space: () => ({
    l2: { low: 1 / 5, high: 5, log: true, timesL2: true },
    neighbours: { choices: [10, 20, 32, 64], shared: true },
    alpha: { choices: [0.1, 0.3, 0.5, 0.7, 0.9], shared: true },
    userWeighting: { ...weightingAxis, shared: true },
    serving: servingAxis,
  }),
  solve,
} as const satisfies Solver<FsaiOptions>;
