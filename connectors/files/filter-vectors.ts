import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ItemVectors, VectorShape } from '../../src/contracts/sink.js';
import { renameDurably } from './durable.js';
import { readVectors, safetensorsVectors, vectorsFile } from './vectors.js';

/** Writes a file of vectors again without erased items; returns its shape. */
export async function filterVectors(
  path: string,
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
  const made = join(dirname(path), '.forgetting');
  await mkdir(made, { recursive: true });
  const writer = await safetensorsVectors(made, left);
  let [first, begin] = [0, 0];
  for (const batch of readVectors(path)) {
    const rest = { ...without(batch, items), first, begin };
    await writer.write(rest);
    first += rest.ids.length;
    begin += rest.values.length;
  }
  await writer.finish();
  await renameDurably(join(made, vectorsFile), path);
  await rm(made, { recursive: true });
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
