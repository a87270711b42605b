import { U64s, View } from './views';

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
