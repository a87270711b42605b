import { coefficient, Interactions } from './interactions';
import { clear, from, I32s, View } from './views';

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
  const Xp = x.indptr, Xi = x.positions, Cp = x.columns, Cu = x.user, Cr = x.rest;
  const toValue = changetype<usize>(x.values) - changetype<usize>(Xi);
  let to = changetype<usize>(indices);
  let ahead = 0;
  for (let e = Cp[j], last = Cp[j + 1]; e < last; e++) {
    const c = coefficient<A>(x, e, weighted, valued);
    // the next row begins anywhere in X: it is on its way while this one is added
    if (listed) ahead = Xi[Cr[min(e + 1, last - 1)]];
    let p = changetype<usize>(from(Xi, Cr[e]));
    const end = changetype<usize>(from(Xi, Xp[Cu[e] + 1]));
    // two entries at a time; a row has no item twice, so they do not meet
    for (const odd = end - 4; p < odd; p += 8) {
      const i = load<i32>(p), k = load<i32>(p, 4);
      const v = a[i], w = a[k];
      if (listed) {
        to = listedIf(v < base, i, to);
        to = listedIf(w < base, k, to);
      }
      a[i] = max(v, base) + (valued ? c * <A>load<i32>(p + toValue) : c);
      a[k] = max(w, base) + (valued ? c * <A>load<i32>(p + toValue, 4) : c);
    }
    if (p < end) {
      const i = load<i32>(p);
      const v = a[i];
      if (listed) to = listedIf(v < base, i, to);
      a[i] = max(v, base) + (valued ? c * <A>load<i32>(p + toValue) : c);
    }
  }
  if (!listed) return 0;
  store<i32>(to, ahead); // so that it is read
  return <i32>((to - changetype<usize>(indices)) >> 2);
}

// i is written always; where the next one goes says whether it is listed
@inline
function listedIf(fresh: bool, i: i32, to: usize): usize {
  store<i32>(to, i);
  return to + (<usize>fresh << 2);
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
