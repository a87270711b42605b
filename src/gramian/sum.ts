import { type Arena, fitsInt32 } from '../runtime/arena.js';
import { record, records } from '../runtime/records.js';
import type { ColumnBlock } from './update.js';
import { SPARE, scratchBytesOf } from './update.js';

/** The same columns of one segment: `indptr` starts at 0 and is one longer than there are columns. */
export interface SegmentColumns {
  readonly indptr: Int32Array;
  readonly indices: Int32Array;
  readonly values: Int32Array | Float64Array;
}

/**
 * Σ of the same columns of several segments of n rows, column `first` on; rows ascend and zeros are left out. int32 when
 * `bound`, which no entry of the sum passes, allows it. The result is a view into the arena above `arena.mark()`
 * as it was before the call: use it before the next allocation there.
 */
export function sumColumns(
  arena: Arena,
  n: number,
  first: number,
  parts: readonly SegmentColumns[],
  bound: number,
): ColumnBlock {
  const mark = arena.mark();
  const width = (parts[0]?.indptr.length ?? 1) - 1;
  const wide = !fitsInt32(bound) || parts.some(part => part.values instanceof Float64Array);
  const valueBytes = wide ? 8 : 4;
  let capacity = SPARE;
  for (let j = 0; j < width; j++) {
    let most = 0;
    for (const { indptr } of parts) most += indptr[j + 1]! - indptr[j]!;
    capacity += Math.min(n, most);
  }
  const lengths = arena.bytes(4 * width, 'columns of a segment');
  const indices = arena.bytes(4 * capacity, 'columns of a segment');
  const values = arena.bytes(valueBytes * capacity, 'columns of a segment');
  const out = record(arena, 'Columns', { lengths, indices, values }, 'columns of a segment');
  const lines = parts.map(part => ({
    indptr: arena.copy(part.indptr, 'columns of a segment'),
    indices: arena.copy(part.indices, 'columns of a segment'),
    values: arena.copy(part.values, 'columns of a segment'),
  }));
  const segments = records(arena, 'Lines', lines, 'columns of a segment');
  const kinds = parts.map(part => (part.values instanceof Float64Array ? 1 : 0));
  const wides = arena.copy(Int32Array.from(kinds), 'columns of a segment');
  const scratch = arena.zeros(scratchBytesOf(n, valueBytes), 'sums');
  const kernel = wide ? arena.kernels.sumF64 : arena.kernels.sumI32;
  const count = kernel(scratch, n, width, parts.length, segments, wides, out);
  arena.release(mark);
  return {
    first,
    lengths: arena.i32(lengths, width),
    indices: arena.i32(indices, count),
    values: wide ? arena.f64(values, count) : arena.i32(values, count),
  };
}
