import { U64s, View } from './views';

@inline
function sum(x: v128): u64 {
  return <u64>i64x2.extract_lane(x, 0) + <u64>i64x2.extract_lane(x, 1);
}

/**
 * Fletcher's checksum of 32-bit words, with sums modulo 2⁶⁴: a += w, b += a for each word w. `state` holds a and b and
 * goes on from call to call, so that a stream may be cut anywhere: one task.
 *
 * Four words at a time, lane l has A_l = Σ_t w_tl and B_l, the sum of A_l after each t: then b grows by
 * N a + Σ_l (4 B_l − l A_l) for N words.
 */
export function fletcher(task: i32, scratch: usize, words: View<u32>, count: i32, state: U64s): void {
  let a = state[0], b = state[1];
  let A01 = i64x2.splat(0), A23 = i64x2.splat(0), B01 = i64x2.splat(0), B23 = i64x2.splat(0);
  const whole = count & ~3;
  for (let k = 0; k < whole; k += 4) {
    const w = v128.load(changetype<usize>(words) + (<usize>k << 2));
    A01 = i64x2.add(A01, i64x2.extend_low_i32x4_u(w));
    A23 = i64x2.add(A23, i64x2.extend_high_i32x4_u(w));
    B01 = i64x2.add(B01, A01);
    B23 = i64x2.add(B23, A23);
  }
  const odd = <u64>i64x2.extract_lane(A01, 1) + 2 * <u64>i64x2.extract_lane(A23, 0) + 3 * <u64>i64x2.extract_lane(A23, 1);
  b += <u64>whole * a + 4 * (sum(B01) + sum(B23)) - odd;
  a += sum(A01) + sum(A23);
  for (let k = whole; k < count; k++) {
    a += <u64>words[k];
    b += a;
  }
  state[0] = a;
  state[1] = b;
}
