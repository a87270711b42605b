import { CHUNK, squareIndex, wholeTiles } from '../matrix/dense.js';
import { type Address, type Arena, aligned } from '../runtime/arena.js';
import { record } from '../runtime/records.js';
import type { Model } from './model.js';

/** Share of the entries that layers have at least, of what they could have, to be taken for dense. */
const DENSE = 0.95;

/** Whether whole tiles of so many latents waste no more than half of the room. */
export const fillsTiles = (rank: number): boolean => 2 * rank >= wholeTiles(rank);

/** Whether nearly every item that has latents at all has nearly all of them, and whole tiles do not waste half of the room. */
export function isDense({ n, encoder, decoder }: Model): boolean {
  const { columns: rank, indptr } = encoder;
  if (!fillsTiles(rank)) return false;
  let rows = 0;
  for (let i = 0; i < n; i++) if (indptr[i + 1]! > indptr[i]!) rows++;
  const least = DENSE * rows * rank;
  return rows > 0 && encoder.data.length >= least && decoder.data.length >= least;
}

/** Bytes of both layers in the arena. */
export const denseLayersBytes = (n: number, rank: number): number => 8 * wholeTiles(n) * wholeTiles(rank) + n;

/** Scratch of a thread: the kernels' `Block` for lists of k. */
export const denseScratch = (n: number, rank: number, k: number, spareKeys: number): number =>
  aligned(64 + 4 * CHUNK * (CHUNK + wholeTiles(rank)) + CHUNK * 12 + 8 * CHUNK * (k + spareKeys) + 8 * n);

/** Both layers in the arena, as the kernels' `DenseLayers` record. */
export function loadDense(arena: Arena, { n, encoder: W, decoder: Z }: Model): Address {
  const width = wholeTiles(W.columns);
  const size = wholeTiles(n) * width;
  const [encoder, decoder] = [0, 1].map(() => arena.zeros(4 * size, 'model')) as [Address, Address];
  const known = arena.zeros(n, 'model');
  const flags = arena.u8(known, n);
  const rows = arena.f32(encoder, n * width);
  for (let i = 0; i < n; i++) {
    const [lo, hi] = [W.indptr[i]!, W.indptr[i + 1]!];
    if (hi > lo) flags[i]! |= 1;
    for (let e = lo; e < hi; e++) rows[i * width + W.indices[e]!] = W.data[e]!;
  }
  const tiles = arena.f32(decoder, size);
  for (let l = 0; l < Z.rows; l++) {
    for (let e = Z.indptr[l]!; e < Z.indptr[l + 1]!; e++) {
      const i = Z.indices[e]!;
      flags[i]! |= 2;
      tiles[squareIndex(width, i, l)] = Z.data[e]!;
    }
  }
  return record(arena, 'DenseLayers', { encoder, decoder, count: width / CHUNK, known }, 'model');
}
