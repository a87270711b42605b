import {
  type Interactions,
  interactionParts,
  loadInteractions,
  loadingParts,
} from '../../gramian/interactions.js';
import { type Dense, denseBytes, wholeTiles, zeroDense } from '../../matrix/dense.js';
import { bytesOf } from '../../runtime/parts.js';
import type { Solved, SolverContext, SolverRoom, SolverSize } from '../solver.js';
import { openPasses, type Passes, passesBytes } from './gradient.js';
import { embeddingBytes, embeddingLayers } from './layers.js';
import { type ElsaOptions, rankOf } from './options.js';
import { spectralStart, startBytes } from './start.js';
import { denseObjective, type Objective, type TrainOptions, train, trainBytes } from './train.js';

/** ELSA by full gradients from a spectral start. */
export function solve(context: SolverContext, options: ElsaOptions): Solved {
  const { arena, threads } = context;
  const rank = rankOf(context.gramian.n, options);
  return embed(context, rank, options, (p, x, A) => {
    const mark = arena.mark();
    const spare = zeroDense(arena, A.rows, rank, 'start');
    spectralStart(arena, threads, p, x.diagonal, { rank, seed: options.startSeed }, A, spare);
    arena.release(mark);
    return denseObjective(arena, threads, p, A);
  });
}

/** Trains A from where `start` puts it, and makes layers of it. */
export function embed(
  { arena, threads, rows, stage }: SolverContext,
  rank: number,
  options: TrainOptions,
  start: (p: Passes, x: Interactions, A: Dense) => Objective,
): Solved {
  const { n } = rows!;
  const A = zeroDense(arena, n, rank, 'items');
  const mark = arena.mark();
  const losses = stage('factor', report => {
    const x = loadInteractions(
      arena,
      rows!,
      Int32Array.from({ length: n }, (_, i) => i),
    );
    const p = openPasses(arena, x, A.width);
    return train(arena, threads, p, A, start(p, x, A), options, report);
  });
  arena.release(mark);
  const layers = stage('weights', () => embeddingLayers(arena, A, rank));
  return { layers, l2: 0, details: { factorEntries: layers.encoder.data.length, losses } };
}

/** Bytes of each phase of `embed`: what the objective takes beside A, and entries that an item keeps. */
export function embedRoom(size: SolverSize, rank: number, beside: number, each: number): SolverRoom {
  const { items: n, threads } = size;
  const width = wholeTiles(rank);
  const x = { ...size, weighted: false };
  const kept = denseBytes(n, width) + beside + bytesOf(interactionParts(x));
  const passes = passesBytes(x, width);
  const layers = embeddingBytes(n, rank, each);
  return {
    phases: {
      loading: kept + bytesOf(loadingParts(x)),
      start: kept + passes + startBytes(n, rank, width, threads),
      training: kept + passes + trainBytes(n, width, threads),
      layers: denseBytes(n, width) + layers,
    },
    layers,
  };
}

export const room = (size: SolverSize, options: ElsaOptions): SolverRoom => {
  const rank = rankOf(size.items, options);
  return embedRoom(size, rank, 0, rank);
};
