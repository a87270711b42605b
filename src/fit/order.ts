/** log₂ of the radix. */
const BITS = 12;
const RADIX = 1 << BITS;

/**
 * Items by ascending G_jj, ties by index: `order[k]` is the item at position k. Dropping keeps the largest
 * entries of a column, so a niche item keeps its strongest links to more popular ones. `diagonal` holds
 * integers ≥ 0 below 2⁵³; sorted by radix, least digit first.
 */
export function degreeOrder(diagonal: Float64Array): Int32Array {
  const n = diagonal.length;
  let order = Int32Array.from({ length: n }, (_, j) => j);
  let spare = new Int32Array(n);
  const max = diagonal.reduce((a, b) => Math.max(a, b), 0);
  for (let unit = 1; unit <= max; unit *= RADIX) {
    const start = new Int32Array(RADIX + 1);
    for (let j = 0; j < n; j++) start[digit(diagonal[j]!, unit) + 1]!++;
    for (let d = 0; d < RADIX; d++) start[d + 1]! += start[d]!;
    for (let k = 0; k < n; k++) spare[start[digit(diagonal[order[k]!]!, unit)]!++] = order[k]!;
    [order, spare] = [spare, order];
  }
  return order;
}

/** The inverse of an order: the position of each item. */
export function positionsOf(order: Int32Array): Int32Array {
  const positions = new Int32Array(order.length);
  for (let k = 0; k < order.length; k++) positions[order[k]!] = k;
  return positions;
}

function digit(value: number, unit: number): number {
  return Math.floor(value / unit) % RADIX;
}
