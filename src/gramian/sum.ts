import { StageError } from '../errors.js';
import { Arena } from '../runtime/arena.js';
import { record } from '../runtime/records.js';
import { columnSizes, encodedScratch, loadRange, openColumns } from './encoded.js';
import type { Segment } from './segment.js';
import type { ColumnBlock } from './update.js';

/** Entries of a block of columns at most, over all segments, unless a single column has more. */
const BLOCK_ENTRIES = 1 << 18;

/** No entry of the sum of `segments` is larger. `OVERFLOW` when float64 might not hold it exactly. */
export function boundOf(segments: readonly Segment[]): number {
  const bound = segments.reduce((sum, s) => sum + s.largest, 0);
  if (bound <= Number.MAX_SAFE_INTEGER) return bound;
  throw new StageError('OVERFLOW', `a Gramian sum may reach ${bound}, expected less than 2^53`);
}

/** Columns that are read by item, whole. */
const unordered = { place: 0, limits: 0 };

/** Reads the sum of segments that may be narrower than n: columns behind their width are empty. */
export function sumReader(arena: Arena, segments: readonly Segment[], n: number) {
  boundOf(segments);
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
export const sumSegments = (arena: Arena, segments: readonly Segment[], n: number): Generator<ColumnBlock> =>
  sumReader(arena, segments, n).blocks();

/** The columns first … last − 1 of an open segment, in arrays of their own. */
export function readColumns(segment: Segment, first: number, last: number): ColumnBlock {
  const { lengths, indices, values } = sumReader(new Arena(), [segment], segment.n).range(first, last);
  return { first, lengths: lengths.slice(), indices: indices.slice(), values: values.slice() };
}
