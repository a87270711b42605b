import type { CsrMatrix, Model } from '#src/model/model.js';
import { transpose } from './csr.js';
import type { Lower } from './lower.js';

/**
 * The model of A⁻¹ ≈ WᵀD⁻¹W, W = K P: encoder Wᵀ and decoder Z = −D⁻¹W · diag(WᵀD⁻¹W)⁻¹, with the rows of the
 * encoder and the columns of the decoder in original item order. Spišák et al. 2023, §3.
 *
 * `scales`, one s_j > 0 an item, undoes A = S G S + λI: SA⁻¹S = (G + λS⁻²)⁻¹, whose weights −P_ij / P_jj are
 * s_i (−A⁻¹_ij / A⁻¹_jj) / s_j. So S is folded into the encoder's rows and S⁻¹ into the decoder's columns.
 */
export function buildModel(
  K: Lower,
  pivots: Float64Array,
  order: Int32Array,
  scales: Float64Array | undefined,
): Model {
  const { n } = K;
  const encoder = inItemOrder(K, order);
  const W = transpose(encoder);
  const decoder = { ...W, data: decoderData(W, pivots, scales) };
  if (scales) scaleRows(encoder, scales);
  return { n, encoder, decoder };
}

// Wᵀ = PᵀKᵀ: row `order[j]` is column j of K, latents ascending
function inItemOrder(K: Lower, order: Int32Array): CsrMatrix {
  const { n, indptr: Kp, indices: Ki, data: Kx } = K;
  const indptr = new Int32Array(n + 1);
  for (let j = 0; j < n; j++) indptr[order[j]! + 1] = Kp[j + 1]! - Kp[j]!;
  for (let i = 0; i < n; i++) indptr[i + 1]! += indptr[i]!;
  const indices = new Int32Array(Ki.length);
  const data = new Float32Array(Ki.length);
  for (let j = 0; j < n; j++) {
    const p = indptr[order[j]!]!;
    indices.set(Ki.subarray(Kp[j]!, Kp[j + 1]!), p);
    data.set(Kx.subarray(Kp[j]!, Kp[j + 1]!), p);
  }
  // Columns of K are unsorted behind their diagonal: transposing twice sorts them.
  return transpose(transpose({ rows: n, columns: n, indptr, indices, data }));
}

function decoderData(W: CsrMatrix, pivots: Float64Array, scales: Float64Array | undefined): Float32Array {
  const { rows: n, indptr: Wp, indices: Wi, data: Wx } = W;
  // diag(WᵀD⁻¹W)_j = Σ_k W_kj² / D_k
  const diagonal = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    for (let e = Wp[k]!; e < Wp[k + 1]!; e++) diagonal[Wi[e]!]! += (Wx[e]! * Wx[e]!) / pivots[k]!;
  }
  const factor = diagonal.map((d, j) => 1 / (scales ? scales[j]! * d : d));
  const Zx = new Float32Array(Wx.length);
  for (let k = 0; k < n; k++) {
    for (let e = Wp[k]!; e < Wp[k + 1]!; e++) Zx[e] = (-Wx[e]! / pivots[k]!) * factor[Wi[e]!]!;
  }
  return Zx;
}

function scaleRows(A: CsrMatrix, scales: Float64Array): void {
  for (let i = 0; i < A.rows; i++) {
    for (let e = A.indptr[i]!; e < A.indptr[i + 1]!; e++) A.data[e]! *= scales[i]!;
  }
}
