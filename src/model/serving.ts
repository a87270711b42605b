import type { Arena } from '../runtime/arena.js';
import type { Threads } from '../runtime/threads.js';
import type { CsrMatrix, Model } from './model.js';
import { loadLayer } from './rank.js';

const BLOCKS_A_THREAD = 64;

/** Bytes of a thread that multiplies the layers. */
export const distilBytes = (n: number, width: number): number =>
  Math.ceil((16 * n + 64) / 64) * 64 + Math.ceil((16 + 12 * width) / 64) * 64;

/** Entries that each item reaches through both layers. */
function fanOut({ n, encoder: W, decoder: Z }: Model): Float64Array {
  const reached = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    for (let e = W.indptr[i]!; e < W.indptr[i + 1]!; e++) {
      reached[i]! += 1 + Z.indptr[W.indices[e]! + 1]! - Z.indptr[W.indices[e]!]!;
    }
  }
  return reached;
}

/**
 * The serving matrix: the `width` entries of largest magnitude in each row of encoder · decoder, the diagonal left out.
 * A user's scores are then the sum of the rows of the user's items, and row i is what goes with item i. The same
 * for any number of threads. It stays in the arena.
 */
export function servingMatrix(arena: Arena, threads: Threads, model: Model, width: number): CsrMatrix {
  const mark = arena.mark();
  const { n } = model;
  const [encoder, decoder] = [loadLayer(arena, model.encoder), loadLayer(arena, model.decoder)];
  const work = arena.f64(arena.bytes(8 * n, 'blocks'), n);
  work.set(fanOut(model));
  const total = work.reduce((a, b) => a + b, n);
  const bounds = arena.bytes(4 * (n + 1), 'blocks');
  const share = total / (BLOCKS_A_THREAD * threads.size);
  const tasks = arena.kernels.blocks(n, work.byteOffset, 1, share, n, bounds);
  const items = arena.i32(arena.bytes(4 * n * width, 'serving matrix'), n * width);
  const values = arena.f32(arena.bytes(4 * n * width, 'serving matrix'), n * width);
  const lengths = arena.i32(arena.bytes(4 * n, 'serving matrix'), n);
  const scratchBytes = distilBytes(n, width);
  const scratch = arena.bytes(scratchBytes * threads.size, 'scores of a thread');
  arena.u8(scratch, scratchBytes * threads.size).fill(0xff);
  const args = [
    n,
    encoder,
    decoder,
    bounds,
    width,
    items.byteOffset,
    values.byteOffset,
    lengths.byteOffset,
  ] as const;
  threads.run({ kernel: 'distil', tasks, args, scratch, scratchBytes });
  const indptr = arena.i32(arena.bytes(4 * (n + 1), 'serving matrix'), n + 1);
  indptr[0] = 0;
  for (let i = 0; i < n; i++) {
    const [from, end, at] = [i * width, i * width + lengths[i]!, indptr[i]!];
    items.copyWithin(at, from, end);
    values.copyWithin(at, from, end);
    indptr[i + 1] = at + lengths[i]!;
  }
  const entries = indptr[n]!;
  const kept = [items.subarray(0, entries), values.subarray(0, entries), indptr] as const;
  const [indices, data, pointers] = arena.keep(mark, kept, 'serving matrix');
  return { rows: n, columns: n, indptr: pointers, indices, data };
}
