import type { ArrangedGramian } from '../../gramian/columns.js';
import type { Lower } from '../../matrix/lower.js';
import type { Address, Arena } from '../../runtime/arena.js';
import type { Threads } from '../../runtime/threads.js';

/** A factorized sparse approximate inverse under way: its place in the arena. */
export interface Fsai {
  /** The kernels' `Fsai` record. */
  readonly address: Address;
  readonly n: number;
  /** Most neighbours of a row. */
  readonly m: number;
  /** |P_j|, I32[n] */
  readonly counts: Address;
  /** Entries of K̂ on P_j, at j · m, F64[n · m] */
  readonly values: Address;
  /** D, F64[n] */
  readonly pivots: Address;
}

/** Where blocks A[P_j, P_j] are collected for some rows at a time. */
export interface Blocks {
  /** The kernels' `Blocks` record. */
  readonly address: Address;
}

/** Blocks a thread gets of a pass over all rows. */
const BLOCKS_A_THREAD = 32;

/** Bytes of the blocks of one row. */
export const blockBytes = (m: number, wide: boolean): number => ((m * (m - 1)) / 2) * (wide ? 8 : 4);

/** Bytes of a thread's dense block and solution. */
export const solveBytes = (m: number): number => Math.ceil((8 * (m + 1) * (m + 2)) / 64) * 64;

/** Room for K̂ and D of a Gramian with this diagonal (by item), m neighbours a row; it stays in the arena. */
export function fsaiWorkspace(
  arena: Arena,
  diagonal: Float64Array,
  positions: Int32Array,
  { neighbours: m, alpha }: { readonly neighbours: number; readonly alpha: number },
): Fsai {
  const n = diagonal.length;
  const [counts, pivots] = [arena.bytes(4 * n, 'patterns'), arena.bytes(8 * n, 'pivots')];
  const pattern = arena.bytes(4 * n * m, 'patterns');
  const values = arena.bytes(8 * n * m, 'rows of the inverse');
  const g = arena.f64(arena.bytes(8 * n, 'diagonal'), n);
  const reach = arena.f64(arena.bytes(8 * n, 'diagonal'), n);
  for (let i = 0; i < n; i++) {
    g[positions[i]!] = diagonal[i]!;
    reach[positions[i]!] = diagonal[i]! > 0 ? diagonal[i]! ** -alpha : 0;
  }
  const fields = [n, m, counts, pattern, values, g.byteOffset, reach.byteOffset, pivots];
  return { address: arena.record(fields, 'patterns'), n, m, counts, values, pivots };
}

/**
 * A⁻¹ ≈ K̂ᵀD⁻¹K̂ for A = G + λI in the order of `arranged`: row j of K̂ is exact on the pattern P_j of the m more popular
 * items with the largest G_ij G_ii^(−α), and itself, which for that pattern is the nearest in Kullback–Leibler divergence
 * (Kolotilina & Yeremin 1993; Schäfer, Katzfuss & Owhadi 2021, Theorem 2.1).
 *
 * G is streamed once for the patterns and once for the small dense blocks A[P_j, P_j], which take their entries as the
 * columns pass by: that costs at most as much as the patterns did, whatever m, values and weights. Blocks are collected
 * for as many rows at a time as `blockBytes` hold, one pass for each batch. λ is in units of G.
 */
export function factorizeInverse(
  arena: Arena,
  threads: Threads,
  arranged: ArrangedGramian,
  f: Fsai,
  settings: {
    readonly lambda: number;
    readonly blockBytes: number;
    readonly report?: ((fraction: number) => void) | undefined;
  },
): void {
  const { n, m } = f;
  const { lambda, report = () => {} } = settings;
  arranged.select(f, part => report(part / 2));
  const perRow = Math.max(1, blockBytes(m, isWide(arranged.diagonal)));
  const rows = Math.max(1, Math.min(n, Math.floor(settings.blockBytes / perRow)));
  const blocks = openBlocks(arena, f, arranged.diagonal, rows);
  for (let lo = 0; lo < n; lo += rows) {
    const hi = Math.min(n, lo + rows);
    collect(arena, arranged, f, blocks, lo, hi, part => report((1 + (lo + part * (hi - lo)) / n) / 2));
    solveRows(arena, threads, f, blocks, lambda);
  }
}

/** Whether entries of G may pass 32 bits: |G_ik| ≤ max G_jj. */
export const isWide = (diagonal: Float64Array): boolean =>
  diagonal.reduce((a, b) => Math.max(a, b), 0) > 0x7fffffff;

/** Room for the blocks of so many rows. */
export function openBlocks(arena: Arena, f: Fsai, diagonal: Float64Array, rows: number): Blocks {
  const wide = isWide(diagonal);
  const entries = arena.bytes(Math.max(1, blockBytes(f.m, wide)) * rows, 'blocks of rows');
  const starts = arena.bytes(4 * (f.n + 2), 'blocks of rows');
  const places = arena.bytes(4 * f.m * rows, 'blocks of rows');
  return { address: arena.record([0, 0, wide ? 1 : 0, entries, starts, places], 'blocks of rows') };
}

/** Fills the blocks of the rows lo … hi in one pass over G. */
export function collect(
  arena: Arena,
  arranged: ArrangedGramian,
  f: Fsai,
  blocks: Blocks,
  lo: number,
  hi: number,
  report?: (fraction: number) => void,
): void {
  arena.i32(blocks.address, 2).set([lo, hi]);
  arena.kernels.fsaiPlaces(f.address, blocks.address);
  arranged.gather(f, blocks, report);
}

/** Solves the rows whose blocks were collected: K̂ comes in the place of the entries of G. */
export function solveRows(arena: Arena, threads: Threads, f: Fsai, blocks: Blocks, lambda: number): void {
  const mark = arena.mark();
  const [lo, hi] = arena.i32(blocks.address, 2) as unknown as [number, number];
  const scratchBytes = solveBytes(f.m);
  const scratch = arena.bytes(scratchBytes * threads.size, 'block of a thread');
  const tasks = BLOCKS_A_THREAD * threads.size;
  const bounds = arena.i32(arena.bytes(4 * (tasks + 1), 'blocks of rows'), tasks + 1);
  for (let t = 0; t <= tasks; t++) bounds[t] = Math.floor(((hi - lo) * t) / tasks);
  const args = [f.address, blocks.address, bounds.byteOffset, lambda] as const;
  threads.run({ kernel: 'fsaiSolve', tasks, args, scratch, scratchBytes });
  arena.release(mark);
}

/** K̂ by columns, rounded to float32, on top of the arena. */
export function columnsOf(arena: Arena, f: Fsai): Lower {
  const { n } = f;
  const entries = arena.i32(f.counts, n).reduce((sum, count) => sum + count, n);
  const indptr = arena.bytes(4 * (n + 1), 'inverse');
  const indices = arena.bytes(4 * entries, 'inverse');
  const data = arena.bytes(4 * entries, 'inverse');
  const mark = arena.mark();
  arena.kernels.fsaiColumns(f.address, indptr, indices, data, arena.bytes(4 * n, 'inverse'));
  arena.release(mark);
  return { n, entries, indptr, indices, data };
}
