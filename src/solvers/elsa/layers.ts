import type { Dense } from '../../matrix/dense.js';
import { sparseParts } from '../../matrix/lower.js';
import type { CsrMatrix, Model } from '../../model/model.js';
import type { Arena } from '../../runtime/arena.js';
import { allocate, bytesOf } from '../../runtime/parts.js';

/** Bytes of the layers of n items of `rank` dimensions, with so many entries an item. */
export const embeddingBytes = (n: number, rank: number, each: number): number =>
  bytesOf(sparseParts(n, n * each)) + bytesOf(sparseParts(rank, n * each));

/** The layers A and Aᵀ of A (n × rank), without its zeros. They lie on top of the arena. */
export function embeddingLayers(arena: Arena, A: Dense, rank: number): Model {
  const { rows: n, width } = A;
  const a = arena.f32(A.address, n * width);
  const lengths = new Int32Array(rank);
  let entries = 0;
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < rank; c++) {
      if (a[i * width + c] === 0) continue;
      lengths[c]!++;
      entries++;
    }
  }
  const layer = (rows: number, columns: number): CsrMatrix => {
    const { indptr, indices, data } = allocate(arena, sparseParts(rows, entries), 'model');
    return {
      rows,
      columns,
      indptr: arena.i32(indptr, rows + 1),
      indices: arena.i32(indices, entries),
      data: arena.f32(data, entries),
    };
  };
  const [encoder, decoder] = [layer(n, rank), layer(rank, n)];
  decoder.indptr[0] = 0;
  lengths.forEach((length, c) => {
    decoder.indptr[c + 1] = decoder.indptr[c]! + length;
  });
  const next = decoder.indptr.slice();
  let p = 0;
  for (let i = 0; i < n; i++) {
    encoder.indptr[i] = p;
    for (let c = 0; c < rank; c++) {
      const value = a[i * width + c]!;
      if (value === 0) continue;
      const e = next[c]!++;
      encoder.indices[p] = c;
      decoder.indices[e] = i;
      encoder.data[p++] = decoder.data[e] = value;
    }
  }
  encoder.indptr[n] = p;
  return { n, encoder, decoder };
}
