import { StageError } from '../errors.js';
import { type Address, type Arena, aligned } from '../runtime/arena.js';
import type { Threads } from '../runtime/threads.js';
import type { Interactions } from './interactions.js';

/** Blocks a thread gets of a pass over all columns: enough to even out, few enough not to count. */
const BLOCKS_A_THREAD = 32;
/** Blocks where sums round: a fixed number, so that the result does not depend on the threads. */
const LANES = 8;

/** Pairs that each column of the lower triangle sums up, by position (F64[items] in the arena). */
export function pairsBelow(arena: Arena, x: Interactions): Address {
  const pairs = arena.bytes(8 * x.items, 'work of a column');
  arena.kernels.pairsBelow(x.address, pairs);
  return pairs;
}

/** Throws `OVERFLOW` if an entry of G may reach 2⁵³: G_ij ≤ max G_jj. Returns 1 + max G_jj, or 2 when empty. */
export function strideOf(x: Interactions): number {
  const most = x.diagonal.reduce((a, b) => Math.max(a, b), 1);
  if (most > Number.MAX_SAFE_INTEGER) {
    throw new StageError('OVERFLOW', `a Gramian sum is ${most}, expected less than 2^53`);
  }
  return most + 1;
}

/** A thread's tallies of all rows, and its sums. */
const tallyBytes = (n: number, tally: 8 | 16): number => aligned((tally + 8) * n);
/** A block's tallies and sums, where these round. */
const laneBytes = (n: number): number => (16 + 8) * n;

/** Scratch of the norms at most; `wide` where X has values or weights. */
export const normBytes = (n: number, wide: boolean, threads: number): number =>
  wide ? Math.max(threads * tallyBytes(n, 16), LANES * laneBytes(n)) : threads * tallyBytes(n, 8);

/** ‖G[:,j]‖₂² by position, exact while below 2⁵³; the same for any number of threads. */
export function squaredNorms(arena: Arena, threads: Threads, x: Interactions, pairs: Address): Float64Array {
  const n = x.items;
  const mark = arena.mark();
  const stride = strideOf(x);
  const trace = x.diagonal.reduce((a, b) => a + b, 0);
  const bounds = arena.bytes(4 * (n + 1), 'blocks');
  const work = arena.f64(pairs, n).reduce((a, b) => a + b, 0);
  const cut = (parts: number) => arena.kernels.blocks(n, pairs, 1, (work + n) / parts, n, bounds);
  const sums = new Float64Array(n);
  if (stride * trace < 2 ** 63) {
    // ‖G_j‖² ≤ G_jj · trace: integers throughout
    const kernel = kernelOf(x);
    const tally = kernel === 'norms' ? 8 : 16;
    const bytes = tallyBytes(n, tally);
    const scratch = arena.zeros(bytes * threads.size, 'sums of a thread');
    const tasks = cut(BLOCKS_A_THREAD * threads.size);
    threads.run({ kernel, tasks, args: [x.address, bounds, stride], scratch, scratchBytes: bytes });
    for (let t = 0; t < threads.size; t++) {
      const own = arena.i64(scratch + t * bytes + tally * n, n);
      for (let j = 0; j < n; j++) sums[j]! += Number(own[j]!);
    }
  } else {
    const tasks = cut(LANES);
    const lanes = arena.zeros(laneBytes(n) * tasks, 'sums of a block');
    threads.run({ kernel: 'normsRounded', tasks, args: [lanes, x.address, bounds, stride] });
    for (let task = 0; task < tasks; task++) {
      const own = arena.f64(lanes + task * laneBytes(n) + 16 * n, n);
      for (let j = 0; j < n; j++) sums[j]! += own[j]!;
    }
  }
  arena.release(mark);
  return sums;
}

function kernelOf({ weighted, valued }: Interactions) {
  if (weighted) return valued ? 'normsWeightedValued' : 'normsWeighted';
  return valued ? 'normsValued' : 'norms';
}
