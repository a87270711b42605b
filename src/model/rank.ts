import type { Rows } from '../gramian/rows.js';
import type { Address, Arena } from '../kernels.js';
import type { Threads } from '../threads.js';
import type { CsrMatrix, Model } from './model.js';

/** The best items of consecutive rows: row r has `lengths[r]` of them at r·k of `items` and `scores`, best first. */
export interface RankedRows {
  readonly k: number;
  readonly lengths: Int32Array;
  readonly items: Int32Array;
  readonly scores: Float32Array;
}

/** A model and what scoring with it needs, in the arena. */
export interface Ranker {
  readonly model: Model;
  readonly encoder: Address;
  readonly decoder: Address;
  /** Decoder entries behind each item, F64[n]. */
  readonly fanOut: Float64Array;
}

const BLOCKS_A_THREAD = 64;

export function loadRanker(arena: Arena, model: Model): Ranker {
  const layer = ({ indptr, indices, data }: CsrMatrix) =>
    arena.record(
      [arena.copy(indptr, 'model'), arena.copy(indices, 'model'), arena.copy(data, 'model')],
      'model',
    );
  const { encoder: W, decoder: Z, n } = model;
  const fanOut = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    for (let e = W.indptr[i]!; e < W.indptr[i + 1]!; e++) {
      fanOut[i]! += 1 + Z.indptr[W.indices[e]! + 1]! - Z.indptr[W.indices[e]!]!;
    }
  }
  return { model, encoder: layer(W), decoder: layer(Z), fanOut };
}

/**
 * The k best items of every row of `rows` by the scores (u · encoder) · decoder, its own items left out; ties to the
 * smaller item. Shorter where fewer items have a score. The same for any number of threads.
 */
export function rankRows(arena: Arena, threads: Threads, ranker: Ranker, rows: Rows, k: number): RankedRows {
  const mark = arena.mark();
  const { n } = ranker.model;
  const m = rows.users.length;
  const indptr = arena.copy(rows.indptr, 'rows of users');
  const indices = arena.copy(rows.indices, 'rows of users');
  const users = arena.record([indptr, indices, arena.copy(rows.values, 'rows of users')], 'rows of users');
  const work = arena.f64(arena.bytes(8 * m, 'blocks'), m);
  let total = 0;
  for (let r = 0; r < m; r++) {
    let sum = 1;
    for (let e = rows.indptr[r]!; e < rows.indptr[r + 1]!; e++) sum += ranker.fanOut[rows.indices[e]!] ?? 0;
    work[r] = sum;
    total += sum;
  }
  const bounds = arena.bytes(4 * (m + 1), 'blocks');
  const share = total / (BLOCKS_A_THREAD * threads.size);
  const tasks = arena.kernels.blocks!(m, work.byteOffset, 0, share, m, bounds);
  const items = arena.bytes(4 * m * k, 'lists');
  const scores = arena.bytes(4 * m * k, 'lists');
  const lengths = arena.bytes(4 * m, 'lists');
  const scratchBytes = 2 * Math.ceil((16 * n + 64) / 64) * 64;
  const scratch = arena.bytes(scratchBytes * threads.size, 'scores of a thread');
  arena.u8(scratch, scratchBytes * threads.size).fill(0xff);
  const args = [n, users, ranker.encoder, ranker.decoder, bounds, k, 0, items, scores, lengths];
  threads.run({ kernel: 'score', tasks, args, scratch, scratchBytes });
  const result = {
    k,
    lengths: arena.i32(lengths, m).slice(),
    items: arena.i32(items, m * k).slice(),
    scores: arena.f32(scores, m * k).slice(),
  };
  arena.release(mark);
  return result;
}
