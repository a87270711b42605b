import { Factor } from './factor';
import { axpy, residual, Scattered, scatteredAt, scatteredBytes } from './residual';
import { largest } from './select';
import { ascending } from './sort';
import { F32s, F64s, I32s } from './views';

/** Float bits of a magnitude are binned by exponent and the upper half of the fraction. */
const BIN_BITS = 15;

@inline
function binOf(x: f32): i32 {
  return <i32>(reinterpret<u32>(abs(x)) >> BIN_BITS);
}

// r := α R_j + K_j
@inline
function improve(K: Factor, j: i32, alpha: f64, r: Scattered): void {
  for (let e = 0; e < r.length; e++) {
    const i = r.list[e];
    r.x[i] *= alpha;
  }
  axpy(K.indptr, K.indices, K.data, j, 1, r, j);
}

/**
 * The steps of a uniform minimal-residual scan for a block of columns: R = I − L K, P = L R,
 * α_j = ⟨R_j,P_j⟩ / ⟨P_j,P_j⟩ (Chow & Saad 1998, §3), and how large the entries of K_j + α_j R_j off the diagonal
 * are: the thread's counts by `binOf`. Scratch: two `Scattered` filled with −1, then I32[65536] zeros.
 */
export function umrSteps(task: i32, scratch: usize, L: Factor, K: Factor, bounds: I32s, alpha: F64s): void {
  const n = L.n;
  const r = scatteredAt(scratch, n);
  const y = scatteredAt(scratch + scatteredBytes(n), n);
  const bins = changetype<I32s>(scratch + 2 * scatteredBytes(n));
  for (let j = bounds[task], hi = bounds[task + 1]; j < hi; j++) {
    residual(L, K, j, r);
    y.length = 0;
    for (let e = 0; e < r.length; e++) {
      const k = r.list[e];
      if (r.x[k] != 0) axpy(L.indptr, L.indices, L.data, k, r.x[k], y, j);
    }
    let pp: f64 = 0, rp: f64 = 0;
    for (let e = 0; e < y.length; e++) pp += y.x[y.list[e]] * y.x[y.list[e]];
    for (let e = 0; e < r.length; e++) {
      const i = r.list[e];
      if (r.x[i] != 0) rp += r.x[i] * y.x[i]; // P has the pattern of R: L's diagonal is 1
    }
    const a = pp > 0 ? rp / pp : 0;
    alpha[j] = a;
    improve(K, j, a, r);
    for (let e = 0; e < r.length; e++) {
      const i = r.list[e];
      const v = <f32>r.x[i];
      if (i != j && r.x[i] != 0) bins[binOf(v)] += 1;
    }
  }
}

/**
 * M_j = K_j + α_j R_j with its diagonal and what falls in bin `least` or above, for a block of columns. Column j goes
 * to `starts[j] … starts[j] + lengths[j]` of M's arrays, reserved by advancing `cursor`, rows ascending. Scratch: one
 * `Scattered` filled with −1.
 */
export function umrEmit(
  task: i32, scratch: usize, L: Factor, K: Factor, bounds: I32s, alpha: F64s,
  least: i32, starts: I32s, lengths: I32s, Mi: I32s, Mx: F32s, cursor: usize,
): void {
  const r = scatteredAt(scratch, L.n);
  for (let j = bounds[task], hi = bounds[task + 1]; j < hi; j++) {
    residual(L, K, j, r);
    improve(K, j, alpha[j], r);
    const list = r.list;
    let count = 0;
    for (let e = 0; e < r.length; e++) {
      const i = list[e];
      const x = r.x[i];
      list[count] = i;
      count += i32(i == j || (x != 0 && binOf(<f32>x) >= least));
    }
    ascending(list, count);
    const p = atomic.add<i32>(cursor, count);
    starts[j] = p;
    lengths[j] = count;
    for (let e = 0; e < count; e++) {
      Mi[p + e] = list[e];
      Mx[p + e] = <f32>r.x[list[e]];
    }
  }
}

/**
 * Gathers the columns of M into one matrix K, in order: the diagonal, what lies above bin `least`, and of that
 * bin the `keep` largest, ties to the earlier column and then to the smaller row. `keys` has room for the
 * entries of that bin.
 */
export function umrGather(
  starts: I32s, lengths: I32s, Mi: I32s, Mx: F32s, least: i32, keep: i32, keys: F32s, K: Factor,
): void {
  const n = K.n, Kp = K.indptr, Ki = K.indices, Kx = K.data;
  let count = 0;
  for (let j = 0; j < n; j++) {
    for (let e = starts[j] + 1, end = starts[j] + lengths[j]; e < end; e++) {
      if (binOf(Mx[e]) == least) keys[count++] = abs(Mx[e]);
    }
  }
  const bar: f32 = count <= keep ? 0 : keep > 0 ? nthLargest(keys, count, keep) : Infinity;
  let ties = keep;
  for (let e = 0; e < count; e++) ties -= i32(keys[e] > bar);
  let p = 0;
  for (let j = 0; j < n; j++) {
    const first = starts[j];
    for (let e = first, end = first + lengths[j]; e < end; e++) {
      const x = Mx[e];
      if (e > first && binOf(x) == least) {
        if (abs(x) < bar || (abs(x) == bar && ties-- <= 0)) continue;
      }
      Ki[p] = Mi[e];
      Kx[p++] = x;
    }
    Kp[j + 1] = p;
  }
}

/** The k-th largest (1 ≤ k ≤ n) of the first n values; permutes them. */
export function nthLargest(x: F32s, n: i32, k: i32): f32 {
  largest<f32>(x, n, k);
  return x[k - 1];
}
