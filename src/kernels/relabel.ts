import { Interactions } from './interactions';
import { I32s, present } from './views';

/**
 * X → X Pᵀ by rows and by columns, in place: two counting sorts, so that rows come out sorted by position and
 * columns by user without comparing anything.
 *
 * On entry `x.positions` and `x.values` hold the rows with item ids as they came; `position[i]` is the place
 * of item i. `cursor` has room for max(users, items).
 */
export function relabel(x: Interactions, position: I32s, cursor: I32s): void {
  const m = x.users, n = x.items;
  const Xp = x.indptr, Xi = x.positions, Xv = x.values;
  const Cp = x.columns, Cu = x.user, Cr = x.rest;
  const valued = present(Xv);
  const nnz = Xp[m];

  // Cp = column pointers by position
  memory.fill(changetype<usize>(Cp), 0, (<usize>n + 1) << 2);
  for (let k = 0; k < nnz; k++) {
    const j = position[Xi[k]];
    Cp[j + 1] = Cp[j + 1] + 1;
  }
  for (let j = 0; j < n; j++) Cp[j + 1] = Cp[j + 1] + Cp[j];

  // rows → columns; the values wait in `rest`, which is not needed yet
  memory.copy(changetype<usize>(cursor), changetype<usize>(Cp), (<usize>n) << 2);
  for (let u = 0; u < m; u++) {
    for (let k = Xp[u], end = Xp[u + 1]; k < end; k++) {
      const j = position[Xi[k]];
      const e = cursor[j];
      cursor[j] = e + 1;
      Cu[e] = u;
      if (valued) Cr[e] = Xv[k];
    }
  }

  // columns → rows, in ascending position
  memory.copy(changetype<usize>(cursor), changetype<usize>(Xp), (<usize>m) << 2);
  for (let j = 0; j < n; j++) {
    for (let e = Cp[j], end = Cp[j + 1]; e < end; e++) {
      const u = Cu[e];
      const k = cursor[u];
      cursor[u] = k + 1;
      Xi[k] = j;
      if (valued) Xv[k] = Cr[e];
      Cr[e] = k + 1;
    }
  }
}
