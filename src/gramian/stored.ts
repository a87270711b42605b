import { StageError } from '../errors.js';
import type { Arena } from '../runtime/arena.js';
import { record } from '../runtime/records.js';
import type { Threads } from '../runtime/threads.js';
import type { Gramian, GramianRoom, GramianSize, Report, SweepVisitor } from './columns.js';
import { sampledItems } from './density.js';
import {
  columnSizes,
  encodedScratch,
  loadedBytes,
  orderBytes,
  placeItems,
  type StoredColumns,
} from './encoded.js';
import { bytesOfPass, pass, passBytes } from './pass.js';
import { openIntactSegments, type Segment } from './segment.js';
import { streamRoom, streamStored, strideOf } from './stored-stream.js';
import { addDiagonals, assertExact, sumReader } from './sum.js';

/** Bytes that a stored Gramian of this size takes, in files of so many bytes, with columns of `longest` entries; upper bounds. */
export function storedRoom(size: GramianSize, files: readonly number[], longest = size.items): GramianRoom {
  const { items: n, threads } = size;
  const segments = files.length;
  const loaded = loadedBytes(n, files);
  const scratch = (dense: boolean, tail: number) => encodedScratch(n, longest, segments, dense, tail).bytes;
  const pass = passBytes(n, files);
  return {
    arranged: orderBytes(n),
    arranging: 0,
    squaredNorms: pass + 8 * n + threads * scratch(false, 0),
    stream: streamRoom(n, threads, loaded, scratch(false, 0)),
    sweep: tailBytes => pass + threads * scratch(true, tailBytes),
    outside: 40 * n * (segments + 1),
  };
}

const sweepScratch = (
  { items, sizes, segments }: StoredColumns,
  { listed, tailBytes }: Pick<SweepVisitor, 'listed' | 'tailBytes'>,
) => encodedScratch(items.n, sizes.longest, segments.length, !listed, tailBytes);

/** See `ArrangedGramian.sweep`. */
function sweep(stored: StoredColumns, diagonal: Float64Array, to: SweepVisitor, report?: Report): void {
  const { arena, items } = stored;
  const { n, place, order } = items;
  const { take, wants = 0, state, listed } = to;
  const mark = arena.mark();
  const visitor = record(arena, 'Visitor', { wants, take: take.f64, state, place, order }, 'visitor');
  const scratch = sweepScratch(stored, to);
  if (listed) pass(stored, 'sweepStored', scratch, (E, bounds) => [visitor, E, bounds], { report });
  else {
    const stride = strideOf(diagonal);
    pass(stored, 'sweepStoredSums', scratch, (E, bounds) => [visitor, E, bounds, n, stride], { report });
  }
  arena.release(mark);
}

/** ‖G[:,j]‖₂² by item. */
function squaredNorms(stored: StoredColumns): Float64Array {
  const { arena, segments, sizes } = stored;
  const { n } = stored.items;
  if (segments.length === 1) return spread(segments[0]!, segments[0]!.facts(arena).squares, n);
  const mark = arena.mark();
  const squares = arena.f64(arena.zeros(8 * n, 'norms'), n);
  const scratch = encodedScratch(n, sizes.longest, segments.length, false, 0);
  pass(stored, 'squaresStored', scratch, (E, bounds) => [E, bounds, squares.byteOffset]);
  arena.release(mark);
  return squares.slice();
}

/** See `Gramian.density`. */
function sampledDensity(arena: Arena, segments: readonly Segment[], n: number): number {
  const mark = arena.mark();
  const columns = sumReader(arena, segments, n);
  const sample = sampledItems(n);
  let entries = 0;
  for (const j of sample) {
    entries += columns.range(j, j + 1).indices.length;
    arena.release(mark);
  }
  return entries / Math.max(1, sample.length * n);
}

/** Facts of the columns of a segment, by item. */
function spread({ columns }: Segment, facts: Float64Array, n: number): Float64Array {
  const all = new Float64Array(n);
  for (let k = 0; k < columns.length; k++) all[columns[k]!] = facts[k]!;
  return all;
}

/** G as the sum of segment files, and its columns for those who read them otherwise. */
export interface StoredGramian extends Gramian {
  /** The columns of items that are taken to `positions`. Their order stays on top of the arena. */
  columns(positions: Int32Array): StoredColumns;
}

/**
 * G as the sum of segment files. `n` may exceed the width of older segments. `STATE_MISMATCH` when users are not weighted
 * by η = `userWeighting` in one of them.
 */
export function storedGramian(
  arena: Arena,
  threads: Threads,
  paths: readonly string[],
  n: number,
  userWeighting = 0,
): StoredGramian {
  const segments = openIntactSegments(arena, paths, threads);
  const other = segments.find(s => s.userWeighting !== userWeighting);
  if (other) {
    for (const s of segments) s.close();
    throw new StageError(
      'STATE_MISMATCH',
      `${other.path}: expected a Gramian of userWeighting ${userWeighting}, found ${other.userWeighting}`,
    );
  }
  const storedBy = (positions: Int32Array): StoredColumns => ({
    arena,
    threads,
    segments,
    sizes: columnSizes(segments, n),
    items: placeItems(arena, positions),
  });
  let known: Float64Array | undefined;
  const diagonal = (): Float64Array => {
    if (known) return known;
    assertExact(arena, segments, n);
    known = new Float64Array(n);
    addDiagonals(arena, segments, known);
    return known;
  };
  return {
    n,
    diagonal,
    density: () => sampledDensity(arena, segments, n),
    arrange(positions) {
      const byPosition = (x: Float64Array): Float64Array => {
        const y = new Float64Array(n);
        for (let i = 0; i < n; i++) y[positions[i]!] = x[i]!;
        return y;
      };
      const stored = storedBy(positions);
      const ordered = byPosition(diagonal());
      return {
        diagonal: ordered,
        squaredNorms: () => byPosition(squaredNorms(stored)),
        stream: (to, report) => streamStored(stored, ordered, to, report),
        sweep: (to, report) => sweep(stored, ordered, to, report),
        sweepBytes: to => bytesOfPass(stored, sweepScratch(stored, to).bytes),
      };
    },
    columns: storedBy,
    close() {
      for (const s of segments) s.close();
    },
  };
}
