import { SIDE } from './dense-tile';
import { Lines } from './sparse';
import { F32s, present } from './views';

/** Y += diag(h) X A for 64 rows of X, X and A sparse with float32 values, Y row-major and `width` wide; h absent where all are 1. */
export function scatter(task: i32, scratch: usize, rows: i32, X: Lines, h: F32s, A: Lines, Y: usize, width: i32): void {
  const Xp = X.indptr, Xi = X.indices, Xv = changetype<F32s>(X.values);
  const Ap = A.indptr, Ai = A.indices, Av = changetype<F32s>(A.values);
  for (let j = task * SIDE, end = min(rows, j + SIDE); j < end; j++) {
    const y = changetype<F32s>(Y + ((<usize>j * width) << 2));
    const weight = present(h) ? h[j] : 1;
    for (let e = Xp[j], last = Xp[j + 1]; e < last; e++) {
      const c = present(Xv) ? weight * Xv[e] : weight;
      const i = Xi[e];
      for (let f = Ap[i], stop = Ap[i + 1]; f < stop; f++) y[Ai[f]] += c * Av[f];
    }
  }
}
