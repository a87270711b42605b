import { coefficient, Interactions } from './interactions';
import { clear, I32s, View } from './views';

/**
 * G[j+1:, j] = Σ_u w_u x_uj x_u,j+1:, the lower part of one column of XᵀWX: positions to `indices` in order of
 * first touch, sums on top of `base` in `a`; returns how many.
 *
 * `a` is never cleared: sums stand on `base`, which lies above whatever an earlier column left behind. The list
 * of touched rows is written always and advanced without a branch; there is none unless `listed`.
 */
@inline
export function column<A>(
  x: Interactions, j: i32, base: A, a: View<A>, indices: I32s, weighted: bool, valued: bool, listed: bool = true,
): i32 {
  const Xp = x.indptr, Xi = x.positions, Xv = x.values, Cp = x.columns, Cu = x.user, Cr = x.rest;
  let count = 0;
  for (let e = Cp[j], last = Cp[j + 1]; e < last; e++) {
    const c = coefficient<A>(x, e, weighted, valued);
    for (let k = Cr[e], end = Xp[Cu[e] + 1]; k < end; k++) {
      const i = Xi[k];
      const v = a[i];
      if (listed) {
        indices[count] = i;
        count += i32(v < base);
      }
      a[i] = max(v, base) + (valued ? c * <A>Xv[k] : c);
    }
  }
  return count;
}

/**
 * The base for the sums of the next column: `stride` above the last one. Where that would overflow, or not be exact, the
 * sums are cleared and the bases begin anew.
 */
@inline
export function raised<A>(base: A, stride: A, a: View<A>, n: i32): A {
  const most = <A>(isFloat<A>() ? (<i64>1) << 52 : (<i64>1) << (sizeof<A>() * 8 - 2));
  if (base <= most - stride) return base + stride;
  clear(a, n);
  return isFloat<A>() ? 0 : stride;
}
