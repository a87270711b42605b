import type { ItemVectors, VectorShape } from '../contracts/sink.js';
import { StageError } from '../errors.js';
import { openSafetensors } from '../matrix/safetensors.js';

/** Stored numbers of a batch. */
const batchNumbers = 1 << 18;

/** The vectors of a model's items. */
export interface VectorSource {
  readonly shape: VectorShape;
  /** All of them, in batches; they are read while they are asked for. */
  batches(): Iterable<ItemVectors>;
}

/** The part of a weights file that vectors are: each item's row of the encoder. */
export function vectorsOf(path: string, keys: readonly string[], form: VectorShape['form']): VectorSource {
  const file = openSafetensors(path);
  try {
    const [count, rank] = JSON.parse(file.metadata['encoder.shape'] ?? '[]') as [number, number];
    const stored = file.tensors.get('encoder.data')?.shape[0];
    if (count !== keys.length || stored === undefined)
      throw new StageError('STATE_CORRUPT', `${path}: expected ${keys.length} vectors, found ${count}`);
    const shape = { form, count, rank, entries: form === 'dense' ? count * rank : stored };
    return { shape, batches: () => batchesOf(path, keys, shape) };
  } finally {
    file.close();
  }
}

function* batchesOf(path: string, keys: readonly string[], shape: VectorShape): Generator<ItemVectors> {
  const { form, count, rank, entries } = shape;
  const step = Math.max(1, Math.floor((batchNumbers * count) / Math.max(1, entries)));
  const file = openSafetensors(path);
  try {
    const places = file.tensors.has('dimensions')
      ? placesOf(file.read('dimensions') as Int32Array, count)
      : undefined;
    for (let first = 0; first < count; first += step) {
      const last = Math.min(count, first + step);
      const pointers = file.read('encoder.indptr', first, last + 1) as BigInt64Array;
      const [begin, end] = [Number(pointers[0]), Number(pointers.at(-1))];
      const indptr = Int32Array.from(pointers, p => Number(p) - begin);
      const indices = file.read('encoder.indices', begin, end) as Int32Array;
      const values = file.read('encoder.data', begin, end) as Float32Array;
      normalize(indptr, values);
      const batch = { shape, first, ids: keys.slice(first, last), dimensions: places?.subarray(first, last) };
      yield form === 'sparse'
        ? { ...batch, begin, indptr, indices, values }
        : { ...batch, begin: first * rank, ...filledUp(indptr, indices, values, rank) };
    }
  } finally {
    file.close();
  }
}

/** The dimension that each item is, −1 for none. */
function placesOf(dimensions: Int32Array, count: number): Int32Array {
  const places = new Int32Array(count).fill(-1);
  dimensions.forEach((item, l) => {
    if (item >= 0) places[item] = l;
  });
  return places;
}

/** Rows of unit norm, where they are not empty: those of the encoder may be weighted. */
function normalize(indptr: Int32Array, values: Float32Array): void {
  for (let r = 0; r + 1 < indptr.length; r++) {
    const row = values.subarray(indptr[r]!, indptr[r + 1]!);
    const norm = Math.hypot(...row);
    if (norm > 0) for (let e = 0; e < row.length; e++) row[e]! /= norm;
  }
}

/** Rows with their zeros. */
function filledUp(indptr: Int32Array, indices: Int32Array, values: Float32Array, rank: number) {
  const rows = indptr.length - 1;
  const dense = new Float32Array(rows * rank);
  for (let r = 0; r < rows; r++)
    for (let e = indptr[r]!; e < indptr[r + 1]!; e++) dense[r * rank + indices[e]!] = values[e]!;
  return { indptr: Int32Array.from({ length: rows + 1 }, (_, r) => r * rank), values: dense };
}
