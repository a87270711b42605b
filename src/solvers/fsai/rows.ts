import { type ArrangedGramian, byWidth, type Report } from '../../gramian/columns.js';
import { emptyLower, type Lower } from '../../matrix/lower.js';
import { bestBytes } from '../../matrix/scratch.js';
import type { RowChunk } from '../../model/rows-file.js';
import { type Address, type Arena, aligned, fitsInt32 } from '../../runtime/arena.js';
import { allocate, bytesOf } from '../../runtime/parts.js';
import { read, record, write } from '../../runtime/records.js';
import type { Threads } from '../../runtime/threads.js';

/** A factorized sparse approximate inverse under way: its place in the arena. */
export interface Fsai {
  /** The kernels' `Fsai` record. */
  readonly address: Address;
  readonly n: number;
  /** Most neighbours of a row. */
  readonly m: number;
  /** Rows that there is room for, r of them. */
  readonly rows: number;
  /** |P_j|, I32[r] */
  readonly counts: Address;
  /** Entries of K̂ on P_j, those of a row m behind those of the one before, F64[r · m] */
  readonly values: Address;
  /** D, F64[r] */
  readonly pivots: Address;
}

/** Parts of a batch of rows per thread. */
const PARTS_A_THREAD = 32;

/** `rows` of the rows of n items, all by default, with m neighbours; they stay. */
const rowParts = (n: number, m: number, rows = n) => ({
  counts: 4 * rows,
  pivots: 8 * rows,
  pattern: 4 * rows * m,
  values: 8 * rows * m,
  diagonal: 8 * n,
  reach: 8 * n,
  farthest: 8 * Math.ceil(n / 64),
});
export const rowBytes = (n: number, m: number, rows = n): number => bytesOf(rowParts(n, m, rows));

/** The blocks A[P_j, P_j] of `rows` rows; see the kernels' `Blocks`. */
const blockParts = (n: number, m: number, rows: number, wide: boolean) => ({
  entries: rows * blockBytes(m, wide),
  starts: 4 * (n + 2),
  places: 4 * m * rows,
});

/** Bytes of the block of one row; `wide` where entries do not fit int32. */
export const blockBytes = (m: number, wide: boolean): number =>
  Math.max(1, ((m * (m - 1)) / 2) * (wide ? 8 : 4));

/** Bytes of a row with its block, where not all rows are in memory. */
export const rangeRowBytes = (m: number, wide: boolean): number =>
  bytesOf(rowParts(0, m, 1)) + bytesOf(blockParts(-2, m, 1, wide));

/** Rows whose blocks are collected in one pass over G: as many as fit the budget. */
const batchOf = (n: number, m: number, wide: boolean, budget: number): number =>
  Math.max(1, Math.min(n, Math.floor(budget / blockBytes(m, wide))));

/** Bytes of the blocks of a pass. */
export const batchBytes = (n: number, m: number, wide: boolean, budget: number): number =>
  bytesOf(blockParts(n, m, batchOf(n, m, wide, budget), wide));

/** Bytes of a thread's dense block and its solution. */
export const solveBytes = (m: number): number => aligned(8 * (m + 1) * (m + 2));

/** Room for K̂ and D, or for `rows` rows of them, of a Gramian with this diagonal (by item), m neighbours a row; it stays in the arena. */
export function fsaiWorkspace(
  arena: Arena,
  diagonal: Float64Array,
  positions: Int32Array,
  { neighbours: m, alpha }: { readonly neighbours: number; readonly alpha: number },
  rows = diagonal.length,
): Fsai {
  const n = diagonal.length;
  const parts = allocate(arena, rowParts(n, m, rows), 'rows of the inverse');
  const g = arena.f64(parts.diagonal, n);
  const reach = arena.f64(parts.reach, n);
  const farthest = arena.f64(parts.farthest, Math.ceil(n / 64));
  for (let i = 0; i < n; i++) g[positions[i]!] = diagonal[i]!;
  for (let j = n - 1, most = 0; j >= 0; j--) {
    if (g[j]! > 0) most = Math.max(most, g[j]! ** -alpha);
    reach[j] = most;
    farthest[j >> 6] = most;
  }
  const { counts, values, pivots } = parts;
  const address = record(arena, 'Fsai', { n, m, first: 0, rows, ...parts }, 'rows of the inverse');
  return { address, n, m, rows, counts, values, pivots };
}

/**
 * A⁻¹ ≈ K̂ᵀD⁻¹K̂ for A = G + λI in the order of `arranged`: row j of K̂ is exact on the pattern P_j of the m more popular
 * items with the largest G_ij G_ii^(−α), and itself, which for that pattern is the nearest in Kullback–Leibler divergence
 * (Kolotilina & Yeremin 1993; Schäfer, Katzfuss & Owhadi 2021, Theorem 2.1).
 *
 * G is streamed once for the patterns and once for the small dense blocks A[P_j, P_j], which take their entries as the
 * columns pass by: that costs at most as much as the patterns did, whatever m, values and weights. Blocks are collected
 * for as many rows at a time as `blockBytes` hold, one pass for each batch. λ is in units of G. Returns the number of passes.
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
): number {
  const { n, m } = f;
  const { lambda, report = () => {} } = settings;
  select(arena, arranged, f, part => report(part / 2));
  const rows = batchOf(n, m, isWide(arranged.diagonal), settings.blockBytes);
  const blocks = openBlocks(arena, f, arranged.diagonal, rows);
  for (let lo = 0; lo < n; lo += rows) {
    const hi = Math.min(n, lo + rows);
    collect(arena, arranged, blocks, lo, hi, part => report((1 + (lo + part * (hi - lo)) / n) / 2));
    solveRows(arena, threads, m, blocks, lambda);
  }
  return 1 + Math.ceil(n / rows);
}

/** Finds the patterns of `f` and their entries of G in one pass: those of the rows from `first` on that there is room for. */
export function select(
  arena: Arena,
  arranged: ArrangedGramian,
  f: Fsai,
  report?: Report,
  first = 0,
  rows = f.rows,
): void {
  const take = byWidth(arena.kernels.fsaiSelect);
  const wants = rows < f.n ? arena.kernels.fsaiSelects() : 0;
  write(arena, 'Fsai', f.address, { first, rows });
  arranged.sweep({ take, wants, state: f.address, listed: true, tailBytes: bestBytes(f.m) }, report);
}

/** Whether entries of G may pass 32 bits: |G_ik| ≤ max G_jj. */
export const isWide = (diagonal: Float64Array): boolean =>
  !fitsInt32(diagonal.reduce((a, b) => Math.max(a, b), 0));

/** Room for the blocks of `rows` rows of `f`: the kernels' `Blocks` record. */
export function openBlocks(arena: Arena, f: Fsai, diagonal: Float64Array, rows: number): Address {
  const wide = isWide(diagonal);
  const parts = allocate(arena, blockParts(f.n, f.m, rows, wide), 'blocks of rows');
  const fields = { f: f.address, lo: 0, hi: 0, wide: wide ? 1 : 0, ...parts };
  return record(arena, 'Blocks', fields, 'blocks of rows');
}

/** Fills the blocks of the rows lo … hi in one pass over G. */
export function collect(
  arena: Arena,
  arranged: ArrangedGramian,
  blocks: Address,
  lo: number,
  hi: number,
  report?: Report,
): void {
  const { fsaiGather, fsaiGathers, fsaiPlaces } = arena.kernels;
  write(arena, 'Blocks', blocks, { lo, hi });
  fsaiPlaces(blocks);
  const visitor = { take: byWidth(fsaiGather), wants: fsaiGathers(), state: blocks };
  arranged.sweep({ ...visitor, listed: false, tailBytes: 0 }, report);
}

/** Solves the rows whose blocks were collected: K̂ comes in the place of the entries of G. */
export function solveRows(arena: Arena, threads: Threads, m: number, blocks: Address, lambda: number): void {
  const mark = arena.mark();
  const { lo, hi } = read(arena, 'Blocks', blocks);
  const scratchBytes = solveBytes(m);
  const scratch = arena.bytes(scratchBytes * threads.size, 'block of a thread');
  const tasks = PARTS_A_THREAD * threads.size;
  const bounds = arena.i32(arena.bytes(4 * (tasks + 1), 'blocks of rows'), tasks + 1);
  for (let t = 0; t <= tasks; t++) bounds[t] = Math.floor(((hi - lo) * t) / tasks);
  const args = [blocks, bounds.byteOffset, lambda] as const;
  threads.run({ kernel: 'fsaiSolve', tasks, args, scratch, scratchBytes });
  arena.release(mark);
}

/** Writes the rows from the r-th one of `f` on, rounded to float32, to a chunk of a file of rows; `order` has the item of each position. */
export function writeRows(
  arena: Arena,
  threads: Threads,
  f: Fsai,
  order: Address,
  r: number,
  to: RowChunk,
): void {
  const mark = arena.mark();
  const scratchBytes = aligned(8 * (f.m + 1));
  const scratch = arena.bytes(scratchBytes * threads.size, 'row of a thread');
  const tasks = PARTS_A_THREAD * threads.size;
  const bounds = arena.i32(arena.bytes(4 * (tasks + 1), 'blocks of rows'), tasks + 1);
  for (let t = 0; t <= tasks; t++) bounds[t] = r + Math.floor((to.rows * t) / tasks);
  const args = [f.address, order, bounds.byteOffset, r, to.starts, to.items, to.values] as const;
  threads.run({ kernel: 'fsaiRows', tasks, args, scratch, scratchBytes });
  arena.release(mark);
}

/** K̂ by columns, rounded to float32, on top of the arena. */
export function columnsOf(arena: Arena, f: Fsai): Lower {
  const { n } = f;
  const entries = arena.i32(f.counts, n).reduce((sum, count) => sum + count, n);
  const K = emptyLower(arena, n, entries, 'inverse');
  const mark = arena.mark();
  const next = arena.bytes(4 * n, 'inverse');
  arena.kernels.fsaiColumns(f.address, K.indptr, K.indices, K.data, next);
  arena.release(mark);
  return { ...K, entries };
}
