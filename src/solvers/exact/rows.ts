import { bestBytes } from '../../matrix/scratch.js';
import { entriesOf, indexOf, isSingle, type Tiles } from '../../matrix/tiles.js';
import type { CsrMatrix, Model } from '../../model/model.js';
import { type Address, type Arena, aligned } from '../../runtime/arena.js';
import { allocate, bytesOf } from '../../runtime/parts.js';
import type { Threads } from '../../runtime/threads.js';

/** The layers, the decoder with room for whole rows, in the order in which a model is kept. */
const layerParts = (n: number, width: number) => ({
  encoderPointers: 4 * (n + 1),
  encoderIndices: 4 * n,
  encoderData: 4 * n,
  indptr: 4 * (n + 1),
  indices: 4 * n * width,
  data: 4 * n * width,
});

const cutParts = (n: number) => ({ reciprocals: 8 * n, lengths: 4 * n });

/** Scratch of a thread: rows of a panel, and the best of one. */
const cutScratch = (n: number, width: number): number => aligned(64 * n + bestBytes(width));

/** Bytes of `cutLayers`: the layers, and making them. */
export const cutBytes = (n: number, width: number, threads: number) => ({
  layers: bytesOf(layerParts(n, width)),
  making: bytesOf(cutParts(n)) + threads * cutScratch(n, width),
});

/**
 * EASE from the inverse M of A, as layers: the encoder is the identity, and row i of the decoder has the `width` entries of largest
 * magnitude of −M_ij / M_jj, j ≠ i (Steck 2019, eq. 8). They lie on top of the arena.
 */
export function cutLayers(arena: Arena, threads: Threads, M: Tiles, width: number): Model {
  const { n } = M;
  const at = allocate(arena, layerParts(n, width), 'model');
  const mark = arena.mark();
  const { reciprocals, lengths } = allocate(arena, cutParts(n), 'rows of the inverse');
  const diagonal = arena.f64(reciprocals, n);
  const all = entriesOf(arena, M);
  for (let j = 0; j < n; j++) diagonal[j] = 1 / all[indexOf(M.precision, j, j)]!;
  const scratchBytes = cutScratch(n, width);
  const scratch = arena.bytes(scratchBytes * threads.size, 'rows of the inverse');
  const out = [width, at.indices, at.data, lengths] as const;
  const args = [M.address, M.rows, n, isSingle(M), reciprocals, ...out] as const;
  threads.run({ kernel: 'cutRows', tasks: M.rows, args, scratch, scratchBytes });
  const entries = together(arena, n, width, { ...at, lengths });
  arena.release(mark);
  const layer = (indptr: Address, indices: Address, data: Address, entries: number): CsrMatrix => ({
    rows: n,
    columns: n,
    indptr: arena.i32(indptr, n + 1),
    indices: arena.i32(indices, entries),
    data: arena.f32(data, entries),
  });
  const encoder = layer(at.encoderPointers, at.encoderIndices, at.encoderData, n);
  for (let i = 0; i < n; i++) encoder.indices[i] = encoder.indptr[i] = i;
  encoder.indptr[n] = n;
  encoder.data.fill(1);
  return { n, encoder, decoder: layer(at.indptr, at.indices, at.data, entries) };
}

/** Moves rows of `width` together and writes their pointers; returns the number of entries. */
function together(
  arena: Arena,
  n: number,
  width: number,
  at: Readonly<Record<'indptr' | 'indices' | 'data' | 'lengths', Address>>,
): number {
  const [indices, data] = [arena.i32(at.indices, n * width), arena.f32(at.data, n * width)];
  const [lengths, indptr] = [arena.i32(at.lengths, n), arena.i32(at.indptr, n + 1)];
  indptr[0] = 0;
  for (let i = 0; i < n; i++) {
    const [from, end, to] = [i * width, i * width + lengths[i]!, indptr[i]!];
    indices.copyWithin(to, from, end);
    data.copyWithin(to, from, end);
    indptr[i + 1] = to + lengths[i]!;
  }
  return indptr[n]!;
}
