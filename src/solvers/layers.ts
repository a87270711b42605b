import { factorRecord, type Lower, sparseParts } from '../matrix/lower.js';
import type { CsrMatrix, Model } from '../model/model.js';
import type { Address, Arena } from '../runtime/arena.js';
import { allocate, bytesOf } from '../runtime/parts.js';

/** Workspace of making the layers, below them. */
const makingParts = (n: number) => ({ place: 4 * n, next: 4 * n });

/** Bytes of two layers of n × n with `entries` each, and of making them. */
export const layerBytes = (n: number, entries: number) => ({
  layers: 2 * bytesOf(sparseParts(n, entries)),
  making: bytesOf(makingParts(n)),
});

/**
 * The model of A⁻¹ ≈ WᵀD⁻¹W, W = K P: encoder Wᵀ and decoder Z = −D⁻¹W · diag(WᵀD⁻¹W)⁻¹, in original item order.
 * Spišák et al. 2023, §3.1. `pivots` is D (F64[n] in the arena). The layers lie on top of the arena.
 */
export function buildModel(arena: Arena, K: Lower, pivots: Address, positions: Int32Array): Model {
  const { n, entries } = K;
  const { place, next } = allocate(arena, makingParts(n), 'model');
  arena.i32(place, n).set(positions);
  const matrix = factorRecord(arena, K);
  const [W, Z] = [0, 1].map(() => allocate(arena, sparseParts(n, entries), 'model')) as [Layer, Layer];
  arena.kernels.encoder(matrix, place, W.indptr, W.indices, W.data);
  arena.kernels.decoder(matrix, pivots, place, Z.indptr, Z.indices, Z.data, next);
  const layer = ({ indptr, indices, data }: Layer): CsrMatrix => ({
    rows: n,
    columns: n,
    indptr: arena.i32(indptr, n + 1),
    indices: arena.i32(indices, entries),
    data: arena.f32(data, entries),
  });
  return { n, encoder: layer(W), decoder: layer(Z) };
}

type Layer = Readonly<Record<'indptr' | 'indices' | 'data', Address>>;

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
