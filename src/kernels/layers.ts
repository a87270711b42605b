import { Factor } from './factor';
import { F32s, F64s, I32s } from './views';

/** D_j = L_jj², and L := L̂ with a unit diagonal: L = L̂ D^(1/2). */
export function unitLower(L: Factor, D: F64s): void {
  const Lp = L.indptr, Lx = L.data;
  for (let j = 0, n = L.n; j < n; j++) {
    const l = <f64>Lx[Lp[j]];
    D[j] = l * l;
    for (let e = Lp[j], end = Lp[j + 1]; e < end; e++) Lx[e] = <f32>(<f64>Lx[e] / l);
  }
}

/**
 * Decoder Z = −D⁻¹W · diag(WᵀD⁻¹W)⁻¹ of W = K P, by rows (latents), items ascending within a row:
 * Z_kj = −K_kj / (D_k Σ_k K_kj²/D_k). `next` has room for n.
 */
export function decoder(K: Factor, D: F64s, place: I32s, Zp: I32s, Zi: I32s, Zx: F32s, next: I32s): void {
  const n = K.n, Kp = K.indptr, Ki = K.indices, Kx = K.data;
  memory.fill(changetype<usize>(Zp), 0, (<usize>n + 1) << 2);
  for (let e = 0, nnz = Kp[n]; e < nnz; e++) Zp[Ki[e] + 1] += 1;
  for (let k = 0; k < n; k++) Zp[k + 1] += Zp[k];
  memory.copy(changetype<usize>(next), changetype<usize>(Zp), (<usize>n) << 2);
  for (let item = 0; item < n; item++) {
    const j = place[item];
    let diagonal: f64 = 0;
    for (let e = Kp[j], end = Kp[j + 1]; e < end; e++) diagonal += <f64>Kx[e] * <f64>Kx[e] / D[Ki[e]];
    const scale = 1 / diagonal;
    for (let e = Kp[j], end = Kp[j + 1]; e < end; e++) {
      const k = Ki[e];
      const f = next[k];
      next[k] = f + 1;
      Zi[f] = item;
      Zx[f] = <f32>(-<f64>Kx[e] / D[k] * scale);
    }
  }
}

/** Encoder Wᵀ by rows (items): row i is column `place[i]` of K. */
export function encoder(K: Factor, place: I32s, Wp: I32s, Wi: I32s, Wx: F32s): void {
  const n = K.n, Kp = K.indptr, Ki = K.indices, Kx = K.data;
  let p = 0;
  for (let item = 0; item < n; item++) {
    Wp[item] = p;
    for (let e = Kp[place[item]], end = Kp[place[item] + 1]; e < end; e++) {
      Wi[p] = Ki[e];
      Wx[p++] = Kx[e];
    }
  }
  Wp[n] = p;
}
