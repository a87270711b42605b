/** What a weight means by the semantics: ignored in binary, clamped with maxWeight, refused where it cannot be kept. */
import { expect, it } from 'vitest';
import { fixedPoint, maxFixedPoint } from '#src/stages/event-weight.js';

const [add, remove, set] = [0, 1, 2];

it('binary ignores the size of a weight; only a set to 0 takes the interaction away', () => {
  const rules = { interactions: 'binary', scale: 1 } as const;
  for (const w of [0, 0.35, 1, 5_400_000, 1e300, '0.05', undefined])
    expect(fixedPoint(w, add, rules)).toBe(1);
  expect(fixedPoint(0, set, rules)).toBe(0);
  expect(fixedPoint(0.1, set, rules)).toBe(1);
  expect(fixedPoint(0, remove, rules)).toBe(1);
  for (const w of [-1, Number.NaN, 'x']) expect(fixedPoint(w, add, rules)).toHaveProperty('code');
});

it('last clamps each weight, sum keeps it for the sum to be clamped', () => {
  const rules = { scale: 100, maxWeight: 3600 };
  expect(fixedPoint(9000, add, { ...rules, interactions: 'last' })).toBe(360_000);
  expect(fixedPoint(9000, add, { ...rules, interactions: 'sum' })).toBe(900_000);
  expect(fixedPoint(1e12, add, { ...rules, interactions: 'sum' })).toBe(2 ** 31 - 1);
  expect(fixedPoint(1e12, add, { interactions: 'last', scale: 100, maxWeight: 1e9 })).toBe(maxFixedPoint);
});

it('without maxWeight, a weight above the largest is refused by name', () => {
  for (const interactions of ['last', 'sum'] as const)
    expect(fixedPoint(6000, add, { interactions, scale: 100 })).toMatchObject({
      code: 'weight-too-large',
      reason: expect.stringMatching(/at most 5242.88/),
    });
});
