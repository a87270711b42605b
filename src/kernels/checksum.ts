import { F64s, I32s, U64s, View } from './views';

/**
 * Fletcher's checksum of 32-bit words, with sums modulo 2⁶⁴: a += w, b += a for each word w. `state` holds a and b and
 * goes on from call to call, so that a stream may be cut anywhere.
 */
export function fletcher(words: View<u32>, count: i32, state: U64s): void {
  let a = state[0], b = state[1];
  for (let k = 0; k < count; k++) {
    a += <u64>words[k];
    b += a;
  }
  state[0] = a;
  state[1] = b;
}

/** max |x_k|, of 32-bit integers. */
export function largestI32(x: I32s, count: i32): f64 {
  let most: i64 = 0;
  for (let k = 0; k < count; k++) most = max(most, abs(<i64>x[k]));
  return <f64>most;
}

/** max |x_k| */
export function largestF64(x: F64s, count: i32): f64 {
  let most: f64 = 0;
  for (let k = 0; k < count; k++) most = max(most, abs(x[k]));
  return most;
}
