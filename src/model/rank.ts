import { chunks } from '../matrix/dense.js';
import type { Rows } from '../matrix/rows.js';
import { type Address, type Arena, aligned } from '../runtime/arena.js';
import { record } from '../runtime/records.js';
import type { Engine } from '../runtime/threads.js';
import type { CsrMatrix, ScoringModel } from './model.js';
import { denseScratch, isDense, loadDense } from './rank-dense.js';

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

/** Rules of a list beside the scores. */
export interface Choice {
  /** A byte an item: 0 is never recommended. All are allowed by default. */
  readonly allowed?: Uint8Array | undefined;
  /** Items, the most popular first: they fill up lists shorter than k. By default lists stay short. */
  readonly popular?: Int32Array | undefined;
  /** Whether the user's own items may be in the list; by default they never are. */
  readonly keepOwn?: boolean | undefined;
}

/** A model in the arena, with the scratch of ranking. */
export interface Ranker {
  readonly engine: Engine;
  readonly n: number;
  /** Columns of the encoder; 0 without one. */
  readonly latents: number;
  /** Length of the lists. */
  readonly k: number;
  /** Both layers, where these are dense; else 0, and the next two score. */
  readonly dense: Address;
  /** 0 where the decoder alone scores. */
  readonly encoder: Address;
  readonly decoder: Address;
  /** For each thread the keys of one list, then sums by item and by latent, all −0 between lists. */
  readonly scratch: Address;
  readonly scratchBytes: number;
}

/** Blocks of rows a thread gets. */
const BLOCKS_A_THREAD = 64;

/** Keys that the kernel gathers before it chooses among them, beside the k best. */
export const spareKeys = 128;

/** A layer in the arena, as the kernels' `Lines` record. */
export function loadLayer(arena: Arena, { indptr, indices, data }: CsrMatrix): Address {
  const copies = {
    indptr: arena.copy(indptr, 'model'),
    indices: arena.copy(indices, 'model'),
    values: arena.copy(data, 'model'),
  };
  return record(arena, 'Lines', copies, 'model');
}

/** Bytes of the kernels' `Sums` of n. */
const sumsBytes = (n: number): number => aligned(12 * n + 20);

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
  if (both && isDense(model)) {
    const { columns: latents } = model.encoder;
    const dense = loadDense(arena, model);
    const scratchBytes = denseScratch(n, latents, k, spareKeys);
    const scratch = arena.zeros(scratchBytes * threads.size, 'scores of a thread');
    return { engine, n, latents, k, dense, encoder: 0, decoder: 0, scratch, scratchBytes };
  }
  const encoder = both ? loadLayer(arena, model.encoder) : 0;
  const decoder = loadLayer(arena, both ? model.decoder : serving!);
  const latents = both ? model.encoder.columns : 0;
  const scratchBytes = aligned(8 * (k + spareKeys)) + sumsBytes(n) + (both ? sumsBytes(latents) : 0);
  const scratch = arena.bytes(scratchBytes * threads.size, 'scores of a thread');
  arena.f64(scratch, (scratchBytes * threads.size) / 8).fill(-0);
  return { engine, n, latents, k, dense: 0, encoder, decoder, scratch, scratchBytes };
}

/** The kernels' `Choice` record. */
function loadChoice(arena: Arena, n: number, { allowed, popular, keepOwn = false }: Choice): Address {
  const known = popular?.filter(i => i < n);
  const fields = {
    allowed: allowed ? arena.copyBytes(allowed.subarray(0, n), 'item filter') : 0,
    popular: arena.copy(known, 'popular items'),
    popularLength: known?.length ?? 0,
    keepOwn: keepOwn ? 1 : 0,
  };
  return record(arena, 'Choice', fields, 'item filter');
}

/**
 * The k best items of every row of `rows` by the scores of the ranker, its own items left out; ties to the smaller item.
 * Shorter where fewer items have a score and `choice` has no popular ones. The same for any number of threads.
 * The result lies on top of the arena: it holds until the caller releases it.
 */
export function rankRows(ranker: Ranker, rows: Rows, choice: Choice = {}): RankedRows {
  const { n, k, dense, scratch, scratchBytes } = ranker;
  const { arena, threads } = ranker.engine;
  const m = rows.users.length;
  const items = arena.bytes(4 * m * k, 'lists');
  const scores = arena.bytes(4 * m * k, 'lists');
  const [lengths, fallbacks] = [arena.bytes(4 * m, 'lists'), arena.bytes(4 * m, 'lists')];
  const mark = arena.mark();
  const fields = {
    indptr: arena.copy(rows.indptr, 'rows of users'),
    indices: arena.copy(rows.indices, 'rows of users'),
    values: arena.copy(rows.values, 'rows of users'),
  };
  const users = record(arena, 'Lines', fields, 'rows of users');
  const chosen = loadChoice(arena, n, choice);
  const lists = [k, chosen, items, scores, lengths, fallbacks] as const;
  if (dense)
    threads.run({
      kernel: 'scoreDense',
      tasks: chunks(m),
      args: [n, m, users, dense, ...lists],
      scratch,
      scratchBytes,
    });
  else scoreSparse(ranker, rows, users, lists);
  arena.release(mark);
  return {
    k,
    lengths: arena.i32(lengths, m),
    items: arena.i32(items, m * k),
    scores: arena.f32(scores, m * k),
    fallbacks: arena.i32(fallbacks, m),
  };
}

/** The lists of users by sparse layers, or by the decoder alone. */
function scoreSparse(
  { engine, n, latents, encoder, decoder, scratch, scratchBytes }: Ranker,
  { users: { length: m }, indptr }: Rows,
  users: Address,
  [k, ...lists]: readonly [number, Address, Address, Address, Address, Address],
): void {
  const { arena, threads } = engine;
  // A row costs about as much as it has entries.
  const work = arena.f64(arena.bytes(8 * m, 'blocks'), m);
  for (let r = 0; r < m; r++) work[r] = 1 + indptr[r + 1]! - indptr[r]!;
  const bounds = arena.bytes(4 * (m + 1), 'blocks');
  const share = (m + indptr[m]!) / (BLOCKS_A_THREAD * threads.size);
  const tasks = arena.kernels.blocks(m, work.byteOffset, 0, share, m, bounds);
  const args = [n, latents, users, encoder, decoder, bounds, k, ...lists] as const;
  threads.run({ kernel: 'score', tasks, args, scratch, scratchBytes });
}
