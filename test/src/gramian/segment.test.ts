/** Segment files: what goes in comes out, other programs can read them, and damage is found and named. */
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { buildSegment } from '#src/gramian/build.js';
import { openIntactSegments, openSegment } from '#src/gramian/segment.js';
import { openSegmentWriter } from '#src/gramian/segment-writer.js';
import { readColumns } from '#src/gramian/sum.js';
import { fromNothing } from '#src/matrix/rows.js';
import { Arena } from '#src/runtime/arena.js';
import { onEngine } from '#src/runtime/threads.js';
import { build } from '../../support/dense.js';
import { temporaryDirectory } from '../../support/directory.js';
import { fromBlocks, toBlock, writeCsc, writeDense } from '../../support/gramian.js';
import { randomX, seeded } from '../../support/random.js';
import { randomRows } from '../../support/rows.js';

test('columns come back as they went in, whole or in parts, int32 or wide, of either format', () => {
  const directory = temporaryDirectory();
  fc.assert(
    fc.property(
      fc.integer(),
      fc.integer({ min: 1, max: 12 }),
      fc.boolean(),
      fc.boolean(),
      (seed, n, wide, old) => {
        const random = seeded(seed);
        const most = wide ? Number.MAX_SAFE_INTEGER : 2 ** 31 - 1;
        const G = randomX(random, n, n, random(), most).map(row =>
          row.map(v => (random() < 0.5 ? 0 - v : v)),
        );
        const kind = { wide, scale: 100 };
        const file = old
          ? writeCsc(directory, [toBlock(new Arena(), G, wide)], n, kind)
          : writeDense(directory, G, kind);
        const segment = openSegment(join(directory, file.file));
        try {
          const largest = G.flat().reduce((m, v) => Math.max(m, Math.abs(v)), 0);
          expect(segment).toMatchObject({ n, scale: 100, largest, nnz: file.nnz });
          expect(fromBlocks([readColumns(segment, 0, n)], n)).toEqual(G);
          for (let j = 0; j < n; j++) {
            const { indices, values } = readColumns(segment, j, j + 1);
            const column = build(n, 1, () => 0);
            for (let e = 0; e < indices.length; e++) column[indices[e]!]![0] = values[e]!;
            expect(column.flat()).toEqual(G.map(row => row[j]));
          }
          expect(segment.intact()).toBe(true);
        } finally {
          segment.close();
        }
      },
    ),
    { numRuns: 50 },
  );
  expect(readdirSync(directory).filter(f => !f.endsWith('.safetensors'))).toEqual([]);
});

it('keeps numbers of every length, with and without signs, where they fit 32 bits and where not', () => {
  const directory = temporaryDirectory();
  const rows = [0, 200, 70_000, 17_000_000, 17_000_001];
  const n = rows.at(-1)! + 1;
  const sizes = [1, 2 ** 8, 2 ** 16, 2 ** 24 + 1, 2 ** 31 - 1];
  for (const values of [
    sizes,
    sizes.map(v => -v),
    [...sizes.slice(1), -(2 ** 31)],
    [1, 2 ** 32, -(2 ** 52), 3, 5],
  ]) {
    const arena = new Arena();
    const writer = openSegmentWriter(arena, directory, n, 1);
    const indices = arena.i32(arena.copy(Int32Array.from(rows), 'a test'), rows.length);
    const data = arena.f64(arena.copy(Float64Array.from(values), 'a test'), rows.length);
    writer.write({ first: 9, lengths: Int32Array.of(rows.length), indices, values: data });
    const { file } = writer.finish();
    writer.close();
    const segment = openSegment(join(directory, file));
    const column = readColumns(segment, 9, 10);
    segment.close();
    expect([...column.indices]).toEqual(rows);
    expect([...column.values]).toEqual(values);
  }
});

const G = [
  [4, -1, 0],
  [-1, 3, 0],
  [0, 0, 0],
];

it('is a safetensors file of the columns that are not empty', () => {
  const directory = temporaryDirectory();
  const { file, bytes } = writeDense(directory, G, { scale: 7 });
  const raw = readFileSync(join(directory, file));
  expect(raw.length).toBe(bytes);
  const length = Number(raw.readBigUInt64LE(0));
  const header = JSON.parse(raw.subarray(8, 8 + length).toString());
  expect(header.__metadata__).toMatchObject({
    format: 'sansa-stream/gramian@3',
    shape: '[3,3]',
    scale: '7',
    entries: '4',
    checksum: expect.stringMatching(/^[0-9a-f]{32}$/),
  });
  const part = (name: string) => {
    const [from, to] = header[name].data_offsets as [number, number];
    return raw.subarray(8 + length + from, 8 + length + to);
  };
  const numbers = (name: string, width: number, read: (b: Buffer, at: number) => number) =>
    Array.from({ length: part(name).length / width }, (_, k) => read(part(name), width * k));
  // 4 g + 2 wide + signed, two bytes of lengths, four distances to the row before, four values as zigzags
  const columns = [
    [5, 0, 0, 0, 0, 0, 0, 8, 1, 0, 0],
    [5, 0, 0, 0, 0, 0, 0, 1, 6, 0, 0],
  ];
  expect([...part('data')]).toEqual([...columns.flat(), 0, 0]);
  expect(numbers('columns', 4, (b, at) => b.readInt32LE(at))).toEqual([0, 1]);
  expect(numbers('lengths', 4, (b, at) => b.readInt32LE(at))).toEqual([2, 2]);
  expect(numbers('offsets', 8, (b, at) => Number(b.readBigInt64LE(at)))).toEqual([0, 11, 22]);
  expect(numbers('diagonal', 8, (b, at) => b.readDoubleLE(at))).toEqual([4, 3]);
  expect(numbers('squares', 8, (b, at) => b.readDoubleLE(at))).toEqual([17, 10]);
  // numpy maps the arrays where they lie
  for (const name of ['offsets', 'diagonal', 'squares'])
    expect((8 + length + header[name].data_offsets[0]) % 8).toBe(0);
});

describe('damage', () => {
  const write = () => {
    const directory = temporaryDirectory();
    return join(directory, writeDense(directory, G).file);
  };
  const corrupt = (path: string) =>
    expect.objectContaining({ code: 'STATE_CORRUPT', message: expect.stringContaining(path) });

  it('of a piece of a long file is found, whichever thread adds it up', () =>
    onEngine({ threads: 2 }, async ({ arena, threads }) => {
      const rows = randomRows({ users: 2000, items: 1200, density: 0.05, seed: 5, most: 9 });
      const directory = temporaryDirectory();
      const path = join(directory, (await buildSegment(directory, 1, fromNothing(rows)))!.file);
      const whole = readFileSync(path);
      expect(whole.length).toBeGreaterThan(2 ** 21);
      for (const at of [2 ** 19, 3 * 2 ** 19, whole.length - 9]) {
        const bytes = Buffer.from(whole);
        bytes[at]! ^= 1;
        writeFileSync(path, bytes);
        expect(() => openIntactSegments(arena, [path], threads), `byte ${at}`).toThrow(corrupt(path));
      }
      writeFileSync(path, whole);
      for (const segment of openIntactSegments(arena, [path], threads)) segment.close();
    }));

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
      (b: Buffer) => b.write(b.toString('latin1', 8, 1024).replace('"columns"', '"columms"'), 8, 'latin1'),
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
  const writer = openSegmentWriter(arena, directory, 3, 1);
  writer.write(toBlock(arena, G));
  writer.close();
  expect(readdirSync(directory)).toEqual([]);
});
