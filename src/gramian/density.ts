import type { Rows } from '../matrix/rows.js';

/** Columns of G that are looked at: at most, and at least. */
const MOST = 256;
const LEAST = 4;
/** Cells of G that are looked at, unless the fewest columns have more. */
const CELLS = 1 << 22;

/** Items whose columns stand for all. */
export function sampledItems(n: number): readonly number[] {
  const size = Math.min(n, MOST, Math.max(LEAST, Math.floor(CELLS / n)));
  return Array.from({ length: size }, (_, s) => Math.floor((s * n) / size));
}

/** Share of nonzeros in the columns of G that are sampled, by the rows of X. */
export function densityOfRows({ n, indptr, indices }: Rows): number {
  const sample = sampledItems(n);
  const slots = new Int16Array(n).fill(-1);
  sample.forEach((item, slot) => {
    slots[item] = slot;
  });
  const seen = new Uint8Array(sample.length * n);
  for (let r = 0; r + 1 < indptr.length; r++) {
    const row = indices.subarray(indptr[r]!, indptr[r + 1]!);
    for (const j of row) if (slots[j]! >= 0) for (const i of row) seen[slots[j]! * n + i] = 1;
  }
  return seen.length === 0 ? 0 : seen.reduce((sum, found) => sum + found, 0) / seen.length;
}
