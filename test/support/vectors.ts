import { expect } from 'vitest';
import type { ItemVectors, Sink, VectorShape } from '#src/contracts/index.js';
import { manifestOf } from './manifest.js';

/** Four items; the third of the sparse ones has no entries. Items 0 and 2 are the dimensions 1 and 0. */
export const ids = ['a', 'b:ž', 'c', 'd'];
const places = [1, -1, 0, -1];
const rows = {
  dense: [
    [1, 0],
    [0.6, 0.8],
    [0, 0],
    [0, -1],
  ],
  sparse: [[1], [0.6, 0.8], [], [-1]],
};
const indices = [[0], [0, 1], [], [1]];

/** Vectors from … to, as a publication hands them on. */
export function vectorsAt(form: VectorShape['form'], from: number, to: number): ItemVectors {
  const all = rows[form];
  const shape = { form, count: 4, rank: 2, entries: all.flat().length };
  const part = all.slice(from, to);
  const indptr = [0];
  for (const row of part) indptr.push(indptr.at(-1)! + row.length);
  return {
    shape,
    first: from,
    begin: all.slice(0, from).flat().length,
    ids: ids.slice(from, to),
    indptr: Int32Array.from(indptr),
    values: Float32Array.from(part.flat()),
    ...(form === 'sparse' && {
      indices: Int32Array.from(indices.slice(from, to).flat()),
      dimensions: Int32Array.from(places.slice(from, to)),
    }),
  };
}

/** What a reader finds of an item: its numbers, the dimensions of these, and the one that it is. */
export interface FoundVector {
  readonly values: readonly number[];
  readonly indices: readonly number[] | undefined;
  readonly dimension: number;
}

/** What a reader should find of the vectors of these rows. */
export const expected = (form: VectorShape['form'], of: readonly number[]): [string, FoundVector][] =>
  of.map(r => [
    ids[r]!,
    {
      values: rows[form][r]!.map(Math.fround),
      indices: form === 'sparse' ? indices[r] : undefined,
      dimension: form === 'sparse' ? places[r]! : -1,
    },
  ]);

/** A version of vectors alone, in two batches, complete but not pointed at. */
export async function writeVersion(sink: Sink, form: VectorShape['form'], version = 'v1'): Promise<void> {
  await sink.begin({ ...manifestOf(version), vectors: vectorsAt(form, 0, 4).shape });
  await sink.writeVectors!(vectorsAt(form, 0, 3));
  await expect(sink.finish()).rejects.toMatchObject({ message: /has 3 of its 4 vectors/ });
  await sink.writeVectors!(vectorsAt(form, 3, 4));
  await sink.finish();
}

/** Publishes vectors, has an item forgotten, and looks at what a reader finds. */
export async function keepsVectors(
  sink: Sink,
  form: VectorShape['form'],
  read: () => Promise<readonly (readonly [string, FoundVector])[]>,
): Promise<void> {
  await sink.connect();
  await writeVersion(sink, form);
  await sink.point('v1');
  expect(await sink.versions()).toMatchObject([{ vectors: vectorsAt(form, 0, 4).shape }]);
  expect(await read()).toEqual(expected(form, [0, 1, 2, 3]));
  await sink.forget!({ users: ['x'], items: [] });
  expect(await read()).toEqual(expected(form, [0, 1, 2, 3]));
  await sink.forget!({ users: [], items: ['b:ž'] });
  expect(await read()).toEqual(expected(form, [0, 2, 3]));
  const entries = form === 'dense' ? 6 : 2;
  expect(await sink.versions()).toMatchObject([{ vectors: { form, count: 3, rank: 2, entries } }]);
  await sink.point('v1', 'other');
  await sink.close();
}
