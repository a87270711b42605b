import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readSafetensors, writeSafetensors } from '#src/matrix/safetensors.js';
import type { Model } from '#src/model/model.js';
import { loadModel, saveModel } from '#src/model/weights-file.js';

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'weights-'));
  path = join(directory, 'weights.safetensors');
});
afterEach(() => rm(directory, { recursive: true }));

//           ⎡0.5 −2  0⎤
// encoder = ⎢ 0   0  0⎥   decoder = I
//           ⎣ 0   0  1⎦
const model: Model = {
  n: 3,
  encoder: {
    rows: 3,
    columns: 3,
    indptr: Int32Array.of(0, 2, 2, 3),
    indices: Int32Array.of(0, 1, 2),
    data: Float32Array.of(0.5, -2, 1),
  },
  decoder: {
    rows: 3,
    columns: 3,
    indptr: Int32Array.of(0, 1, 2, 3),
    indices: Int32Array.of(0, 1, 2),
    data: Float32Array.of(1, 1, 1),
  },
};

test('the items of the latents come back, and others than the model has are refused', () => {
  const named = { ...model, dimensions: Int32Array.of(2, -1, 0) };
  saveModel(path, named);
  expect(loadModel(path)).toEqual(named);
  saveModel(path, { ...model, dimensions: Int32Array.of(2, 3, 0) });
  expect(() => loadModel(path)).toThrow(expect.objectContaining({ code: 'STATE_CORRUPT' }));
});

test('a model comes back with its metadata', async () => {
  saveModel(path, model, { version: 'v1' });
  expect(loadModel(path)).toEqual(model);
  expect(readSafetensors(path).metadata).toEqual({
    version: 'v1',
    'encoder.shape': '[3,3]',
    'decoder.shape': '[3,3]',
  });
});

test('an empty model comes back', async () => {
  const none = {
    rows: 0,
    columns: 0,
    indptr: new Int32Array(1),
    indices: new Int32Array(0),
    data: new Float32Array(0),
  };
  saveModel(path, { n: 0, encoder: none, decoder: none });
  expect(loadModel(path).n).toBe(0);
});

test.each([
  ['an index out of range', 'encoder.indices', Int32Array.of(0, 3, 2), 'no valid CSR'],
  ['a negative index', 'encoder.indices', Int32Array.of(-1, 1, 2), 'no valid CSR'],
  ['descending indices', 'encoder.indices', Int32Array.of(1, 0, 2), 'no valid CSR'],
  ['rows that do not start at 0', 'decoder.indptr', BigInt64Array.of(1n, 1n, 2n, 3n), 'no valid CSR'],
  ['rows that end early', 'decoder.indptr', BigInt64Array.of(0n, 1n, 2n, 2n), 'no valid CSR'],
  ['rows that go back', 'decoder.indptr', BigInt64Array.of(0n, 9n, 2n, 3n), 'no valid CSR'],
  ['another number of rows', 'decoder.indptr', BigInt64Array.of(0n, 3n), 'has shape'],
  ['another type', 'decoder.data', Float64Array.of(1, 1, 1), 'expected decoder.indptr I64'],
])('%s is refused', async (_, name, data, what) => {
  saveModel(path, model);
  const { tensors, metadata } = readSafetensors(path);
  const all = { ...Object.fromEntries(tensors), [name]: { shape: [data.length], data } };
  writeSafetensors(path, all, metadata);
  expect(() => loadModel(path)).toThrow(
    expect.objectContaining({ code: 'STATE_CORRUPT', message: expect.stringContaining(what) }),
  );
});

test('a file without weights is refused', async () => {
  writeSafetensors(path, {});
  expect(() => loadModel(path)).toThrow('encoder');
});
