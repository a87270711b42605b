import type { TaskArguments } from '../kernels.js';
import type { Rows } from '../matrix/rows.js';
import type { Address, Arena } from '../runtime/arena.js';
import type { Threads } from '../runtime/threads.js';
import type { Fsai } from '../solvers/fsai/rows.js';
import { type IcfResult, icfEnd, type Workspace } from '../solvers/icf/factor.js';
import type { Gramian } from './columns.js';
import { type Interactions, loadInteractions } from './interactions.js';
import { pairsBelow, squaredNorms, strideOf } from './norms.js';
import { diagonalOf, octaveWeights } from './weights.js';

/** Columns in a block at most. */
export const WIDTH = 512;
/** Entries in a slot of the ring at least; a single column may need more. */
export const SLOT_ENTRIES = 1 << 15;
/** Blocks of columns a thread gets of a pass in any order. */
const BLOCKS_A_THREAD = 32;
/** Blocks consumed between two reports of progress. */
const REPORT_EVERY = 64;

/**
 * G = XᵀWX computed from X on the fly, in the arena; 12 bytes an interaction, 16 with values. W is the users' octave
 * weights for η = `userWeighting`, the identity where that is 0.
 */
export function implicitGramian(arena: Arena, threads: Threads, rows: Rows, userWeighting = 0): Gramian {
  const weights = octaveWeights(rows, userWeighting);
  return {
    n: rows.n,
    diagonal: () => diagonalOf(rows, weights),
    arrange(positions) {
      const x = loadInteractions(arena, rows, positions, weights);
      const pairs = pairsBelow(arena, x);
      const pass = passes(arena, threads, x, pairs);
      return {
        diagonal: x.diagonal,
        squaredNorms: () => squaredNorms(arena, threads, x, pairs),
        eliminate: (w, report) => eliminate(arena, threads, x, pairs, w, report),
        select: (f, report) => pass('fsaiSelect', f, [], report),
        gather: (f, blocks, report) => pass('fsaiGather', f, [blocks.address], report),
      };
    },
    close() {},
  };
}

/** What X is, for the kernels. */
const kindOf = ({ weighted, valued }: Interactions): number => (weighted ? 1 : 0) + (valued ? 2 : 0);

/** Sums below this are summed up in 32 bits: a base above them can be raised often before it overflows. */
const NARROW = 2 ** 26;

/** Bytes of what a thread needs to sum up a column and to select m of its entries. */
export function selectBytes(n: number, m: number, sumBytes: number): number {
  return Math.ceil((64 + (sumBytes + 4) * n + 64 + 64 + 16 + 12 * m) / 64) * 64;
}

/** Passes over all columns in any order, for the kernels `fsai`. */
function passes(arena: Arena, threads: Threads, x: Interactions, pairs: Address) {
  return (
    kernel: 'fsaiSelect' | 'fsaiGather',
    f: Fsai,
    args: readonly Address[],
    report: (fraction: number) => void = () => {},
  ) => {
    const n = x.items;
    const mark = arena.mark();
    const stride = strideOf(x);
    const wide = stride > NARROW;
    const sumBytes = wide ? 8 : 4;
    const kind = kindOf(x) + (wide ? 4 : 0);
    const bounds = arena.bytes(4 * (n + 1), 'blocks');
    const work = arena.f64(pairs, n).reduce((a, b) => a + b, 0);
    const tasks = arena.kernels.blocks(n, pairs, 1, (work + n) / (BLOCKS_A_THREAD * threads.size), n, bounds);
    const scratchBytes = selectBytes(n, f.m, sumBytes);
    const scratch = arena.zeros(scratchBytes * threads.size, 'sums of a thread');
    report(0);
    const all = [
      f.address,
      ...args,
      x.address,
      bounds,
      stride,
      kind,
    ] as unknown as TaskArguments[typeof kernel];
    threads.run({ kernel, tasks, args: all, scratch, scratchBytes });
    report(1);
    arena.release(mark);
  };
}

/** Slots of the ring: one to eliminate from, one in reserve, and two for each producer. */
export function slotsOf(threads: number): number {
  return threads === 1 ? 1 : 2 + 2 * threads;
}

/**
 * L Lᵀ ≈ T G T + diagonal shift, streaming the columns of G from X: the other threads sum up blocks of columns ahead
 * of the calling one, which eliminates them (see the kernels `pipeline` and `icf`).
 */
function eliminate(
  arena: Arena,
  threads: Threads,
  x: Interactions,
  pairs: Address,
  w: Workspace,
  report: (fraction: number) => void = () => {},
): IcfResult {
  const n = x.items;
  const mark = arena.mark();
  const kind = kindOf(x);
  const sumBytes = kind === 0 ? 4 : 8;
  // a column has at most n − 1 − j entries, and no more than pairs
  const most = arena.f64(arena.bytes(8 * n, 'blocks'), n);
  const work = arena.f64(pairs, n);
  let capacity = SLOT_ENTRIES;
  for (let j = 0; j < n; j++) {
    most[j] = Math.min(work[j]!, n - 1 - j);
    capacity = Math.max(capacity, most[j]!);
  }
  capacity += 16; // a list of touched rows is written one ahead
  const bounds = arena.bytes(4 * (n + 1), 'blocks');
  const blocks = arena.kernels.blocks(n, most.byteOffset, 0, SLOT_ENTRIES, WIDTH, bounds);
  const slots = slotsOf(threads.size);
  const ready = arena.zeros(4 * slots, 'ring');
  const starts = arena.bytes(4 * slots * (WIDTH + 1), 'ring');
  const indices = arena.bytes(4 * slots * capacity, 'ring');
  const stride = strideOf(x);
  // value and position in one word where they fit
  const bits = Math.max(1, 32 - Math.clz32(n - 1));
  const packed = stride <= 2 ** (32 - bits) && bits < 32;
  const values = packed ? 0 : arena.bytes(8 * slots * capacity, 'ring');
  const shift = packed ? bits : 0;
  const fields = [
    blocks,
    slots,
    WIDTH,
    capacity,
    0,
    0,
    0,
    kind,
    0,
    0,
    shift,
    0,
    bounds,
    ready,
    starts,
    indices,
    values,
  ];
  const ring = arena.record(fields, 'ring');
  arena.f64(ring, 8)[4] = stride;
  const scratchBytes = Math.ceil((64 + sumBytes * n) / 64) * 64;
  const scratch = arena.zeros(scratchBytes * threads.size, 'sums of a thread');

  threads.start({
    kernel: 'produce',
    tasks: threads.size - 1,
    args: [ring, x.address],
    scratch,
    scratchBytes,
  });
  let ok = true;
  for (let done = 0; ok && done < blocks; done += REPORT_EVERY) {
    report(done / blocks);
    const until = Math.min(blocks, done + REPORT_EVERY);
    ok = arena.kernels.consume(scratch, w.f, ring, x.address, until) !== 0;
  }
  arena.kernels.stop(ring);
  threads.finish();
  const result = icfEnd(arena, w, ok);
  arena.release(mark);
  return result;
}
