/**
 * A number in [0, 1) that depends on nothing but the seed and two whole numbers: randomness without an order, so that
 * the same user or entry draws the same number whatever is drawn for the others. MurmurHash3's finalizer over each.
 */
export function hashed(seed: number, a: number, b = 0): number {
  const h = mixed(mixed(mixed(seed ^ 0x9e3779b9) ^ a) + Math.imul(b, 0x85ebca77));
  return (h >>> 0) / 2 ** 32;
}

function mixed(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
