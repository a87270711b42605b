/** Segments stay few, each entry is rewritten few times, and their sum stays what it was. */
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import { compactSegments, suffixToCompact } from '#src/gramian/compact.js';
import { openSegment, type SegmentFile } from '#src/gramian/segment.js';
import { readColumns, sumSegments } from '#src/gramian/sum.js';
import { Arena } from '#src/runtime/arena.js';
import { build } from '../../support/dense.js';
import { temporaryDirectory } from '../../support/directory.js';
import { fromBlocks, writeDense } from '../../support/gramian.js';
import { randomX, seeded } from '../../support/random.js';

test('the number of segments and the work on each entry stay logarithmic', () => {
  const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 100_000 })), {
    minLength: 1,
    maxLength: 300,
  });
  fc.assert(
    fc.property(sizes, added => {
      let segments: { readonly nnz: number }[] = [];
      let total = 0;
      let written = 0;
      for (const nnz of added) {
        segments = [...segments, { nnz }];
        total += nnz;
        const merge = suffixToCompact(segments);
        expect(merge).toEqual(merge.length > 0 ? segments.slice(-merge.length) : []);
        expect(merge.length).not.toBe(1);
        if (merge.length > 0) {
          const sum = merge.reduce((s, x) => s + x.nnz, 0);
          written += sum;
          segments = [...segments.slice(0, -merge.length), { nnz: sum }];
        }
        expect(suffixToCompact(segments)).toEqual([]);
        for (let k = 0; k + 1 < segments.length; k++)
          expect(segments[k]!.nnz).toBeGreaterThan(2 * segments[k + 1]!.nnz);
        expect(segments.length).toBeLessThanOrEqual(Math.log2(total) + 1);
      }
      // an entry is rewritten only into a segment that is half as large again at least
      expect(written).toBeLessThanOrEqual(total * (Math.log(total) / Math.log(1.5) + 1));
    }),
  );
});

test('the sum of segments of different widths is what compaction writes, cancelled entries left out', () => {
  const directory = temporaryDirectory();
  fc.assert(
    fc.property(
      fc.integer(),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
      (seed, widths) => {
        const random = seeded(seed);
        const ascending = [...widths].sort((a, b) => a - b);
        const n = ascending.at(-1)!;
        const parts = ascending.map(w =>
          randomX(random, w, w, random(), 3).map(row => row.map(v => (random() < 0.5 ? 0 - v : v))),
        );
        const files = parts.map(G => writeDense(directory, G));
        const expected = build(n, n, (i, j) => parts.reduce((s, G) => s + (G[i]?.[j] ?? 0), 0));
        const open = files.map(f => openSegment(join(directory, f.file)));
        expect(fromBlocks(sumSegments(new Arena(), open, n), n)).toEqual(expected);
        for (const s of open) s.close();
        const merged = compactSegments(directory, files, n);
        const segment = openSegment(join(directory, merged.file));
        expect(fromBlocks([readColumns(segment, 0, n)], n)).toEqual(expected);
        expect(merged.nnz).toBe(expected.flat().filter(Boolean).length);
        expect(segment.intact()).toBe(true);
        segment.close();
      },
    ),
    { numRuns: 30 },
  );
});

it('adds up any number of changes of a Gramian that is as large as folds let it be', () => {
  const directory = temporaryDirectory();
  const full = [
    [2 ** 50, 2 ** 50 - 1],
    [2 ** 50 - 1, 2 ** 50],
  ];
  const change = (sign: number) =>
    writeDense(
      directory,
      full.map(row => row.map(g => sign * g)),
      { wide: true },
    );
  const files = Array.from({ length: 31 }, (_, k) => change(k % 2 ? -1 : 1));
  const sumOf = (merged: SegmentFile) => {
    const segment = openSegment(join(directory, merged.file));
    const sum = fromBlocks([readColumns(segment, 0, 2)], 2);
    segment.close();
    return sum;
  };
  expect(sumOf(compactSegments(directory, files, 2))).toEqual(full);
  expect(sumOf(compactSegments(directory, files.slice(10), 2, files.slice(0, 10)))).toEqual(full);
  const beyond = Array.from({ length: 9 }, () => change(1));
  expect(() => compactSegments(directory, [...files.slice(1), ...beyond], 2, files.slice(0, 1))).toThrow(
    expect.objectContaining({ code: 'OVERFLOW' }),
  );
});

it('widens sums that leave int32, and refuses those that leave 2⁵³', () => {
  const directory = temporaryDirectory();
  const most = 2 ** 31 - 1;
  const narrow = () => writeDense(directory, [[most]]);
  const merged = compactSegments(directory, [narrow(), narrow()], 1);
  const segment = openSegment(join(directory, merged.file));
  expect(readColumns(segment, 0, 1).values).toEqual(Float64Array.of(2 * most));
  segment.close();
  const wide = () => writeDense(directory, [[Number.MAX_SAFE_INTEGER]], { wide: true });
  expect(() => compactSegments(directory, [wide(), wide()], 1)).toThrow(
    expect.objectContaining({ code: 'OVERFLOW' }),
  );
});
