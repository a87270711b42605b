import { smallerRank, vectorWidth } from '../elsa/options.js';
import { type Solver, servingAxis } from '../solver.js';
import { type CompressedElsaOptions, compressedElsaOptions } from './options.js';
import { room, solve } from './solve.js';

/** Compressed ELSA, as a solver: sparse vectors of items, whose dimensions are items. */
export const compressedElsa = {
  options: compressedElsaOptions,
  reads: 'interactions',
  sizedBy: 'rank',
  dense: true,
  room,
  smaller: (options, _n, fits) => smallerRank(options, fits),
  servingWidth: () => vectorWidth,
  vectors: 'sparse',
  space: () => ({
    rank: { choices: [256, 512, 1024, 2048] },
    kept: { choices: [16, 32, 64] },
    rate: { low: 0.01, high: 0.2, log: true },
    serving: servingAxis,
  }),
  solve,
} as const satisfies Solver<CompressedElsaOptions>;
