import { Columns } from './outer';
import { add, drain, groupsOf, Lines, rowsetAt } from './sparse';
import { F64s, from, I32s, View } from './views';

/**
 * C[:, j] = Σ_s S_s[:, j] for the columns 0 … width of `parts` segments, zeros left out. Part s holds these columns by
 * themselves, values i32 or, where `wide[s]`, f64. Scratch: n sums and a rowset, all zero before and after.
 * Returns the number of entries written to `out`.
 */
@inline
function sum<A>(scratch: usize, n: i32, width: i32, parts: i32, segments: usize, wide: I32s, out: Columns): i32 {
  const a = changetype<View<A>>(scratch);
  const rows = rowsetAt(scratch, n, sizeof<A>());
  const groups = groupsOf(rows, n);
  const values = changetype<View<A>>(out.values);
  let p = 0;
  for (let j = 0; j < width; j++) {
    for (let s = 0; s < parts; s++) {
      const S = changetype<Lines>(segments + (<usize>s) * offsetof<Lines>());
      const Si = S.indices;
      const end = S.indptr[j + 1];
      if (wide[s]) {
        const Sv = changetype<F64s>(S.values);
        for (let e = S.indptr[j]; e < end; e++) {
          a[Si[e]] += <A>Sv[e];
          add(rows, groups, Si[e]);
        }
      } else {
        const Sv = changetype<I32s>(S.values);
        for (let e = S.indptr[j]; e < end; e++) {
          a[Si[e]] += <A>Sv[e];
          add(rows, groups, Si[e]);
        }
      }
    }
    const count = drain<A>(n, rows, a, 0, false, from(out.indices, p), from(values, p));
    out.lengths[j] = count;
    p += count;
  }
  return p;
}

/** Sums that fit 32 bits, of parts that do. */
export function sumI32(scratch: usize, n: i32, width: i32, parts: i32, segments: usize, wide: I32s, out: Columns): i32 {
  return sum<i32>(scratch, n, width, parts, segments, wide, out);
}

/** Sums below 2⁵³. */
export function sumF64(scratch: usize, n: i32, width: i32, parts: i32, segments: usize, wide: I32s, out: Columns): i32 {
  return sum<f64>(scratch, n, width, parts, segments, wide, out);
}
