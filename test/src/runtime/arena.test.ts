/** The arena keeps to its budget and its alignment; the threads share work and survive closing. */
import { describe, expect, it } from 'vitest';
import { Arena } from '#src/runtime/arena.js';
import { Threads } from '#src/runtime/threads.js';
import { random } from '../../support/rows.js';

describe('arena', () => {
  it('starts every allocation on a cache line and gives released memory out again', () => {
    const arena = new Arena(1 << 20);
    const mark = arena.mark();
    const a = arena.bytes(3, 'a');
    expect(a % 64).toBe(0);
    expect(arena.bytes(8, 'b')).toBe(a + 64);
    arena.release(mark);
    expect(arena.bytes(8, 'c')).toBe(a);
    expect(arena.peak).toBe(128);
  });

  it('keeps views valid while it grows', () => {
    const arena = new Arena(8 << 20);
    const view = arena.i32(arena.zeros(4, 'a'), 1);
    arena.bytes(4 << 20, 'b');
    view[0] = 7;
    expect(arena.i32(view.byteOffset, 1)[0]).toBe(7);
  });

  it('refuses what passes its budget, with the numbers', () => {
    const arena = new Arena(1 << 20);
    expect(() => arena.bytes(2 << 20, 'the factor')).toThrow(
      /the factor needs 2097152 bytes, expected at most 10485/,
    );
  });
});

describe('blocks of equal work', () => {
  it('cover all indices in order, each within its share', () => {
    const arena = new Arena(1 << 20);
    const n = 1000;
    const next = random(3);
    const work = arena.f64(arena.bytes(8 * n, 'work'), n);
    for (let j = 0; j < n; j++) work[j] = Math.floor(next() ** 8 * 5000);
    const bounds = arena.i32(arena.bytes(4 * (n + 1), 'bounds'), n + 1);
    const count = arena.kernels.blocks(n, work.byteOffset, 1, 600, 50, bounds.byteOffset);
    expect([bounds[0], bounds[count]]).toEqual([0, n]);
    for (let b = 0; b < count; b++) {
      const block = work.slice(bounds[b], bounds[b + 1]);
      expect(block.length).toBeGreaterThan(0);
      expect(block.length).toBeLessThanOrEqual(50);
      if (block.length > 1) expect(block.reduce((x, y) => x + Math.max(y, 1), 0)).toBeLessThanOrEqual(600);
    }
    expect(arena.kernels.blocks(0, work.byteOffset, 1, 600, 50, bounds.byteOffset)).toBe(0);
  });
});

describe('selection', () => {
  it('finds the k-th largest for every k', () => {
    const arena = new Arena(1 << 20);
    const next = random(5);
    const values = Float32Array.from({ length: 60 }, () => Math.floor(next() * 20));
    const sorted = values.slice().sort().reverse();
    for (let k = 1; k <= 60; k++) {
      const mark = arena.mark();
      expect(arena.kernels.nthLargest(arena.copy(values, 'values'), 60, k)).toBe(sorted[k - 1]);
      arena.release(mark);
    }
  });
});

describe('threads', () => {
  it('throws on an unknown kernel', async () => {
    const threads = new Threads(new Arena(1 << 20), 1);
    // @ts-expect-error: names and arguments of kernels are checked by the compiler, too
    expect(() => threads.run({ kernel: 'nothing', tasks: 1, args: [] })).toThrow(/no kernel nothing/);
    await threads.close();
  });

  it('reports a trap and goes on', async () => {
    const arena = new Arena(1 << 20);
    const threads = new Threads(arena, 2);
    const bad = { kernel: 'norms', tasks: 8, args: [0xfffffff0, 0xfffffff0, 2] } as const;
    expect(() => threads.run(bad)).toThrow();
    const loss = arena.zeros(8, 'loss');
    expect(() => threads.run({ kernel: 'residualLoss', tasks: 0, args: [0, 0, 0, loss] })).not.toThrow();
    await threads.close();
  });
});
