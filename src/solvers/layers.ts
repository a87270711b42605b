import type { Lower } from '../matrix/lower.js';
import type { CsrMatrix, Model } from '../model/model.js';
import type { Address, Arena } from '../runtime/arena.js';
import { record } from './icf/inverse.js';

/**
 * The model of A⁻¹ ≈ WᵀD⁻¹W, W = K P: encoder Wᵀ and decoder Z = −D⁻¹W · diag(WᵀD⁻¹W)⁻¹, in original item order.
 * Spišák et al. 2023, §3.1. `pivots` is D (F64[n] in the arena). The layers lie on top of the arena.
 */
export function buildModel(arena: Arena, K: Lower, pivots: Address, positions: Int32Array): Model {
  const { n } = K;
  const place = arena.copy(positions, 'positions');
  const next = arena.bytes(4 * n, 'model');
  const matrix = record(arena, K);
  const layer = (): CsrMatrix => ({
    rows: n,
    columns: n,
    indptr: arena.i32(arena.bytes(4 * (n + 1), 'model'), n + 1),
    indices: arena.i32(arena.bytes(4 * K.entries, 'model'), K.entries),
    data: arena.f32(arena.bytes(4 * K.entries, 'model'), K.entries),
  });
  const [encoder, decoder] = [layer(), layer()];
  const addresses = ({ indptr, indices, data }: CsrMatrix) =>
    [indptr.byteOffset, indices.byteOffset, data.byteOffset] as const;
  arena.kernels.encoder(matrix, place, ...addresses(encoder));
  arena.kernels.decoder(matrix, pivots, place, ...addresses(decoder), next);
  return { n, encoder, decoder };
}

/**
 * Makes the model of S G S that of G, in place, `t[positions[i]]` being s_i: S goes into the encoder's rows and S⁻¹ into
 * the decoder's columns. At full density this is EASE of G + λS⁻².
 */
export function undoScaling({ encoder, decoder }: Model, t: Float64Array, positions: Int32Array): void {
  for (let i = 0; i < encoder.rows; i++) {
    for (let e = encoder.indptr[i]!; e < encoder.indptr[i + 1]!; e++) encoder.data[e]! *= t[positions[i]!]!;
  }
  for (let e = 0; e < decoder.data.length; e++) decoder.data[e]! /= t[positions[decoder.indices[e]!]!]!;
}
