import type { FitContext, Solved } from '../../fit/fit.js';
import { blockBudget } from '../../fit/memory.js';
import type { FsaiOptions } from '../../options.js';
import type { Address } from '../../runtime/arena.js';
import { defaultL2, neighboursOf } from '../defaults.js';
import { buildModel } from '../layers.js';
import {
  type Blocks,
  blockBytes,
  collect,
  columnsOf,
  type Fsai,
  factorizeInverse,
  fsaiWorkspace,
  isWide,
  openBlocks,
  select,
  solveRows,
} from './rows.js';

/**
 * What fits of one G on one engine share when they differ in λ or in what they serve alone: patterns and blocks, which
 * stay at the bottom of the arena. Nothing else may be allocated below.
 */
export interface Passes {
  shared?:
    | {
        readonly key: string;
        readonly f: Fsai;
        readonly blocks: Blocks;
        /** G_ij on the patterns, which a solution overwrites. */
        readonly edges: Address;
        readonly bottom: Address;
        readonly top: Address;
      }
    | undefined;
}

/** SANSA by a factorized sparse approximate inverse: patterns, blocks, rows, weights. */
export function fitFsai(context: FitContext, options: FsaiOptions, passes?: Passes): Solved {
  const { arena, threads, gramian, diagonal, positions, unit, stage } = context;
  const l2 = options.l2 ?? defaultL2(diagonal) / unit;
  const neighbours = neighboursOf(gramian.n, options);
  const settings = { neighbours, alpha: options.alpha };
  const lambda = l2 * unit;
  let f: Fsai;
  let bottom: Address | undefined;
  if (passes && gramian.n * blockBytes(neighbours, isWide(diagonal)) <= arena.limit / 4) {
    const shared = sharedPasses(context, { ...settings, userWeighting: options.userWeighting }, passes);
    ({ f, top: bottom } = shared);
    const values = arena.u8(f.values, 8 * f.n * f.m);
    values.set(arena.u8(shared.edges, values.length));
    stage('factor', () => solveRows(arena, threads, f, shared.blocks, lambda));
  } else {
    // What stays lies below X.
    const own = fsaiWorkspace(arena, diagonal, positions, settings);
    const mark = arena.mark();
    const arranged = stage('scale', () => gramian.arrange(positions));
    const blocks = { lambda, blockBytes: blockBudget(arena.limit) };
    stage('factor', report => factorizeInverse(arena, threads, arranged, own, { ...blocks, report }));
    arena.release(mark); // G is no longer needed
    f = own;
  }
  const { layers, entries } = stage('weights', () => {
    const K = columnsOf(arena, f);
    return { layers: buildModel(arena, K, f.pivots, positions), entries: K.entries };
  });
  return { layers, l2, details: { factorEntries: entries }, bottom };
}

/** The passes over G for these neighbours: those that were made last, if they are the same. */
function sharedPasses(
  { arena, gramian, diagonal, positions, stage }: FitContext,
  settings: { readonly neighbours: number; readonly alpha: number; readonly userWeighting: number },
  passes: Passes,
): NonNullable<Passes['shared']> {
  const key = JSON.stringify(settings);
  if (passes.shared?.key === key) {
    arena.release(passes.shared.top);
    return passes.shared;
  }
  if (passes.shared) arena.release(passes.shared.bottom);
  passes.shared = undefined;
  const bottom = arena.mark();
  const f = fsaiWorkspace(arena, diagonal, positions, settings);
  const blocks = openBlocks(arena, f, diagonal, f.n);
  const edges = arena.bytes(8 * f.n * f.m, 'patterns');
  const top = arena.mark();
  const arranged = stage('scale', () => gramian.arrange(positions));
  select(arena, arranged, f);
  arena.u8(edges, 8 * f.n * f.m).set(arena.u8(f.values, 8 * f.n * f.m));
  collect(arena, arranged, blocks, 0, f.n);
  arena.release(top);
  const shared = { key, f, blocks, edges, bottom, top };
  passes.shared = shared;
  return shared;
}
