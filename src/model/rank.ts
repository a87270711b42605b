import type { Rows } from '../matrix/rows.js';
import type { Address, Arena } from '../runtime/arena.js';
import type { Engine } from '../runtime/threads.js';
import type { CsrMatrix, ScoringModel } from './model.js';

/**
 * The best items of consecutive rows: row r has `lengths[r]` of them at r·k of `items` and `scores`, best first. The last
 * `fallbacks[r]` of these are popular items without a score (0) that fill the list up.
 */
export interface RankedRows {
  readonly k: number;
  readonly lengths: Int32Array;
  readonly items: Int32Array;
  readonly scores: Float32Array;
  readonly fallbacks: Int32Array;
}

/** What may be in a list besides what the scores say. */
export interface Choice {
  /** A byte an item: 0 is never recommended. All are allowed by default. */
  readonly allowed?: Uint8Array | undefined;
  /** Items, the most popular first: they fill up lists shorter than k. By default lists stay short. */
  readonly popular?: Int32Array | undefined;
  /** Whether the user's own items may be in the list; by default they never are. */
  readonly keepOwn?: boolean | undefined;
}

/** A model and what ranking with it needs, in the arena. */
export interface Ranker {
  readonly engine: Engine;
  readonly n: number;
  /** Length of the lists. */
  readonly k: number;
  /** 0 where one layer, the decoder, does it all. */
  readonly encoder: Address;
  readonly decoder: Address;
  /** For each thread the keys of one list and a sum for every item, all of them −0 between lists. */
  readonly scratch: Address;
  readonly scratchBytes: number;
}

const BLOCKS_A_THREAD = 64;

/** Keys that the kernel gathers before it chooses among them, beside the k best. */
const spareKeys = 128;

/** A layer in the arena, as the kernels' `Lines` record. */
export function loadLayer(arena: Arena, { indptr, indices, data }: CsrMatrix): Address {
  const copies = [indptr, indices, data].map(array => arena.copy(array, 'model'));
  return arena.record(copies, 'model');
}

/** Ranks through the serving matrix, if the model has one and both layers are not asked for. */
export function loadRanker(
  engine: Engine,
  model: ScoringModel,
  k: number,
  layered = model.serving === undefined,
): Ranker {
  const { arena, threads } = engine;
  const { n, serving } = model;
  const both = 'encoder' in model && (layered || !serving);
  const encoder = both ? loadLayer(arena, model.encoder) : 0;
  const decoder = loadLayer(arena, both ? model.decoder : serving!);
  const up = (bytes: number): number => Math.ceil(bytes / 64) * 64;
  const scratchBytes = up(8 * (k + spareKeys)) + (both ? 2 : 1) * up(12 * n + 20);
  const scratch = arena.bytes(scratchBytes * threads.size, 'scores of a thread');
  arena.f64(scratch, (scratchBytes * threads.size) / 8).fill(-0);
  return { engine, n, k, encoder, decoder, scratch, scratchBytes };
}

/**
 * The k best items of every row of `rows` by the scores of the ranker, its own items left out; ties to the smaller item.
 * Shorter where fewer items have a score and `choice` has no popular ones. The same for any number of threads.
 * What is returned is on top of the arena: it holds until the caller releases it.
 */
export function rankRows(ranker: Ranker, rows: Rows, choice: Choice = {}): RankedRows {
  const { n, k, encoder, decoder, scratch, scratchBytes } = ranker;
  const { arena, threads } = ranker.engine;
  const m = rows.users.length;
  const items = arena.bytes(4 * m * k, 'lists');
  const scores = arena.bytes(4 * m * k, 'lists');
  const [lengths, fallbacks] = [arena.bytes(4 * m, 'lists'), arena.bytes(4 * m, 'lists')];
  const mark = arena.mark();
  const indptr = arena.copy(rows.indptr, 'rows of users');
  const indices = arena.copy(rows.indices, 'rows of users');
  const users = arena.record([indptr, indices, arena.copy(rows.values, 'rows of users')], 'rows of users');
  const { allowed, popular, keepOwn = false } = choice;
  const known = popular?.filter(i => i < n);
  const chosen = arena.record(
    [
      allowed ? arena.copyBytes(allowed.subarray(0, n), 'item filter') : 0,
      arena.copy(known, 'popular items'),
      known?.length ?? 0,
      keepOwn ? 1 : 0,
    ],
    'item filter',
  );
  // A row costs about as much as it has entries.
  const work = arena.f64(arena.bytes(8 * m, 'blocks'), m);
  for (let r = 0; r < m; r++) work[r] = 1 + rows.indptr[r + 1]! - rows.indptr[r]!;
  const bounds = arena.bytes(4 * (m + 1), 'blocks');
  const share = (m + rows.indptr[m]!) / (BLOCKS_A_THREAD * threads.size);
  const tasks = arena.kernels.blocks(m, work.byteOffset, 0, share, m, bounds);
  const args = [n, users, encoder, decoder, bounds, k, chosen, items, scores, lengths, fallbacks] as const;
  threads.run({ kernel: 'score', tasks, args, scratch, scratchBytes });
  arena.release(mark);
  return {
    k,
    lengths: arena.i32(lengths, m),
    items: arena.i32(items, m * k),
    scores: arena.f32(scores, m * k),
    fallbacks: arena.i32(fallbacks, m),
  };
}
