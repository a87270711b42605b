import { bestBytes, scatteredBytes } from '../matrix/scratch.js';
import type { Ranked } from '../matrix/top.js';
import { type Address, type Arena, aligned } from '../runtime/arena.js';
import { allocate, bytesOf } from '../runtime/parts.js';
import type { Threads } from '../runtime/threads.js';
import type { CsrMatrix, Model } from './model.js';
import { loadLayer, loadRanker, type RankedRows, rankRows, spareKeys } from './rank.js';
import { denseLayersBytes, denseScratch, fillsTiles, isDense } from './rank-dense.js';

/** Blocks of rows a thread gets. */
const BLOCKS_A_THREAD = 64;

/** Scratch of a thread that multiplies the layers: the kernels' `Scattered` and `Best`. */
export const distilBytes = (n: number, width: number): number =>
  scatteredBytes(n) + aligned(bestBytes(width));

/** The matrix before its rows are moved together, and the blocks of rows. */
const servingParts = (n: number, width: number) => ({
  work: 8 * n,
  items: 4 * n * width,
  values: 4 * n * width,
  lengths: 4 * n,
  bounds: 4 * (n + 1),
});

/** Bytes of making `servingRows` on top of the layers, for each row. */
export const servingRowBytes = (width: number): number => bytesOf(servingParts(1, width));

/** Bytes of making the serving matrix, on top of the layers and with them; none where it has no width. */
export const servingBytes = (n: number, width: number, layers: number, threads: number): number =>
  width === 0 ? 0 : layers + bytesOf(servingParts(n, width)) + threads * distilBytes(n, width);

/** Items whose lists are made at a time, where layers are dense. */
const BATCH = 512;

/** Bytes of making the serving matrix of dense layers of `rank`, on top of them and with them. */
export const denseServingBytes = (n: number, width: number, rank: number, threads: number): number =>
  width === 0 || !fillsTiles(rank)
    ? 0
    : 16 * n * rank +
      bytesOf(servingParts(n, width)) +
      denseLayersBytes(n, rank) +
      threads * denseScratch(n, rank, width, spareKeys) +
      2 * BATCH * (8 * width + 32);

/** Entries that each row of the encoder reaches through both layers. */
function fanOut({ encoder: W, decoder: Z }: Layers): Float64Array {
  const reached = new Float64Array(W.rows);
  for (let i = 0; i < W.rows; i++) {
    for (let e = W.indptr[i]!; e < W.indptr[i + 1]!; e++) {
      reached[i]! += 1 + Z.indptr[W.indices[e]! + 1]! - Z.indptr[W.indices[e]!]!;
    }
  }
  return reached;
}

/**
 * The serving matrix: the `width` largest entries in each row of encoder · decoder, the diagonal left out: positive ones alone
 * or, with `signed`, by magnitude. A user's scores are then the sum of the rows of the user's items, and row i is what goes
 * with item i. The same for any number of threads. It stays in the arena.
 */
export function servingMatrix(
  arena: Arena,
  threads: Threads,
  model: Model,
  width: number,
  signed: boolean,
): CsrMatrix {
  const rowsOf = isDense(model) ? denseRows : sparseRows;
  return made(rowsOf, { arena, threads, model, width, signed, first: 0 });
}

/** As `servingMatrix`, of sparse layers the encoder of which has the rows of the items from `first` on alone: these rows. */
export const servingRows = (
  arena: Arena,
  threads: Threads,
  model: Layers,
  width: number,
  signed: boolean,
  first: number,
): CsrMatrix => made(sparseRows, { arena, threads, model, width, signed, first });

function made(rowsOf: (making: Making) => void, making: Omit<Making, 'parts'>): CsrMatrix {
  const { arena, model, width } = making;
  const { rows } = model.encoder;
  const mark = arena.mark();
  const parts = allocate(arena, servingParts(rows, width), 'serving matrix');
  rowsOf({ ...making, parts });
  return { rows, columns: model.n, ...packed(arena, mark, rows, width, parts) };
}

type Layers = Pick<Model, 'n' | 'encoder' | 'decoder'>;
type Parts = Readonly<Record<keyof ReturnType<typeof servingParts>, Address>>;

/** A serving matrix under way: its rows go to `parts`. */
interface Making {
  readonly arena: Arena;
  readonly threads: Threads;
  readonly model: Layers;
  readonly width: number;
  readonly signed: boolean;
  /** The item of the encoder's first row. */
  readonly first: number;
  readonly parts: Parts;
}

/** Rows of the product of sparse layers, in blocks of about the same work. */
function sparseRows({ arena, threads, model, width, signed, first, parts }: Making): void {
  const { n } = model;
  const { rows } = model.encoder;
  const [encoder, decoder] = [loadLayer(arena, model.encoder), loadLayer(arena, model.decoder)];
  const work = arena.f64(parts.work, rows);
  work.set(fanOut(model));
  const total = work.reduce((a, b) => a + b, rows);
  const share = total / (BLOCKS_A_THREAD * threads.size);
  const tasks = arena.kernels.blocks(rows, parts.work, 1, share, rows, parts.bounds);
  const scratchBytes = distilBytes(n, width);
  const scratch = arena.bytes(scratchBytes * threads.size, 'scores of a thread');
  arena.u8(scratch, scratchBytes * threads.size).fill(0xff);
  const { bounds, items, values, lengths } = parts;
  const args = [n, first, encoder, decoder, bounds, width, signed ? 1 : 0, items, values, lengths] as const;
  threads.run({ kernel: 'distil', tasks, args, scratch, scratchBytes });
}

/**
 * Rows of the product of dense layers, by ascending item: the lists of users who have one item, and with `signed` of those who have it
 * −1 times, whose best are the others' most negative.
 */
function denseRows({ arena, threads, model, width, signed, parts }: Making): void {
  const { n } = model;
  const ranker = loadRanker({ arena, threads }, model, width, true);
  const [indices, values] = [arena.i32(parts.items, n * width), arena.f32(parts.values, n * width)];
  const lengths = arena.i32(parts.lengths, n);
  const row = new Float32Array(n);
  const mark = arena.mark();
  for (let first = 0; first < n; first += BATCH) {
    const users = Int32Array.from({ length: Math.min(BATCH, n - first) }, (_, r) => first + r);
    const rows = {
      n,
      users,
      indptr: Int32Array.from({ length: users.length + 1 }, (_, r) => r),
      indices: users,
    };
    const above = rankRows(ranker, { ...rows, values: undefined });
    const below = signed ? rankRows(ranker, { ...rows, values: users.map(() => -1) }) : undefined;
    users.forEach((item, r) => {
      const kept = merged(listOf(above, r), below && listOf(below, r), width, row);
      kept.forEach((i, e) => {
        indices[item * width + e] = i;
        values[item * width + e] = row[i]!;
      });
      lengths[item] = kept.length;
    });
    arena.release(mark);
  }
}

const listOf = ({ k, lengths, items, scores }: RankedRows, r: number): Ranked => ({
  items: items.subarray(r * k, r * k + lengths[r]!),
  scores: scores.subarray(r * k, r * k + lengths[r]!),
});

/** The items of the `width` largest positive scores of both lists, ascending; `row` gets their scores, those of `below` negated. */
function merged(above: Ranked, below: Ranked | undefined, width: number, row: Float32Array): Int32Array {
  const kept = new Int32Array(width);
  let [count, a, b] = [0, 0, 0];
  while (count < width) {
    const [high, low] = [above.scores[a] ?? 0, below?.scores[b] ?? 0];
    if (high <= 0 && low <= 0) break;
    const i = high >= low ? above.items[a++]! : below!.items[b++]!;
    row[i] = high >= low ? high : -low;
    kept[count++] = i;
  }
  return kept.subarray(0, count).sort();
}

/** Moves rows of `width` together, down to `mark`; the blocks' bounds give way to the row pointers. */
function packed(
  arena: Arena,
  mark: Address,
  n: number,
  width: number,
  at: Readonly<Record<'items' | 'values' | 'lengths' | 'bounds', Address>>,
) {
  const items = arena.i32(at.items, n * width);
  const values = arena.f32(at.values, n * width);
  const lengths = arena.i32(at.lengths, n);
  const pointers = arena.i32(at.bounds, n + 1);
  pointers[0] = 0;
  for (let i = 0; i < n; i++) {
    const [from, end, to] = [i * width, i * width + lengths[i]!, pointers[i]!];
    items.copyWithin(to, from, end);
    values.copyWithin(to, from, end);
    pointers[i + 1] = to + lengths[i]!;
  }
  const entries = pointers[n]!;
  const kept = [items.subarray(0, entries), values.subarray(0, entries), pointers] as const;
  const [indices, data, indptr] = arena.keep(mark, kept, 'serving matrix');
  return { indptr, indices, data };
}
