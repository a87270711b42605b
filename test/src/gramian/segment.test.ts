/** Segment files: what goes in comes out, other programs can read them, and damage is found and named. */
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { openSegment, openSegmentWriter } from '#src/gramian/segment.js';
import { Arena } from '#src/runtime/arena.js';
import { build } from '../../support/dense.js';
import { temporaryDirectory } from '../../support/directory.js';
import { columnsOfSegment, fromBlocks, toBlock, writeDense } from '../../support/gramian.js';
import { randomX, seeded } from '../../support/random.js';

test('columns come back as they went in, whole or in parts, int32 or wide', () => {
  const directory = temporaryDirectory();
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 12 }), fc.boolean(), (seed, n, wide) => {
      const random = seeded(seed);
      const most = wide ? Number.MAX_SAFE_INTEGER : 2 ** 31 - 1;
      const G = randomX(random, n, n, random(), most).map(row => row.map(v => (random() < 0.5 ? 0 - v : v)));
      const file = writeDense(directory, G, { wide, scale: 100, spare: seed & 3 });
      const segment = openSegment(join(directory, file.file));
      try {
        const largest = G.flat().reduce((m, v) => Math.max(m, Math.abs(v)), 0);
        expect(segment).toMatchObject({ n, scale: 100, largest, nnz: file.nnz });
        expect(fromBlocks([columnsOfSegment(segment, 0, n)], n)).toEqual(G);
        for (let j = 0; j < n; j++) {
          const { indices, values } = segment.read(j, j + 1);
          const column = build(n, 1, () => 0);
          for (let e = 0; e < indices.length; e++) column[indices[e]!]![0] = values[e]!;
          expect(column.flat()).toEqual(G.map(row => row[j]));
        }
        expect(segment.intact()).toBe(true);
      } finally {
        segment.close();
      }
    }),
    { numRuns: 50 },
  );
  expect(readdirSync(directory).filter(f => !f.endsWith('.safetensors'))).toEqual([]);
});

const G = [
  [4, -1, 0],
  [-1, 3, 0],
  [0, 0, 0],
];

it.each([
  [false, 'I32', 4],
  [true, 'F64', 8],
])("is a safetensors file of scipy's CSC arrays (wide: %s)", (wide, dtype, width) => {
  const directory = temporaryDirectory();
  const { file, bytes } = writeDense(directory, G, { wide, scale: 7, spare: 2 });
  const raw = readFileSync(join(directory, file));
  expect(raw.length).toBe(bytes);
  const length = Number(raw.readBigUInt64LE(0));
  const header = JSON.parse(raw.subarray(8, 8 + length).toString());
  expect(header.__metadata__).toMatchObject({
    format: 'sansa-stream/gramian@1',
    shape: '[3,3]',
    scale: '7',
    checksum: expect.stringMatching(/^[0-9a-f]{96}$/),
  });
  const part = (name: string) => {
    const [from, to] = header[name].data_offsets as [number, number];
    return raw.subarray(8 + length + from, 8 + length + to);
  };
  expect([header.indptr.dtype, header.indices.dtype, header.data.dtype]).toEqual(['I64', 'I32', dtype]);
  expect([header.indptr.shape, header.indices.shape, header.data.shape]).toEqual([[4], [4], [4]]);
  expect(Array.from({ length: 4 }, (_, k) => Number(part('indptr').readBigInt64LE(8 * k)))).toEqual([
    0, 2, 4, 4,
  ]);
  expect(Array.from({ length: 4 }, (_, k) => part('indices').readInt32LE(4 * k))).toEqual([0, 1, 0, 1]);
  const value = (k: number) =>
    wide ? part('data').readDoubleLE(width * k) : part('data').readInt32LE(width * k);
  expect([0, 1, 2, 3].map(value)).toEqual([4, -1, -1, 3]);
  // numpy maps the arrays where they lie
  for (const name of ['indptr', 'data'])
    expect((8 + length + header[name].data_offsets[0]) % (name === 'indptr' ? 8 : 4)).toBe(0);
});

describe('damage', () => {
  const write = () => {
    const directory = temporaryDirectory();
    return join(directory, writeDense(directory, G).file);
  };
  const corrupt = (path: string) =>
    expect.objectContaining({ code: 'STATE_CORRUPT', message: expect.stringContaining(path) });

  it('of any byte of the data is found by the checksum or on opening, or is in the padding', () => {
    const path = write();
    const whole = readFileSync(path);
    for (let at = 1024; at < whole.length; at++) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 0x40;
      writeFileSync(path, bytes);
      let found = false;
      try {
        const segment = openSegment(path);
        found = !segment.intact();
        segment.close();
      } catch (error) {
        expect(error).toEqual(corrupt(path));
        found = true;
      }
      expect(found, `byte ${at}`).toBe(true);
    }
  });

  it('of the header, of its length, and a file cut anywhere, name the file', () => {
    const path = write();
    const whole = readFileSync(path);
    for (const edit of [
      (b: Buffer) => b.fill(0x20, 8, 40),
      (b: Buffer) => b.fill(0xff, 0, 8),
      (b: Buffer) => b.write(b.toString('latin1', 8, 1024).replace('[3,3]', '[9,9]'), 8, 'latin1'),
      (b: Buffer) => b.write(b.toString('latin1', 8, 1024).replace('[3,3]', 'three'), 8, 'latin1'),
      (b: Buffer) => b.write(b.toString('latin1', 8, 1024).replace('"indices"', '"indexes"'), 8, 'latin1'),
    ]) {
      const bytes = Buffer.from(whole);
      edit(bytes);
      writeFileSync(path, bytes);
      expect(() => openSegment(path)).toThrow(corrupt(path));
    }
    writeFileSync(path, whole);
    for (let size = whole.length - 1; size >= 0; size -= 13) {
      truncateSync(path, size);
      expect(() => openSegment(path), `${size} bytes`).toThrow(corrupt(path));
    }
    expect(() => openSegment(`${path}.absent`)).toThrow(corrupt(`${path}.absent`));
  });
});

it('leaves nothing behind when it is given up', () => {
  const directory = temporaryDirectory();
  const arena = new Arena();
  const writer = openSegmentWriter(arena, directory, 3, 1, 10);
  writer.write(toBlock(arena, G));
  writer.close();
  expect(readdirSync(directory)).toEqual([]);
});
