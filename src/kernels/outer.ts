import { add, drain, groupsOf, Lines, rowsetAt, rowsetBytes } from './sparse';
import { clear, from, I32s, present, View } from './views';

/** A buffer of whole columns: column lo + c has `lengths[c]` entries, one column after the other, rows ascending. */
@unmanaged
export class Columns {
  lengths: I32s;
  indices: I32s;
  values: usize;
}

/**
 * C[:, j] = Σ_t r_tj l_t for a block of columns of C = Σ_t l_t r_tᵀ, a sum of outer products (Gustavson 1978): `left`
 * holds the l_t by rows, `right` the r_tj by columns, entries naming t. ΔG = DᵀX' + XᵀD is such a sum, and so is a
 * change of user weights. Integers; in i32 sums may wrap on the way as long as the last one fits.
 * Block b goes to `out[b − first]`. Scratch: n sums and a rowset, all zero before and after.
 */
@inline
function block<A>(
  b: i32, scratch: usize, n: i32, left: Lines, right: Lines, bounds: I32s, first: i32, out: usize,
): void {
  const Lp = left.indptr, Li = left.indices, Lv = changetype<View<A>>(left.values);
  const Rp = right.indptr, Ri = right.indices, Rv = changetype<View<A>>(right.values);
  const to = changetype<Columns>(out + <usize>(b - first) * offsetof<Columns>());
  const indices = to.indices;
  const values = changetype<View<A>>(to.values);
  const a = changetype<View<A>>(scratch);
  const rows = rowsetAt(scratch, n, sizeof<A>());
  const groups = groupsOf(rows, n);
  const scaled = present(Rv), valued = present(Lv);
  const lo = bounds[b];
  let p = 0;
  for (let j = lo, hi = bounds[b + 1]; j < hi; j++) {
    for (let e = Rp[j], last = Rp[j + 1]; e < last; e++) {
      const t = Ri[e];
      const c: A = scaled ? Rv[e] : 1;
      if (valued) {
        for (let k = Lp[t], end = Lp[t + 1]; k < end; k++) {
          const i = Li[k];
          a[i] += c * Lv[k];
          add(rows, groups, i);
        }
      } else {
        for (let k = Lp[t], end = Lp[t + 1]; k < end; k++) {
          const i = Li[k];
          a[i] += c;
          add(rows, groups, i);
        }
      }
    }
    const count = drain<A>(n, rows, a, 0, false, from(indices, p), from(values, p));
    to.lengths[j - lo] = count;
    p += count;
  }
}

/** Sums that fit 32 bits. */
export function outerI32(task: i32, scratch: usize, n: i32, left: Lines, right: Lines, bounds: I32s, first: i32, out: usize): void {
  block<i32>(task + first, scratch, n, left, right, bounds, first, out);
}

/** Sums below 2⁵³. */
export function outerF64(task: i32, scratch: usize, n: i32, left: Lines, right: Lines, bounds: I32s, first: i32, out: usize): void {
  block<f64>(task + first, scratch, n, left, right, bounds, first, out);
}

/**
 * As `outerI32` for matrices of ones: sums only grow, so they stand on a base instead of being cleared (see
 * `columns`). `stride` > every sum. The base is kept in 4 bytes of scratch behind the rowset.
 */
export function outerOnes(
  task: i32, scratch: usize, n: i32, left: Lines, right: Lines, bounds: I32s, first: i32, out: usize, stride: i32,
): void {
  const Lp = left.indptr, Li = left.indices, Rp = right.indptr, Ri = right.indices;
  const to = changetype<Columns>(out + (<usize>task) * offsetof<Columns>());
  const indices = to.indices;
  const values = changetype<I32s>(to.values);
  const a = changetype<I32s>(scratch);
  const rows = rowsetAt(scratch, n, 4);
  const groups = groupsOf(rows, n);
  const baseAt = changetype<usize>(rows) + rowsetBytes(n);
  const lo = bounds[first + task];
  let base = load<i32>(baseAt);
  let p = 0;
  for (let j = lo, hi = bounds[first + task + 1]; j < hi; j++) {
    if (base > i32.MAX_VALUE - 2 * stride) {
      clear(a, n);
      base = 0;
    }
    base += stride;
    for (let e = Rp[j], last = Rp[j + 1]; e < last; e++) {
      const t = Ri[e];
      for (let k = Lp[t], end = Lp[t + 1]; k < end; k++) {
        const i = Li[k];
        a[i] = max(a[i], base) + 1;
        add(rows, groups, i);
      }
    }
    const count = drain<i32>(n, rows, a, base, true, from(indices, p), from(values, p));
    to.lengths[j - lo] = count;
    p += count;
  }
  store<i32>(baseAt, base);
}
