import fc from 'fast-check';
import { expect, test } from 'vitest';
import { degreeOrder } from '#src/fit/order.js';

test('ascending degree, ties by index, for any integers below 2⁵³', () => {
  const degree = fc.oneof(
    fc.integer({ min: 0, max: 5 }),
    fc.constantFrom(4095, 4096, 2 ** 24),
    fc.maxSafeNat(),
  );
  fc.assert(
    fc.property(fc.array(degree, { maxLength: 40 }), degrees => {
      const expected = degrees.map((_, j) => j).sort((i, j) => degrees[i]! - degrees[j]! || i - j);
      expect([...degreeOrder(Float64Array.from(degrees))]).toEqual(expected);
    }),
  );
});
