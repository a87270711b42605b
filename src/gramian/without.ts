import type { Rows } from '../matrix/rows.js';
import { fitsInt32 } from '../runtime/arena.js';
import type { Segment } from './segment.js';
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
  const wide = !fitsInt32(largest);
  const indptr = new Float64Array(n + 1);
  for (const i of items) indptr[i + 1] = d;
  for (let j = 0; j < n; j++) indptr[j + 1]! += indptr[j]!;
  return {
    path: 'the history that is erased',
    n,
    nnz: d * d,
    scale,
    userWeighting,
    largest,
    indptr,
    read(first, last) {
      const columns = [...items.keys()].filter(c => items[c]! >= first && items[c]! < last);
      const values = new (wide ? Float64Array : Int32Array)(columns.length * d);
      const indices = new Int32Array(columns.length * d);
      columns.forEach((c, at) => {
        indices.set(items, at * d);
        for (let e = 0; e < d; e++) values[at * d + e] = -weight * x[c]! * x[e]!;
      });
      return { indices, values };
    },
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
