import { rowBytesOf } from '../../matrix/rows.js';
import { bestBytes } from '../../matrix/scratch.js';
import type { Address } from '../../runtime/arena.js';
import { defaultL2, neighboursL2 } from '../defaults.js';
import { buildModel, layerBytes } from '../layers.js';
import type { Passes, SharedPasses, Solved, SolverContext, SolverRoom, SolverSize } from '../solver.js';
import { type FsaiOptions, neighboursOf } from './options.js';
import {
  batchBytes,
  blockBytes,
  collect,
  columnsOf,
  type Fsai,
  factorizeInverse,
  fsaiWorkspace,
  isWide,
  openBlocks,
  rowBytes,
  select,
  solveBytes,
  solveRows,
} from './rows.js';

/** Patterns and blocks: the same for fits that differ in λ or in what they serve alone. */
interface Shared extends SharedPasses {
  readonly f: Fsai;
  readonly blocks: Address;
  /** G_ij on the patterns, which a solution overwrites. */
  readonly edges: Address;
}

/** SANSA by a factorized sparse approximate inverse: patterns, blocks, rows, weights. */
export function solve(context: SolverContext, options: FsaiOptions): Solved {
  const { arena, threads, gramian, rows, diagonal, positions, passes, stage } = context;
  const { neighbours, l2, lambda } = settingsOf(context, options);
  const settings = { neighbours, alpha: options.alpha };
  let f: Fsai;
  let bottom: Address | undefined;
  let readings = 2;
  if (passes && gramian.n * blockBytes(neighbours, isWide(diagonal)) <= arena.limit / 4) {
    const shared = sharedPasses(context, { ...settings, userWeighting: options.userWeighting }, passes);
    ({ f, top: bottom } = shared);
    const values = arena.u8(f.values, 8 * f.n * f.m);
    values.set(arena.u8(shared.edges, values.length));
    stage('factor', () => solveRows(arena, threads, neighbours, shared.blocks, lambda));
  } else {
    // the rows stay, so they lie below X
    const own = fsaiWorkspace(arena, diagonal, positions, settings);
    const mark = arena.mark();
    const arranged = stage('scale', () => gramian.arrange(positions));
    const spare = arena.limit - arena.mark() - (rows ? rowBytesOf(rows) : 0);
    const blocks = { lambda, blockBytes: blockBudget(arena.limit, spare) };
    stage('factor', report => {
      readings = factorizeInverse(arena, threads, arranged, own, { ...blocks, report });
    });
    arena.release(mark); // G is no longer needed
    f = own;
  }
  const { layers, entries } = stage('weights', () => {
    const K = columnsOf(arena, f);
    return { layers: buildModel(arena, K, f.pivots, positions), entries: K.entries };
  });
  return { layers, l2, details: { neighbours, factorEntries: entries, readings }, bottom };
}

/** Neighbours and λ of a fit, λ also in units of G. */
export function settingsOf({ arena, gramian, diagonal, density, unit }: SolverContext, options: FsaiOptions) {
  const neighbours = neighboursOf(gramian.n, options, arena.limit, density());
  const l2 = options.l2 ?? (defaultL2(diagonal) / unit) * neighboursL2(neighbours, density());
  return { neighbours, l2, lambda: l2 * unit };
}

/** The passes over G for these neighbours: those that were made last, if they are the same. */
function sharedPasses(
  { arena, gramian, diagonal, positions, stage }: SolverContext,
  settings: { readonly neighbours: number; readonly alpha: number; readonly userWeighting: number },
  passes: Passes,
): Shared {
  const key = `fsai ${JSON.stringify(settings)}`;
  if (passes.shared?.key === key) {
    arena.release(passes.shared.top);
    return passes.shared as Shared;
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

/**
 * Budget of the blocks of a pass: with less there are more passes over G. A quarter of what the rows and the Gramian leave
 * to spare, and at least a small part of the whole.
 */
const blockBudget = (memoryBytes: number, spare: number): number =>
  Math.max(Math.min(2 ** 24, Math.floor(memoryBytes / 16)), Math.floor(spare / 4));

/** Bytes of each phase of `solve`, passes that are not shared. */
export function room(size: SolverSize, options: FsaiOptions): SolverRoom {
  const { items: n, valued, weighted, threads, memoryBytes, rowsBytes, gramian } = size;
  const m = neighboursOf(n, options, memoryBytes);
  const kept = rowBytes(n, m);
  const sweep = kept + gramian.arranged + gramian.sweep(bestBytes(m));
  // of the two widths the entries may have, whichever takes more
  const widths = valued || weighted ? [false, true] : [false];
  const budget = blockBudget(memoryBytes, memoryBytes - kept - gramian.arranged - rowsBytes);
  const batch = Math.max(...widths.map(wide => batchBytes(n, m, wide, budget)));
  const { layers, making } = layerBytes(n, n * (m + 1));
  return {
    phases: {
      loading: kept + gramian.arranged + gramian.arranging,
      patterns: sweep,
      blocks: sweep + batch + threads * solveBytes(m),
      model: kept + (3 * layers) / 2 + making,
    },
    layers,
  };
}
