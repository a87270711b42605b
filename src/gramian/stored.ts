import { StageError } from '../errors.js';
import type { Arena } from '../runtime/arena.js';
import { record, write } from '../runtime/records.js';
import type { Threads } from '../runtime/threads.js';
import type { Gramian, GramianRoom, GramianSize, Report, StreamTaker, SweepVisitor } from './columns.js';
import { sampledItems } from './density.js';
import { implicitRoom, sweepBytes } from './implicit.js';
import { openIntactSegments, type Segment } from './segment.js';
import { sumColumns } from './sum.js';
import type { ColumnBlock } from './update.js';

/** Entries of a block of columns at most, over all segments, unless a single column has more. */
const BLOCK_ENTRIES = 1 << 18;
/** Entries that a stream hands over at a time, unless a single column has more. */
const SLOT_ENTRIES = 1 << 15;
/** Columns that a stream hands over at a time. */
const WIDTH = 512;

/** No entry of the sum of `segments` is larger. `OVERFLOW` when float64 might not hold it exactly. */
export function boundOf(segments: readonly Segment[]): number {
  const bound = segments.reduce((sum, s) => sum + s.largest, 0);
  if (bound <= Number.MAX_SAFE_INTEGER) return bound;
  throw new StageError('OVERFLOW', `a Gramian sum may reach ${bound}, expected less than 2^53`);
}

/** Σ_s S_s[:, first … last − 1] of segments that may be narrower than n: columns behind their width are empty. */
export function sumRange(
  arena: Arena,
  segments: readonly Segment[],
  n: number,
  first: number,
  last: number,
): ColumnBlock {
  const parts = segments.map(s => {
    const end = Math.min(last, s.n);
    const indptr = new Int32Array(last - first + 1);
    if (first >= end) return { indptr, indices: new Int32Array(0), values: new Int32Array(0) };
    const from = s.indptr[first]!;
    for (let j = first; j < last; j++) indptr[j - first + 1] = s.indptr[Math.min(j + 1, end)]! - from;
    return { indptr, ...s.read(first, end) };
  });
  return sumColumns(arena, n, first, parts, boundOf(segments));
}

/**
 * The sum of segments, block by block in ascending columns. A block is a view into the arena that holds until
 * the next one is asked for.
 */
export function* sumSegments(arena: Arena, segments: readonly Segment[], n: number): Generator<ColumnBlock> {
  for (let first = 0; first < n; ) {
    let last = first;
    for (let entries = 0; last < n && entries < BLOCK_ENTRIES; last++) {
      for (const s of segments) if (last < s.n) entries += s.indptr[last + 1]! - s.indptr[last]!;
    }
    yield sumRange(arena, segments, n, first, last);
    first = last;
  }
}

/** See `Gramian.density`. */
function sampledDensity(arena: Arena, segments: readonly Segment[], n: number): number {
  const mark = arena.mark();
  const sample = sampledItems(n);
  let entries = 0;
  for (const j of sample) {
    for (const value of sumRange(arena, segments, n, j, j + 1).values) entries += value === 0 ? 0 : 1;
    arena.release(mark);
  }
  return entries / Math.max(1, sample.length * n);
}

/** The diagonal and the squared column norms of Σ S_s, by item. */
function scan(arena: Arena, segments: readonly Segment[], n: number) {
  const diagonal = new Float64Array(n);
  const norms = new Float64Array(n);
  for (const { first, lengths, indices, values } of sumSegments(arena, segments, n)) {
    for (let c = 0, e = 0; c < lengths.length; c++) {
      let norm = 0;
      for (const end = e + lengths[c]!; e < end; e++) {
        norm += values[e]! * values[e]!;
        if (indices[e] === first + c) diagonal[first + c] = values[e]!;
      }
      norms[first + c] = norm;
    }
  }
  return { diagonal, norms };
}

/** Bytes of an entry of a block, with its row. */
const ENTRY_BYTES = 12;

/** Bytes that a stored Gramian of this size takes; upper bounds. Its blocks and indices lie outside the arena. */
export function storedRoom(size: GramianSize, segments: number): GramianRoom {
  const blocks = 4 * ENTRY_BYTES * BLOCK_ENTRIES; // before and after they are summed
  const indices = 16 * size.items * (segments + 2);
  return { ...implicitRoom({ ...size, entries: 0 }), outside: blocks + indices };
}

/** Parts of a block of columns per thread. */
const PARTS_A_THREAD = 4;

/** See `ArrangedGramian.sweep`: the columns of Σ S_s, by item and block by block. */
function sweep(
  arena: Arena,
  threads: Threads,
  segments: readonly Segment[],
  positions: Int32Array,
  { take, wants = 0, state, tailBytes }: SweepVisitor,
  report: Report = () => {},
): void {
  const n = positions.length;
  const mark = arena.mark();
  const place = arena.copy(positions, 'positions');
  const starts = arena.i32(arena.bytes(4 * (n + 1), 'columns of G'), n + 1);
  const tasks = PARTS_A_THREAD * threads.size;
  const bounds = arena.i32(arena.bytes(4 * (tasks + 1), 'columns of G'), tasks + 1);
  const none = { first: 0, wide: 0, indices: 0, values: 0 };
  const fields = { ...none, positions: place, starts: starts.byteOffset };
  const columns = record(arena, 'StoredColumns', fields, 'columns of G');
  starts[0] = 0;
  bounds[0] = 0;
  const scratchBytes = sweepBytes(n, 8, tailBytes);
  const scratch = arena.zeros(scratchBytes * threads.size, 'sums of a thread');
  const visitor = record(arena, 'Visitor', { wants, take: take.f64, state }, 'visitor');
  const args = [visitor, columns, n, bounds.byteOffset] as const;
  // a block lies on top of the arena until the next one is asked for
  for (const { first, lengths, indices, values } of sumSegments(arena, segments, n)) {
    for (let c = 0; c < lengths.length; c++) starts[c + 1] = starts[c]! + lengths[c]!;
    const wide = values instanceof Float64Array ? 1 : 0;
    const arrays = { indices: indices.byteOffset, values: values.byteOffset };
    write(arena, 'StoredColumns', columns, { first, wide, ...arrays });
    for (let t = 1, c = 0; t <= tasks; t++) {
      const end = (starts[lengths.length]! * t) / tasks;
      while (c < lengths.length && (t === tasks || starts[c]! < end)) c++;
      bounds[t] = c;
    }
    threads.run({ kernel: 'sweepStored', tasks, args, scratch, scratchBytes });
    report((first + lengths.length) / n);
  }
  arena.release(mark);
}

/** See `ArrangedGramian.stream`; `order` is the inverse of `positions`. */
function stream(
  arena: Arena,
  segments: readonly Segment[],
  positions: Int32Array,
  order: Int32Array,
  { take, state }: StreamTaker,
  report: Report = () => {},
): boolean {
  const n = positions.length;
  const mark = arena.mark();
  const capacity = SLOT_ENTRIES + n;
  const starts = arena.i32(arena.bytes(4 * (WIDTH + 1), 'columns of G'), WIDTH + 1);
  const indices = arena.i32(arena.bytes(4 * capacity, 'columns of G'), capacity);
  const values = arena.f64(arena.bytes(8 * capacity, 'columns of G'), capacity);
  let ok = true;
  for (let lo = 0; ok && lo < n; ) {
    // the columns lo … hi of P G Pᵀ below the diagonal
    let [hi, count] = [lo, 0];
    for (; hi < n && hi - lo < WIDTH && count < SLOT_ENTRIES; hi++) {
      starts[hi - lo] = count;
      const j = order[hi]!;
      const column = sumRange(arena, segments, n, j, j + 1);
      for (let e = 0; e < column.indices.length; e++) {
        const i = positions[column.indices[e]!]!;
        if (i <= hi) continue;
        indices[count] = i;
        values[count++] = column.values[e]!;
      }
    }
    starts[hi - lo] = count;
    const buffers = [starts.byteOffset, indices.byteOffset, values.byteOffset] as const;
    ok = arena.kernels.hand(take, state, lo, hi, ...buffers, 0) !== 0;
    lo = hi;
    report(lo / n);
  }
  arena.release(mark);
  return ok;
}

/**
 * G as the sum of segment files, read column by column. `n` may exceed the width of older segments.
 * `STATE_MISMATCH` when users are not weighted by η = `userWeighting` in one of them.
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
  let scanned: ReturnType<typeof scan> | undefined;
  const totals = () => (scanned ??= scan(arena, segments, n));
  return {
    n,
    diagonal: () => totals().diagonal,
    density: () => sampledDensity(arena, segments, n),
    arrange(positions) {
      const byPosition = (x: Float64Array): Float64Array => {
        const y = new Float64Array(n);
        for (let i = 0; i < n; i++) y[positions[i]!] = x[i]!;
        return y;
      };
      const order = new Int32Array(n);
      for (let i = 0; i < n; i++) order[positions[i]!] = i;
      return {
        diagonal: byPosition(totals().diagonal),
        squaredNorms: () => byPosition(totals().norms),
        stream: (to, report) => stream(arena, segments, positions, order, to, report),
        sweep: (to, report) => sweep(arena, threads, segments, positions, to, report),
      };
    },
    close() {
      for (const s of segments) s.close();
    },
  };
}
