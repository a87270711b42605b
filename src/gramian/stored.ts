import { StageError } from '../errors.js';
import type { Arena } from '../runtime/arena.js';
import { record } from '../runtime/records.js';
import type { TaskKernel, Threads } from '../runtime/threads.js';
import type { Gramian, GramianRoom, GramianSize, Report, SweepVisitor } from './columns.js';
import { sampledItems } from './density.js';
import {
  type ColumnSizes,
  columnSizes,
  encodedScratch,
  LOAD_BYTES,
  loadRange,
  openColumns,
  orderBytes,
  placeItems,
  type StoredColumns,
  tableBytes,
} from './encoded.js';
import { openIntactSegments, type Segment } from './segment.js';
import { streamRoom, streamStored, strideOf } from './stored-stream.js';
import { addDiagonals, assertExact, sumReader } from './sum.js';

/** Parts of the loaded columns per thread. */
const PARTS_A_THREAD = 8;

/** Bytes that a stored Gramian of this size takes; upper bounds. */
export function storedRoom(size: GramianSize, segments: number): GramianRoom {
  const { items: n, threads } = size;
  const loaded = Math.max(LOAD_BYTES, 8 * n) + tableBytes(n, segments);
  const scratch = (dense: boolean, tail: number) => encodedScratch(n, n, segments, dense, tail).bytes;
  const pass = 3 * loaded + 8 * (n + 1); // two that take turns, and what is encoded on the way
  return {
    arranged: orderBytes(n),
    arranging: 0,
    squaredNorms: pass + 8 * n + threads * scratch(false, 0),
    stream: streamRoom(n, threads, loaded, scratch(false, 0)),
    sweep: tailBytes => pass + threads * scratch(true, tailBytes),
    outside: 40 * n * (segments + 2),
  };
}

/** Where a pass over all columns stops to load more: `ends` of ranges of items. */
function rangesOf({ entries, bytes }: ColumnSizes): {
  readonly ends: number[];
  readonly most: number;
  readonly width: number;
} {
  const ends: number[] = [];
  let [first, sum, most, width] = [0, 0, 0, 0];
  for (let j = 0; j < entries.length; j++) {
    if (j > first && sum + bytes[j]! > LOAD_BYTES) {
      ends.push(j);
      [first, sum] = [j, 0];
    }
    sum += bytes[j]!;
    most = Math.max(most, sum);
    width = Math.max(width, j + 1 - first);
  }
  if (entries.length > 0) ends.push(entries.length);
  return { ends, most, width };
}

/** One pass over all columns: `kernel` runs on those that are loaded, while the next ones are. */
function pass<K extends 'sweepStored' | 'sweepStoredSums' | 'squaresStored'>(
  { arena, threads, segments, sizes, items }: StoredColumns,
  kernel: K,
  scratch: ReturnType<typeof encodedScratch>,
  argsOf: (record: number, bounds: number) => Parameters<Threads['run']>[0]['args'],
  report: Report = () => {},
): void {
  const mark = arena.mark();
  const { ends, most, width } = rangesOf(sizes);
  const turns = [0, 1].map(() => ({
    columns: openColumns(arena, segments, width, most, items, scratch.fields),
    bounds: arena.bytes(4 * (PARTS_A_THREAD * threads.size + 1), 'columns of G'),
  }));
  const threadScratch = arena.zeros(scratch.bytes * threads.size, 'sums of a thread');
  const tasks = PARTS_A_THREAD * threads.size;
  const prepare = (r: number): void => {
    if (r === ends.length) return;
    const { columns, bounds } = turns[r % 2]!;
    const [first, last] = [ends[r - 1] ?? 0, ends[r]!];
    loadRange(arena, segments, columns, first, last);
    cut(arena.i32(bounds, tasks + 1), sizes.entries.subarray(first, last));
  };
  prepare(0);
  for (const [r, end] of ends.entries()) {
    const { columns, bounds } = turns[r % 2]!;
    const job = { tasks, scratch: threadScratch, scratchBytes: scratch.bytes };
    threads.start({ ...job, kernel, args: argsOf(columns.record, bounds) } as Parameters<
      typeof threads.start<TaskKernel>
    >[0]);
    try {
      prepare(r + 1);
    } finally {
      threads.join();
    }
    report(end / items.n);
  }
  arena.release(mark);
}

/** Cuts columns into parts of about as many entries: `bounds` is one longer than there are parts. */
function cut(bounds: Int32Array, entries: Float64Array): void {
  const parts = bounds.length - 1;
  const total = entries.reduce((a, b) => a + b, 0);
  bounds[0] = 0;
  for (let t = 1, c = 0, sum = 0; t <= parts; t++) {
    while (c < entries.length && (t === parts || sum < (total * t) / parts)) sum += entries[c++]!;
    bounds[t] = c;
  }
}

/** See `ArrangedGramian.sweep`. */
function sweep(stored: StoredColumns, diagonal: Float64Array, to: SweepVisitor, report?: Report): void {
  const { arena, items, segments, sizes } = stored;
  const { n, place, order } = items;
  const { take, wants = 0, state, listed, tailBytes } = to;
  const mark = arena.mark();
  const visitor = record(arena, 'Visitor', { wants, take: take.f64, state, place, order }, 'visitor');
  const scratch = encodedScratch(n, sizes.longest, segments.length, !listed, tailBytes);
  if (listed) pass(stored, 'sweepStored', scratch, (E, bounds) => [visitor, E, bounds], report);
  else {
    const stride = strideOf(diagonal);
    pass(stored, 'sweepStoredSums', scratch, (E, bounds) => [visitor, E, bounds, n, stride], report);
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
): Gramian {
  const segments = openIntactSegments(arena, paths);
  const other = segments.find(s => s.userWeighting !== userWeighting);
  if (other) {
    for (const s of segments) s.close();
    throw new StageError(
      'STATE_MISMATCH',
      `${other.path}: expected a Gramian of userWeighting ${userWeighting}, found ${other.userWeighting}`,
    );
  }
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
      const stored = {
        arena,
        threads,
        segments,
        sizes: columnSizes(segments, n),
        items: placeItems(arena, positions),
      };
      const ordered = byPosition(diagonal());
      return {
        diagonal: ordered,
        squaredNorms: () => byPosition(squaredNorms(stored)),
        stream: (to, report) => streamStored(stored, ordered, to, report),
        sweep: (to, report) => sweep(stored, ordered, to, report),
      };
    },
    close() {
      for (const s of segments) s.close();
    },
  };
}
