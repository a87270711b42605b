/** Whole numbers from 0 to 2⁵³ as 64 bits, without a `BigInt` for each. */
export function widened(numbers: ArrayLike<number>): BigInt64Array {
  const wide = new BigInt64Array(numbers.length);
  const halves = new Uint32Array(wide.buffer);
  for (let k = 0; k < numbers.length; k++) {
    halves[2 * k] = numbers[k]!;
    halves[2 * k + 1] = numbers[k]! / 2 ** 32;
  }
  return wide;
}

/** The numbers that `widened` was given. */
export function numbersOf(wide: BigInt64Array): Float64Array {
  const halves = new Uint32Array(wide.buffer, wide.byteOffset, 2 * wide.length);
  const numbers = new Float64Array(wide.length);
  for (let k = 0; k < numbers.length; k++) numbers[k] = halves[2 * k + 1]! * 2 ** 32 + halves[2 * k]!;
  return numbers;
}
