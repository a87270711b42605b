import { closedGaps } from '../gramian/without.js';
import type { CsrMatrix, Model } from './model.js';

/** A model without the items `dropped` (ascending ids): those behind them close the gaps. Other scores stay as they are. */
export function withoutItems(
  { n, encoder, decoder, serving, dimensions }: Model,
  dropped: Int32Array,
): Model {
  const ids = closedGaps(n, dropped);
  return {
    n: n - dropped.length,
    encoder: reduced(encoder, ids, undefined),
    decoder: reduced(decoder, undefined, ids),
    serving: serving && reduced(serving, ids, ids),
    dimensions: dimensions?.map(i => (i < 0 ? i : ids[i]!)),
  };
}

/** Rows and columns with their new ids, those with −1 left out; `undefined` keeps all. */
function reduced(A: CsrMatrix, rows: Int32Array | undefined, columns: Int32Array | undefined): CsrMatrix {
  const indptr = [0];
  const indices = new Int32Array(A.indices.length);
  const data = new Float32Array(A.indices.length);
  let length = 0;
  for (let i = 0; i < A.rows; i++) {
    if (rows && rows[i]! < 0) continue;
    for (let e = A.indptr[i]!; e < A.indptr[i + 1]!; e++) {
      const column = columns ? columns[A.indices[e]!]! : A.indices[e]!;
      if (column < 0) continue;
      indices[length] = column;
      data[length++] = A.data[e]!;
    }
    indptr.push(length);
  }
  return {
    rows: indptr.length - 1,
    columns: columns ? columns.reduce((sum, id) => sum + (id < 0 ? 0 : 1), 0) : A.columns,
    indptr: Int32Array.from(indptr),
    indices: indices.slice(0, length),
    data: data.slice(0, length),
  };
}
