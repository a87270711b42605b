import { topK } from '../matrix/top.js';
import type { Model } from './model.js';

/** A dimension of sparse item vectors, with the items that it says most of. */
export interface Segment {
  /** The item that the dimension is; −1 where it has left the model. */
  readonly dimension: number;
  /** Items that have the dimension at all. */
  readonly size: number;
  /** The largest entries of the dimension, best first. */
  readonly items: Int32Array;
  readonly scores: Float32Array;
}

/** The k items with the largest entries in each dimension of a model whose latents are items; undefined for other models. */
export function segmentsOf({ n, decoder, dimensions }: Model, k: number): readonly Segment[] | undefined {
  if (!dimensions) return undefined;
  const { indptr, indices, data } = decoder;
  const row = new Float32Array(n);
  return Array.from(dimensions, (dimension, l) => {
    const items = indices.slice(indptr[l]!, indptr[l + 1]!);
    items.forEach((i, e) => {
      row[i] = data[indptr[l]! + e]!;
    });
    return { dimension, size: items.length, ...topK(items, items.length, row, k) };
  });
}
