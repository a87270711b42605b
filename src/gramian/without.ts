import type { Rows } from '../matrix/rows.js';
import type { Segment } from './segment.js';
import { encodedBytes } from './segment-content.js';
import type { ColumnBlock } from './update.js';
import { octaveWeight } from './weights.js';

/**
 * −w xxᵀ of one row x as a segment that is computed where it is read and never lies in a file: such a file would be the
 * user's history in clear text.
 */
export function negativeSegment(
  { n, indices: items, values }: Rows,
  scale: number,
  userWeighting: number,
): Segment {
  const d = items.length;
  const weight = userWeighting === 0 ? 1 : octaveWeight(d, userWeighting);
  const x = values ?? new Int32Array(d).fill(1);
  const largest = weight * x.reduce((most, value) => Math.max(most, value), 0) ** 2;
  const lengths = new Int32Array(d).fill(d);
  const columnBytes = encodedBytes(d);
  const valuesOf = (k: number) => Float64Array.from(x, value => -weight * x[k]! * value);
  return {
    path: 'the history that is erased',
    n,
    nnz: d * d,
    scale,
    userWeighting,
    largest,
    notes: {},
    columns: items,
    lengths,
    offsets: Float64Array.from({ length: d + 1 }, (_, k) => k * columnBytes),
    facts: () => ({
      diagonal: Float64Array.from(x, value => -weight * value * value),
      squares: Float64Array.from(items, (_, k) => valuesOf(k).reduce((sum, v) => sum + v * v, 0)),
    }),
    load(arena, from, end, to) {
      const mark = arena.mark();
      const rows = arena.copy(items, 'columns of a segment');
      const facts = arena.bytes(24, 'columns of a segment');
      const top = arena.mark();
      for (let k = from; k < end; k++) {
        const values = arena.copy(valuesOf(k), 'columns of a segment');
        arena.kernels.encodeColumn(items[k]!, d, rows, values, 1, to + (k - from) * columnBytes, facts);
        arena.release(top);
      }
      arena.release(mark);
    },
    checksum: () => '',
    intact: () => true,
    close: () => undefined,
  };
}

/** New ids of n items when the `dropped` ones (ascending) are gone and those behind them close the gaps; −1 for those. */
export function closedGaps(n: number, dropped: Int32Array): Int32Array {
  const gone = new Set(dropped);
  let next = 0;
  const ids = Int32Array.from({ length: n }, (_, i) => (gone.has(i) ? -1 : next++));
  return ids;
}

/** Columns with the new `ids`, rows too; those of dropped items have no entries. Changes the block. */
export function renumbered({ first, lengths, indices, values }: ColumnBlock, ids: Int32Array): ColumnBlock {
  for (let e = 0; e < indices.length; e++) indices[e] = ids[indices[e]!]!;
  const stays = (_: number, c: number): boolean => ids[first + c]! >= 0;
  const kept = lengths.findIndex((_, c) => stays(0, c));
  return {
    first: kept < 0 ? 0 : ids[first + kept]!,
    lengths: kept < 0 ? new Int32Array(0) : lengths.filter(stays),
    indices,
    values,
  };
}
