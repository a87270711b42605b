import { capacity, emptyLower, factorRecord, type Lower, sparseParts } from '../../matrix/lower.js';
import { scatteredBytes } from '../../matrix/scratch.js';
import type { Address, Arena } from '../../runtime/arena.js';
import { allocate, bytesOf } from '../../runtime/parts.js';
import type { Threads } from '../../runtime/threads.js';

/** When to stop improving an approximate inverse, and how large it may be. */
export interface InverseOptions {
  /** Most scans. */
  readonly scans: number;
  /** Loss below which no scan is made. */
  readonly tolerance: number;
  /** Most entries of K. */
  readonly budget: number;
}

/** K ≈ L⁻¹ with the loss ‖I − LK‖²_F / n at the start and after each scan. */
export interface Inverse {
  readonly lower: Lower;
  readonly losses: number[];
  /** Whether the last scan raised the loss: K is the one before it. */
  readonly undone: boolean;
}

/** Bins of magnitudes in a scan. */
const BINS = 65536;
/** Blocks of columns a thread gets. */
const BLOCKS_A_THREAD = 32;

/**
 * Approximate inverse of the unit lower triangular L: one Schultz step from the identity, K₀ = 2I − L, then uniform
 * minimal-residual scans while they lower the loss. Chow & Saad 1998, §3; Spišák et al. 2023, §3.3.
 * K takes two buffers of `budget` entries when it is scanned, and stays in the arena.
 */
export function invert(arena: Arena, threads: Threads, L: Lower, options: InverseOptions): Inverse {
  const room = capacity(L.n, Math.max(options.budget, L.entries));
  let K = schultz(arena, L, options.scans === 0 ? L.entries : room);
  let spare: Lower | undefined;
  let loss = residualLoss(arena, threads, L, K);
  const losses = [loss];
  for (let scan = 0; scan < options.scans && loss > options.tolerance; scan++) {
    spare ??= emptyLower(arena, L.n, room, 'inverse');
    const better = umrScan(arena, threads, L, K, spare, room);
    const after = residualLoss(arena, threads, L, better);
    losses.push(after);
    if (!(after < loss)) return { lower: K, losses, undone: true };
    spare = K;
    K = better;
    loss = after;
  }
  return { lower: K, losses, undone: false };
}

function schultz(arena: Arena, L: Lower, room: number): Lower {
  const K = emptyLower(arena, L.n, room, 'inverse');
  const Lp = arena.i32(L.indptr, L.n + 1);
  const Kx = arena.f32(K.data, L.entries);
  const Lx = arena.f32(L.data, L.entries);
  arena.i32(K.indptr, L.n + 1).set(Lp);
  arena.i32(K.indices, L.entries).set(arena.i32(L.indices, L.entries));
  for (let e = 0; e < L.entries; e++) Kx[e] = -Lx[e]!;
  for (let j = 0; j < L.n; j++) Kx[Lp[j]!] = 1;
  return { ...K, entries: L.entries };
}

/** Bounds of blocks of columns, and the work of each column. */
const cutParts = (n: number) => ({ bounds: 4 * (n + 1), work: 8 * n });

/** Blocks of columns of equal work, where column j costs Σ |L_k| over the entries k of K_j. */
function cut(arena: Arena, threads: Threads, L: Lower, K: Lower): { bounds: Address; tasks: number } {
  const { n } = L;
  const { bounds, work: at } = allocate(arena, cutParts(n), 'blocks');
  const work = arena.f64(at, n);
  const Lp = arena.i32(L.indptr, n + 1);
  const Kp = arena.i32(K.indptr, n + 1);
  const Ki = arena.i32(K.indices, K.entries);
  let total = 0;
  for (let j = 0; j < n; j++) {
    let sum = 1;
    for (let e = Kp[j]!; e < Kp[j + 1]!; e++) sum += Lp[Ki[e]! + 1]! - Lp[Ki[e]!]!;
    work[j] = sum;
    total += sum;
  }
  const share = total / (BLOCKS_A_THREAD * threads.size);
  return { bounds, tasks: arena.kernels.blocks(n, at, 0, share, n, bounds) };
}

/** The loss ‖I − LK‖²_F / n; the same for any number of threads. */
export function residualLoss(arena: Arena, threads: Threads, L: Lower, K: Lower): number {
  const { n } = L;
  if (n === 0) return 0;
  const mark = arena.mark();
  const { bounds, tasks } = cut(arena, threads, L, K);
  const loss = arena.bytes(8 * n, 'losses');
  const scratchBytes = scatteredBytes(n);
  const scratch = arena.bytes(scratchBytes * threads.size, 'residuals of a thread');
  arena.u8(scratch, scratchBytes * threads.size).fill(0xff);
  const args = [factorRecord(arena, L), factorRecord(arena, K), bounds, loss] as const;
  threads.run({ kernel: 'residualLoss', tasks, args, scratch, scratchBytes });
  const sum = arena.f64(loss, n).reduce((a, b) => a + b, 0);
  arena.release(mark);
  return sum / n;
}

/** Scratch of a thread in a scan. */
const scanScratchBytes = (n: number): number => 2 * scatteredBytes(n) + 4 * BINS;

/** The improved columns, before they are gathered. */
const improvedParts = (n: number, entries: number) => ({
  starts: 4 * n,
  lengths: 4 * n,
  indices: 4 * entries,
  data: 4 * entries,
});

/** Bytes of K of at most `room` entries: what stays, and what making it needs on top; upper bounds. */
export function inverseRoom(n: number, room: number, scans: number, threads: number) {
  const layer = bytesOf(sparseParts(n, room));
  const cutting = bytesOf(cutParts(n));
  if (scans === 0) return { kept: layer, making: cutting + 8 * n + threads * scatteredBytes(n) };
  // entries that share the last bin are held beyond the room, and their magnitudes once more
  const improved = bytesOf(improvedParts(n, 0)) + 2 * layer;
  return { kept: 2 * layer, making: cutting + 8 * n + improved + threads * scanScratchBytes(n) };
}

/**
 * One scan: K_j += α_j R_j for every column, then the diagonal and the largest other entries stay, `room` in all.
 * The improved columns are computed twice, first only to count magnitudes: so never more than `room` entries and
 * those that share a bin of 2⁻⁸ relative width with the last one kept are held. Writes to `into`.
 */
export function umrScan(
  arena: Arena,
  threads: Threads,
  L: Lower,
  K: Lower,
  into: Lower,
  room: number,
): Lower {
  const { n } = L;
  const mark = arena.mark();
  const { bounds, tasks } = cut(arena, threads, L, K);
  const matrices = [factorRecord(arena, L), factorRecord(arena, K)] as const;
  const alpha = arena.bytes(8 * n, 'steps');
  const scattered = scatteredBytes(n);
  const scratchBytes = scanScratchBytes(n);
  const scratch = arena.bytes(scratchBytes * threads.size, 'residuals of a thread');
  arena.u8(scratch, scratchBytes * threads.size).fill(0xff);
  const binsOf = (t: number) => arena.i32(scratch + t * scratchBytes + 2 * scattered, BINS);
  for (let t = 0; t < threads.size; t++) binsOf(t).fill(0);
  threads.run({ kernel: 'umrSteps', tasks, args: [...matrices, bounds, alpha], scratch, scratchBytes });

  const bins = new Float64Array(BINS);
  for (let t = 0; t < threads.size; t++) {
    const own = binsOf(t);
    for (let bin = 0; bin < BINS; bin++) bins[bin]! += own[bin]!;
  }
  // the bin where the room runs out
  let least = BINS;
  let above = 0;
  for (let next = BINS - 1; next >= 0 && above + bins[next]! <= room - n; next--) {
    least = next;
    above += bins[next]!;
  }
  const boundary = least === 0 ? 0 : bins[least - 1]!;
  if (least > 0) least--;
  const keep = least === 0 && boundary === 0 ? Math.max(0, room - n) : room - n - above;

  const held = n + above + boundary;
  const { starts, lengths, indices, data } = allocate(arena, improvedParts(n, held), 'improved inverse');
  const cursor = arena.zeros(64, 'improved inverse');
  arena.u8(scratch, scratchBytes * threads.size).fill(0xff);
  const improved = [starts, lengths, indices, data] as const;
  const args = [...matrices, bounds, alpha, least, ...improved, cursor] as const;
  threads.run({ kernel: 'umrEmit', tasks, args, scratch, scratchBytes });
  const keys = arena.bytes(4 * Math.max(1, boundary), 'improved inverse');
  arena.i32(into.indptr, 1)[0] = 0;
  arena.kernels.umrGather(...improved, least, keep, keys, factorRecord(arena, into));
  arena.release(mark);
  return { ...into, entries: arena.i32(into.indptr, n + 1)[n]! };
}
