import { signedDensity } from '../defaults.js';
import { type Solver, servingAxis } from '../solver.js';
import { type ElsaOptions, elsaOptions, smallerRank, vectorWidth } from './options.js';
import { room, solve } from './solve.js';

/** ELSA, as a solver: vectors of items. */
export const elsa = {
  options: elsaOptions,
  reads: 'interactions',
  sizedBy: 'rank',
  dense: true,
  room,
  smaller: (options, _n, fits) => smallerRank(options, fits),
  servingWidth: () => vectorWidth,
  signedFrom: signedDensity,
  vectors: 'dense',
  space: () => ({
    rank: { choices: [64, 128, 256, 512] },
    rate: { low: 0.005, high: 0.1, log: true },
    serving: servingAxis,
  }),
  solve,
} as const satisfies Solver<ElsaOptions>;
