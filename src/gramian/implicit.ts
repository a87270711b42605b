import type { Rows } from '../matrix/rows.js';
import { type Address, type Arena, aligned } from '../runtime/arena.js';
import { bytesOf } from '../runtime/parts.js';
import { record } from '../runtime/records.js';
import type { Threads } from '../runtime/threads.js';
import type { Gramian, GramianRoom, GramianSize, Report, StreamTaker, SweepVisitor } from './columns.js';
import { densityOfRows } from './density.js';
import { type Interactions, interactionParts, loadInteractions, loadingParts } from './interactions.js';
import { normBytes, pairsBelow, squaredNorms, strideOf } from './norms.js';
import { handOver, openRing, ringRoom } from './ring.js';
import { diagonalOf, octaveWeights } from './weights.js';

/** Blocks of columns a thread gets of a sweep. */
const BLOCKS_A_THREAD = 32;
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
        sweepBytes: ({ tailBytes }) => roomOfSweep(x.items, threads.size, 8, tailBytes),
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
    stream: ringRoom(n, threads, !wide) + threads * sumBytes(n, wide),
    sweep: tailBytes => roomOfSweep(n, threads, wide ? 8 : 4, tailBytes),
    outside: 0,
  };
}

/** The kind of X, for the kernels: flags that are constants of their inner loops. */
const kindOf = ({ weighted, valued }: Interactions): number => (weighted ? 1 : 0) + (valued ? 2 : 0);

/** Scratch of a thread in a sweep: the kernels' base, n sums, a list of rows, and the visitor's `tailBytes`. */
export const sweepBytes = (n: number, bytesOfSum: 4 | 8, tailBytes: number): number =>
  aligned(64 + (bytesOfSum + 4) * n + 64 + 64 + tailBytes);

/** Bytes of a sweep at most: the bounds of blocks, and the scratch of all threads. */
const roomOfSweep = (n: number, threads: number, bytesOfSum: 4 | 8, tailBytes: number): number =>
  4 * (n + 1) + threads * sweepBytes(n, bytesOfSum, tailBytes);

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
  const visitor = record(
    arena,
    'Visitor',
    { wants, take: wide ? take.i64 : take.i32, state, place: 0, order: 0 },
    'visitor',
  );
  report(0);
  const kernel = listed ? 'sweepColumns' : 'sweepSums';
  threads.run({ kernel, tasks, args: [visitor, x.address, bounds, stride, kind], scratch, scratchBytes });
  report(1);
  arena.release(mark);
}

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
  to: StreamTaker,
  report: Report = () => {},
): boolean {
  const n = x.items;
  const mark = arena.mark();
  // a column has no more entries than pairs
  const ring = openRing(arena, threads, arena.f64(pairs, n), { stride: strideOf(x), kind: kindOf(x) });
  const scratchBytes = sumBytes(n, x.weighted || x.valued);
  const scratch = arena.zeros(scratchBytes * threads.size, 'sums of a thread');
  const production = { source: x.address, scratch, scratchBytes };
  const ok = handOver(arena, threads, ring, [0, ring.blocks], production, to, report);
  arena.release(mark);
  return ok;
}
