import type { Address, Arena } from '../kernels.js';
import type { CsrMatrix, Model } from '../model/model.js';
import { record } from './inverse.js';
import type { Lower } from './lower.js';

/**
 * The model of A⁻¹ ≈ WᵀD⁻¹W, W = K P: encoder Wᵀ and decoder Z = −D⁻¹W · diag(WᵀD⁻¹W)⁻¹, in original item order.
 * Spišák et al. 2023, §3.1. `pivots` is D (F64[n] in the arena). The layers are copies outside of the arena.
 */
export function buildModel(arena: Arena, K: Lower, pivots: Address, positions: Int32Array): Model {
  const mark = arena.mark();
  const { n } = K;
  const place = arena.copy(positions, 'positions');
  const next = arena.bytes(4 * n, 'model');
  const indptr = arena.bytes(4 * (n + 1), 'model');
  const indices = arena.bytes(4 * K.entries, 'model');
  const data = arena.bytes(4 * K.entries, 'model');
  const matrix = record(arena, K);
  const layer = (): CsrMatrix => ({
    rows: n,
    columns: n,
    indptr: arena.i32(indptr, n + 1).slice(),
    indices: arena.i32(indices, K.entries).slice(),
    data: arena.f32(data, K.entries).slice(),
  });
  arena.kernels.encoder!(matrix, place, indptr, indices, data);
  const encoder = layer();
  arena.kernels.decoder!(matrix, pivots, place, indptr, indices, data, next);
  const decoder = layer();
  arena.release(mark);
  return { n, encoder, decoder };
}

/**
 * The model of G from that of S G S, `t[positions[i]]` being s_i: S folded into the encoder's rows and S⁻¹ into the
 * decoder's columns. At full density this is EASE of G + λS⁻².
 */
export function undoScaling(model: Model, t: Float64Array, positions: Int32Array): Model {
  const { encoder, decoder } = model;
  const scaled = encoder.data.slice();
  for (let i = 0; i < encoder.rows; i++) {
    for (let e = encoder.indptr[i]!; e < encoder.indptr[i + 1]!; e++) scaled[e]! *= t[positions[i]!]!;
  }
  const unscaled = decoder.data.map((z, e) => z / t[positions[decoder.indices[e]!]!]!);
  return { ...model, encoder: { ...encoder, data: scaled }, decoder: { ...decoder, data: unscaled } };
}
