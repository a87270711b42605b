import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readSafetensors, type Tensor, writeSafetensors } from '#src/matrix/safetensors.js';

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'safetensors-'));
  path = join(directory, 'a.safetensors');
});
afterEach(() => rm(directory, { recursive: true }));

const tensors: Record<string, Tensor> = {
  small: { shape: [3], data: Int32Array.of(1, -2, 3) },
  wide: { shape: [2, 1], data: Float64Array.of(Math.PI, -0) },
  long: { shape: [2], data: BigInt64Array.of(-1n, 2n ** 60n) },
  single: { shape: [1, 1, 1], data: Float32Array.of(0.5) },
  empty: { shape: [0, 4], data: new Float32Array(0) },
};

test('tensors and metadata come back', async () => {
  writeSafetensors(path, tensors, { ключ: 'значение', shape: '[2,2]' });
  const file = readSafetensors(path);
  expect(Object.fromEntries(file.tensors)).toEqual(tensors);
  expect(file.metadata).toEqual({ ключ: 'значение', shape: '[2,2]' });
  expect(await readdir(directory)).toEqual(['a.safetensors']);
});

test('the layout is that of the format, aligned', async () => {
  writeSafetensors(path, tensors);
  const bytes = await readFile(path);
  const length = Number(bytes.readBigUInt64LE());
  expect(length % 8).toBe(0);
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length));
  const [from] = header.long.data_offsets;
  expect(bytes.readBigInt64LE(8 + length + from + 8)).toBe(2n ** 60n);
  expect(header.small.dtype).toBe('I32');
  for (const [name, { data }] of Object.entries(tensors)) {
    expect((8 + length + header[name].data_offsets[0]) % data.BYTES_PER_ELEMENT).toBe(0);
  }
});

test('a file is replaced whole', async () => {
  writeSafetensors(path, tensors);
  writeSafetensors(path, { one: { shape: [1], data: Int32Array.of(7) } });
  expect([...readSafetensors(path).tensors.keys()]).toEqual(['one']);
});

test('a shape that does not fit is refused and leaves nothing behind', async () => {
  const bad = { a: { shape: [2, 2], data: new Int32Array(3) } };
  expect(() => writeSafetensors(path, bad)).toThrow('[2,2] for 3 values');
  expect(await readdir(directory)).toEqual([]);
});

describe('a corrupt file is named', () => {
  const corrupt = (what: string) =>
    expect.objectContaining({
      code: 'STATE_CORRUPT',
      message: expect.stringMatching(`a.safetensors: .*${what}`),
    });

  test('cut off anywhere, or too long', async () => {
    writeSafetensors(path, tensors);
    const bytes = await readFile(path);
    for (let length = 0; length < bytes.length; length += 3) {
      await writeFile(path, bytes.subarray(0, length));
      expect(() => readSafetensors(path)).toThrow(corrupt(''));
    }
    await writeFile(path, Buffer.concat([bytes, Buffer.of(0)]));
    expect(() => readSafetensors(path)).toThrow(corrupt('expected'));
  });

  test.each([
    ['not JSON', '{"a"', 0, 'not JSON'],
    ['no object', '[]', 0, 'header'],
    ['unknown type', '{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}', 4, 'a.dtype'],
    ['negative shape', '{"a":{"dtype":"I32","shape":[-1],"data_offsets":[0,4]}}', 4, 'a.shape'],
    ['size', '{"a":{"dtype":"I32","shape":[2],"data_offsets":[0,4]}}', 4, '4 bytes for I32 .2., expected 8'],
    ['backwards', '{"a":{"dtype":"I32","shape":[1],"data_offsets":[4,0]}}', 4, '-4 bytes'],
    ['gap', '{"a":{"dtype":"I32","shape":[1],"data_offsets":[4,8]}}', 8, 'starts at byte'],
    [
      'overlap',
      '{"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}',
      4,
      'b starts at byte',
    ],
    ['metadata', '{"__metadata__":{"a":1}}', 0, 'a'],
  ])('header: %s', async (_, json, dataBytes, what) => {
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(json.length));
    await writeFile(path, Buffer.concat([prefix, Buffer.from(json), Buffer.alloc(dataBytes)]));
    expect(() => readSafetensors(path)).toThrow(corrupt(what));
  });

  test('a header longer than the file', async () => {
    await writeFile(path, Buffer.alloc(64, 0xff));
    expect(() => readSafetensors(path)).toThrow(corrupt('in a file of 64'));
  });

  test('missing', async () => {
    expect(() => readSafetensors(path)).toThrow(corrupt('ENOENT'));
  });
});
