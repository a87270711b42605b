import fc from 'fast-check';
import { expect, test } from 'vitest';
import { kthLargest } from '../support/plain/select.js';

test('the k-th largest is where sorting puts it, and no smaller value stands before it', () => {
  const values = fc.array(fc.integer({ min: -4, max: 20 }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(values, fc.nat(), (list, seed) => {
      const k = 1 + (seed % list.length);
      const x = Float32Array.from([...list, 99]); // the last one is behind the length
      const found = kthLargest(x, list.length, k);
      expect(found).toBe(list.toSorted((a, b) => b - a)[k - 1]);
      expect(Math.min(...x.subarray(0, k))).toBe(found);
      expect(x[list.length]).toBe(99);
    }),
  );
});
