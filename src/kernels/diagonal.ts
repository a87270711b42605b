import { Interactions } from './interactions';
import { F64s, present } from './views';

/** g_j = G_jj = Σ_u w_u x_uj². */
export function diagonal(x: Interactions, g: F64s): void {
  const Cp = x.columns, Cu = x.user, Cr = x.rest, Xv = x.values, w = x.weights;
  const valued = present(Xv), weighted = present(w);
  for (let j = 0, n = x.items; j < n; j++) {
    let sum: f64 = 0;
    for (let e = Cp[j], last = Cp[j + 1]; e < last; e++) {
      const v = valued ? <f64>Xv[Cr[e] - 1] : 1;
      sum += (weighted ? <f64>w[Cu[e]] : 1) * v * v;
    }
    g[j] = sum;
  }
}
