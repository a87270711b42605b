import type { Rows } from '../matrix/rows.js';
import { type Address, type Arena, aligned } from '../runtime/arena.js';
import { allocate, bytesOf } from '../runtime/parts.js';
import { record } from '../runtime/records.js';
import type { Threads } from '../runtime/threads.js';
import type { Gramian, GramianRoom, GramianSize, Report, StreamTaker, SweepVisitor } from './columns.js';
import { densityOfRows } from './density.js';
import { type Interactions, interactionParts, loadInteractions, loadingParts } from './interactions.js';
import { normBytes, pairsBelow, squaredNorms, strideOf } from './norms.js';
import { diagonalOf, octaveWeights } from './weights.js';

/** Columns in a block at most. */
const WIDTH = 512;
/** Entries in a slot of the ring at least; a single column may need more. */
const SLOT_ENTRIES = 1 << 15;
/** Entries that a slot has to spare: a list of touched rows is written one ahead. */
const SPARE_ENTRIES = 16;
/** Blocks of columns a thread gets of a sweep. */
const BLOCKS_A_THREAD = 32;
/** Blocks handed over between two reports of progress. */
const REPORT_EVERY = 64;
/** Sums below this are summed up in 32 bits: a base above them can be raised often before it overflows. */
const NARROW = 2 ** 26;

/**
 * G = XᵀWX computed from X on the fly, in the arena; 12 bytes an interaction, 16 with values. W is the users' octave
 * weights for η = `userWeighting`, the identity where that is 0.
 */
export function implicitGramian(arena: Arena, threads: Threads, rows: Rows, userWeighting = 0): Gramian {
  const weights = octaveWeights(rows, userWeighting);
  return {
    n: rows.n,
    diagonal: () => diagonalOf(rows, weights),
    density: () => densityOfRows(rows),
    arrange(positions) {
      const x = loadInteractions(arena, rows, positions, weights);
      const pairs = pairsBelow(arena, x);
      return {
        diagonal: x.diagonal,
        squaredNorms: () => squaredNorms(arena, threads, x, pairs),
        stream: (to, report) => stream(arena, threads, x, pairs, to, report),
        sweep: (to, report) => sweep(arena, threads, x, pairs, to, report),
      };
    },
    close() {},
  };
}

/** Bytes that an implicit Gramian of this size takes in the arena; upper bounds. */
export function implicitRoom(size: GramianSize): GramianRoom {
  const { items: n, weighted, valued, threads } = size;
  const wide = weighted || valued;
  return {
    arranged: bytesOf(interactionParts(size)) + 8 * n,
    arranging: bytesOf(loadingParts(size)),
    squaredNorms: 4 * (n + 1) + normBytes(n, wide, threads),
    stream:
      bytesOf(streamParts(n)) +
      bytesOf(ringParts(threads, Math.max(n, SLOT_ENTRIES) + SPARE_ENTRIES, !wide)) +
      threads * sumBytes(n, wide),
    sweep: tailBytes => 4 * (n + 1) + threads * sweepBytes(n, wide ? 8 : 4, tailBytes),
    outside: 0,
  };
}

/** The kind of X, for the kernels: flags that are constants of their inner loops. */
const kindOf = ({ weighted, valued }: Interactions): number => (weighted ? 1 : 0) + (valued ? 2 : 0);

/** Scratch of a thread in a sweep: the kernels' base, n sums, a list of rows, and the visitor's `tailBytes`. */
export const sweepBytes = (n: number, bytesOfSum: 4 | 8, tailBytes: number): number =>
  aligned(64 + (bytesOfSum + 4) * n + 64 + 64 + tailBytes);

/** See `ArrangedGramian.sweep`. */
function sweep(
  arena: Arena,
  threads: Threads,
  x: Interactions,
  pairs: Address,
  { take, wants = 0, state, listed, tailBytes }: SweepVisitor,
  report: Report = () => {},
): void {
  const n = x.items;
  const mark = arena.mark();
  const stride = strideOf(x);
  const wide = stride > NARROW;
  const kind = kindOf(x) + (wide ? 4 : 0);
  const bounds = arena.bytes(4 * (n + 1), 'blocks');
  const work = arena.f64(pairs, n).reduce((a, b) => a + b, 0);
  const share = (work + n) / (BLOCKS_A_THREAD * threads.size);
  const tasks = arena.kernels.blocks(n, pairs, 1, share, n, bounds);
  const scratchBytes = sweepBytes(n, wide ? 8 : 4, tailBytes);
  const scratch = arena.zeros(scratchBytes * threads.size, 'sums of a thread');
  const visitor = record(arena, 'Visitor', { wants, take: wide ? take.i64 : take.i32, state }, 'visitor');
  report(0);
  const kernel = listed ? 'sweepColumns' : 'sweepSums';
  threads.run({ kernel, tasks, args: [visitor, x.address, bounds, stride, kind], scratch, scratchBytes });
  report(1);
  arena.release(mark);
}

/** Slots of the ring: one to take from, one in reserve, and two for each producer. */
const slotsOf = (threads: number): number => (threads === 1 ? 1 : 2 + 2 * threads);

/** A ring of slots; packed ones hold values and positions in one word. */
const ringParts = (threads: number, capacity: number, packed: boolean) => ({
  ready: 4 * slotsOf(threads),
  starts: 4 * slotsOf(threads) * (WIDTH + 1),
  indices: 4 * slotsOf(threads) * capacity,
  values: packed ? 0 : 8 * slotsOf(threads) * capacity,
});

/** The most entries of each column, and the bounds of the blocks that a stream makes of them. */
const streamParts = (n: number) => ({ most: 8 * n, bounds: 4 * (n + 1) });

/** Scratch of a thread in a stream: the kernels' base and n sums. */
const sumBytes = (n: number, wide: boolean): number => aligned(64 + (wide ? 8 : 4) * n);

/**
 * See `ArrangedGramian.stream`. The other threads sum up blocks of columns ahead of the calling one, which hands them
 * over (see the kernels `pipeline`).
 */
function stream(
  arena: Arena,
  threads: Threads,
  x: Interactions,
  pairs: Address,
  { take, state }: StreamTaker,
  report: Report = () => {},
): boolean {
  const n = x.items;
  const mark = arena.mark();
  const { ring, blocks } = openRing(arena, threads, x, pairs);
  const scratchBytes = sumBytes(n, x.weighted || x.valued);
  const scratch = arena.zeros(scratchBytes * threads.size, 'sums of a thread');
  const args = [ring, x.address] as const;
  threads.start({ kernel: 'produce', tasks: threads.size - 1, args, scratch, scratchBytes });
  let ok = true;
  for (let done = 0; ok && done < blocks; done += REPORT_EVERY) {
    report(done / blocks);
    const until = Math.min(blocks, done + REPORT_EVERY);
    ok = arena.kernels.consume(scratch, take, state, ring, x.address, until) !== 0;
  }
  arena.kernels.stop(ring);
  threads.finish();
  arena.release(mark);
  return ok;
}

/** The ring that blocks of columns wait in, on top of the arena. */
function openRing(arena: Arena, threads: Threads, x: Interactions, pairs: Address) {
  const n = x.items;
  const at = allocate(arena, streamParts(n), 'blocks');
  // a column has at most n − 1 − j entries, and no more than pairs
  const most = arena.f64(at.most, n);
  const work = arena.f64(pairs, n);
  let capacity = SLOT_ENTRIES;
  for (let j = 0; j < n; j++) {
    most[j] = Math.min(work[j]!, n - 1 - j);
    capacity = Math.max(capacity, most[j]!);
  }
  capacity += SPARE_ENTRIES;
  const blocks = arena.kernels.blocks(n, at.most, 0, SLOT_ENTRIES, WIDTH, at.bounds);
  const stride = strideOf(x);
  const bits = Math.max(1, 32 - Math.clz32(n - 1));
  const packed = stride <= 2 ** (32 - bits) && bits < 32;
  const parts = allocate(arena, ringParts(threads.size, capacity, packed), 'ring');
  const slots = slotsOf(threads.size);
  arena.i32(parts.ready, slots).fill(0);
  const begun = { next: 0, consumed: 0, stopped: 0 };
  const shape = { blocks, slots, width: WIDTH, capacity, kind: kindOf(x), stride, shift: packed ? bits : 0 };
  const ring = record(arena, 'Ring', { ...begun, ...shape, bounds: at.bounds, ...parts }, 'ring');
  return { ring, blocks };
}
