import { type IcfResult, icfEnd, type Workspace } from '../fit/icf.js';
import type { Address, Arena } from '../kernels.js';
import type { Threads } from '../threads.js';
import type { Gramian } from './columns.js';
import { type Interactions, loadInteractions } from './interactions.js';
import { pairsBelow, squaredNorms, strideOf } from './norms.js';
import type { Rows } from './rows.js';

/** Columns in a block at most. */
export const WIDTH = 512;
/** Entries in a slot of the ring at least; a single column may need more. */
export const SLOT_ENTRIES = 1 << 15;
/** Blocks consumed between two reports of progress. */
const REPORT_EVERY = 64;

/** G computed from X on the fly, in the arena; 12 bytes an interaction, 16 with values. */
export function implicitGramian(arena: Arena, threads: Threads, rows: Rows): Gramian {
  return {
    n: rows.n,
    diagonal() {
      const g = new Float64Array(rows.n);
      const { indices, values } = rows;
      for (let e = 0; e < indices.length; e++) g[indices[e]!]! += values ? values[e]! ** 2 : 1;
      return g;
    },
    arrange(positions) {
      const x = loadInteractions(arena, rows, positions);
      const pairs = pairsBelow(arena, x);
      return {
        diagonal: x.diagonal,
        squaredNorms: () => squaredNorms(arena, threads, x, pairs),
        eliminate: (w, report) => eliminate(arena, threads, x, pairs, w, report),
      };
    },
    close() {},
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
  const kind = (x.weighted ? 1 : 0) + (x.valued ? 2 : 0);
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
  const blocks = arena.kernels.blocks!(n, most.byteOffset, 0, SLOT_ENTRIES, WIDTH, bounds);
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
    ok = arena.kernels.consume!(scratch, w.f, ring, x.address, until) !== 0;
  }
  arena.kernels.stop!(ring);
  threads.finish();
  const result = icfEnd(arena, w, ok);
  arena.release(mark);
  return result;
}
