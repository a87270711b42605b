import { StageError } from '../errors.js';
import { Arena } from '../runtime/arena.js';
import { record } from '../runtime/records.js';
import { columnSizes, encodedScratch, loadRange, openColumns } from './encoded.js';
import { openSegment, type Segment } from './segment.js';
import type { ColumnBlock } from './update.js';

/** Entries of a block of columns at most, over all segments, unless a single column has more. */
const BLOCK_ENTRIES = 1 << 18;

/** Adds the diagonals of segments to `to`, the oldest first; returns the largest entry that it had on the way. */
export function addDiagonals(arena: Arena, segments: readonly Segment[], to: Float64Array): number {
  let most = 0;
  for (const { columns, facts } of segments) {
    const { diagonal } = facts(arena);
    for (let k = 0; k < columns.length; k++) to[columns[k]!]! += diagonal[k]!;
    most = to.reduce((a, b) => Math.max(a, b), most);
  }
  return most;
}

/** Columns that are read by item, whole. */
const unordered = { place: 0, limits: 0 };

/**
 * Throws `OVERFLOW` unless float64 holds the sum of `segments`, added from the newest on, exactly. Any k oldest ones are
 * a Gramian G_k, so |G_k[i,j]| ≤ √(G_k[i,i] G_k[j,j]) ≤ m, the largest diagonal entry there ever was (Cauchy–Schwarz),
 * and a sum of newest ones, G − G_k, is within 2m. Folds keep m ≤ 2⁵⁰, so there may be any number of segments.
 * `before` are the files of segments older than these.
 */
export function assertExact(
  arena: Arena,
  segments: readonly Segment[],
  n: number,
  before: readonly string[] = [],
): void {
  const sum = segments.reduce((total, s) => total + s.largest, 0);
  if (sum <= Number.MAX_SAFE_INTEGER) return;
  const older = before.map(openSegment);
  const bound = 2 * addDiagonals(arena, [...older, ...segments], new Float64Array(n));
  for (const s of older) s.close();
  if (bound > Number.MAX_SAFE_INTEGER)
    throw new StageError('OVERFLOW', `a Gramian sum may reach ${bound}, expected less than 2^53`);
}

/** Reads the sum of segments that may be narrower than n: columns behind their width are empty. See `assertExact`. */
export function sumReader(
  arena: Arena,
  segments: readonly Segment[],
  n: number,
  before: readonly string[] = [],
) {
  assertExact(arena, segments, n, before);
  const { entries, bytes, longest } = columnSizes(segments, n);
  const scratch = encodedScratch(n, longest, 2, false, 0);

  /** Σ_s S_s[:, first … last − 1], rows ascending, without zeros. It stays on top of the arena. */
  function range(first: number, last: number): ColumnBlock {
    let [count, size] = [0, 0];
    for (let j = first; j < last; j++) {
      count += entries[j]!;
      size += bytes[j]!;
    }
    const lengths = arena.bytes(4 * (last - first), 'columns of a segment');
    const indices = arena.bytes(4 * count, 'columns of a segment');
    const values = arena.bytes(8 * count, 'columns of a segment');
    const mark = arena.mark();
    const columns = openColumns(arena, segments, last - first, size, unordered, scratch.fields);
    loadRange(arena, segments, columns, first, last);
    const out = record(arena, 'Columns', { lengths, indices, values }, 'columns of a segment');
    const at = arena.bytes(scratch.bytes, 'columns of a segment');
    const found = arena.kernels.sumStored(at, columns.record, out);
    arena.release(mark);
    return {
      first,
      lengths: arena.i32(lengths, last - first),
      indices: arena.i32(indices, found),
      values: arena.f64(values, found),
    };
  }

  /** All of it, block by block in ascending columns; a block goes from the arena when the next one is asked for. */
  function* blocks(): Generator<ColumnBlock> {
    for (let first = 0; first < n; ) {
      let last = first;
      for (let count = 0; last < n && (last === first || count + entries[last]! <= BLOCK_ENTRIES); last++)
        count += entries[last]!;
      const mark = arena.mark();
      yield range(first, last);
      arena.release(mark);
      first = last;
    }
  }
  return { range, blocks };
}

/** The sum of segments, block by block; see `sumReader`. */
export const sumSegments = (
  arena: Arena,
  segments: readonly Segment[],
  n: number,
  before: readonly string[] = [],
): Generator<ColumnBlock> => sumReader(arena, segments, n, before).blocks();

/** The columns first … last − 1 of an open segment, in arrays of their own. */
export function readColumns(segment: Segment, first: number, last: number): ColumnBlock {
  const { lengths, indices, values } = sumReader(new Arena(), [segment], segment.n).range(first, last);
  return { first, lengths: lengths.slice(), indices: indices.slice(), values: values.slice() };
}
