import { emptyLower, type Lower, sparseParts } from '../../matrix/lower.js';
import { isSingle, type Tiles } from '../../matrix/tiles.js';
import type { Arena } from '../../runtime/arena.js';
import { bytesOf } from '../../runtime/parts.js';
import type { Threads } from '../../runtime/threads.js';

/** Values of half a float32's bits. */
const BINS = 65536;

/** Bytes of a sparsified factor of at most `budget` entries, and of counting magnitudes meanwhile. */
export const sparsifyBytes = (n: number, budget: number, threads: number) => ({
  factor: bytesOf(sparseParts(n, budget)),
  making: 4 * BINS * threads,
});

/**
 * L with its diagonal and the other entries of largest magnitude, at most `budget` in all: of those that are equal as float32 at the
 * limit none stays. It lies on top of the arena.
 */
export function sparsify(arena: Arena, threads: Threads, L: Tiles, budget: number): Lower {
  const { n } = L;
  const mark = arena.mark();
  const upper = limit(countKeys(arena, threads, L, -1), budget - n);
  const lower =
    upper.bin < 0 ? { bin: 0 } : limit(countKeys(arena, threads, L, upper.bin), budget - n - upper.above);
  // All keys above this one stay; an entry that is zero never does.
  const bar = upper.bin < 0 ? 0 : upper.bin * BINS + Math.max(0, lower.bin);
  arena.release(mark);
  const counts = arena.zeros(4 * (n + 1), 'factor');
  const args = [L.address, L.rows, n, bar, isSingle(L)] as const;
  threads.run({ kernel: 'largeEntries', tasks: L.rows, args: [...args, counts, 0, 0] });
  const lengths = arena.i32(counts, n + 1);
  for (let j = 0; j < n; j++) lengths[j + 1]! += lengths[j]!;
  const entries = lengths[n]!;
  const pointers = lengths.slice();
  arena.release(mark);
  const factor = emptyLower(arena, n, entries, 'factor');
  arena.i32(factor.indptr, n + 1).set(pointers);
  const into = [factor.indptr, factor.indices, factor.data] as const;
  threads.run({ kernel: 'largeEntries', tasks: L.rows, args: [...args, ...into] });
  return { ...factor, entries };
}

/** How many entries below the diagonal have each upper half of their magnitude's bits, or each lower half beside `upper`. */
function countKeys(arena: Arena, threads: Threads, L: Tiles, upper: number): Float64Array {
  const mark = arena.mark();
  const scratchBytes = 4 * BINS;
  const scratch = arena.zeros(scratchBytes * threads.size, 'magnitudes');
  const args = [L.address, L.n, upper, isSingle(L)] as const;
  threads.run({ kernel: 'magnitudeBins', tasks: L.rows, args, scratch, scratchBytes });
  const sums = new Float64Array(BINS);
  for (let t = 0; t < threads.size; t++) {
    const own = arena.i32(scratch + t * scratchBytes, BINS);
    for (let bin = 0; bin < BINS; bin++) sums[bin]! += own[bin]!;
  }
  arena.release(mark);
  return sums;
}

/** The largest bin that does not fit `room` with all above it, and how many are above; bin −1 where all fit. */
function limit(counts: Float64Array, room: number): { readonly bin: number; readonly above: number } {
  let above = 0;
  for (let bin = BINS - 1; bin >= 0; bin--) {
    if (above + counts[bin]! > room) return { bin, above };
    above += counts[bin]!;
  }
  return { bin: -1, above };
}
