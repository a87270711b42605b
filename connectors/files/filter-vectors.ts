import type { ItemVectors, VectorShape } from '../../src/contracts/sink.js';
import { readVectors, safetensorsVectors } from './vectors.js';

/** Copies a file of vectors into `made` without erased items, if it has any; returns the shape of what is left. */
export async function filterVectors(
  path: string,
  made: string,
  shape: VectorShape,
  items: ReadonlySet<string>,
): Promise<VectorShape> {
  const spared = { count: 0, entries: 0 };
  for (const batch of readVectors(path)) {
    const { ids, values } = without(batch, items);
    spared.count += ids.length;
    spared.entries += values.length;
  }
  const left = { ...shape, ...spared };
  if (left.count === shape.count) return left;
  const writer = await safetensorsVectors(made, left);
  let [first, begin] = [0, 0];
  for (const batch of readVectors(path)) {
    const rest = { ...without(batch, items), first, begin };
    await writer.write(rest);
    first += rest.ids.length;
    begin += rest.values.length;
  }
  await writer.finish();
  return left;
}

/** A batch without the vectors of `items`. */
function without(batch: ItemVectors, items: ReadonlySet<string>): ItemVectors {
  const { ids, indptr, values, indices, dimensions } = batch;
  const rows = [...ids.keys()].filter(r => !items.has(ids[r]!));
  const ends = [0];
  for (const r of rows) ends.push(ends.at(-1)! + indptr[r + 1]! - indptr[r]!);
  const gathered = <T extends Float32Array | Int32Array>(from: T, to: T): T => {
    rows.forEach((r, k) => {
      to.set(from.subarray(indptr[r]!, indptr[r + 1]!), ends[k]!);
    });
    return to;
  };
  return {
    ...batch,
    ids: rows.map(r => ids[r]!),
    indptr: Int32Array.from(ends),
    values: gathered(values, new Float32Array(ends.at(-1)!)),
    indices: indices && gathered(indices, new Int32Array(ends.at(-1)!)),
    dimensions: dimensions && Int32Array.from(rows, r => dimensions[r]!),
  };
}
