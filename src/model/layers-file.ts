import { widened } from '../matrix/int64.js';
import { sparseParts } from '../matrix/lower.js';
import type { TensorSpool } from '../matrix/spool.js';
import type { Arena } from '../runtime/arena.js';
import { allocate, bytesOf } from '../runtime/parts.js';
import type { Threads } from '../runtime/threads.js';
import { scaleColumns, scaleRows } from './item-weights.js';
import type { CsrMatrix } from './model.js';
import { type RowsFile, rowsFileRoom } from './rows-file.js';
import { distilBytes, servingRowBytes, servingRows } from './serving.js';
import { shapesOf } from './weights-file.js';

/** The serving matrix, and the weights of items: those of a history, and those of scores. */
export interface LayerSettings {
  /** Entries of each row of the serving matrix, 0 for none. */
  readonly width: number;
  readonly signed: boolean;
  readonly input?: Float64Array | undefined;
  readonly output?: Float64Array | undefined;
}

/** Bytes of an item in a range beside its entries: in the encoder with the place where the next one goes, and in the serving matrix. */
const itemBytes = (width: number): number => 8 + (width > 0 ? servingRowBytes(width) : 0);
/** Bytes of an entry of the encoder. */
const ENTRY = 8;

/**
 * Bytes of writing the layers of n items with up to `most` entries a row: what a range of items has beside it, the decoder
 * among it where there is a serving matrix, and what the longest row of the encoder may take.
 */
export function layersFileRoom(n: number, most: number, width: number, threads: number) {
  const { facts, chunk } = rowsFileRoom(n, most);
  const serving = width > 0 ? bytesOf(sparseParts(n, n * most)) + threads * distilBytes(n, width) : 0;
  return { fixed: facts + chunk + serving, least: ENTRY * n + itemBytes(width) };
}

/** Where the layers are made, and of what. */
interface Making {
  readonly arena: Arena;
  readonly threads: Threads;
  readonly rows: RowsFile;
  readonly spool: TensorSpool;
}

/** Spools the decoder Z = −D⁻¹K · diag(KᵀD⁻¹K)⁻¹, whose indices are those of `rows`; see `buildModel`. */
export function writeDecoder({ arena, rows, spool }: Making, { output }: LayerSettings): void {
  const { pivots, sums } = rows;
  spool.append('decoder.indptr', 'I64', widened(pointers(rows.lengths)));
  rows.read(({ first, rows: count, starts, items, values }) => {
    arena.kernels.scaleRows(count, starts, items, values, pivots + 8 * first, sums);
    const entries = arena.i32(starts, count + 1)[count]!;
    const data = arena.f32(values, entries);
    if (output) scaleColumns({ indices: arena.i32(items, entries), data }, output);
    spool.append('decoder.data', 'F32', data);
  });
}

const shapeOf = (n: number) => ({ rows: n, columns: n });

/**
 * Spools the encoder Kᵀ, and the rows of the serving matrix with it, for as many items at a time as `bytes` hold: an
 * external counting sort, which reads `rows` once for each range.
 */
export function writeEncoder(making: Making, settings: LayerSettings, bytes: number): void {
  const { arena, rows, spool } = making;
  const { width } = settings;
  const mark = arena.mark();
  const counts = arena.i32(rows.counts, rows.n);
  spool.append('encoder.indptr', 'I64', widened(pointers(counts)));
  const decoder = width > 0 ? residentDecoder(making) : undefined;
  if (decoder) spool.append('serving.indptr', 'I64', widened([0]));
  let served = 0;
  for (let lo = 0, hi: number; lo < rows.n; lo = hi) {
    hi = endOf(counts, lo, width, bytes);
    const top = arena.mark();
    const encoder = encoderRows(making, lo, hi);
    if (decoder) served = writeServing(making, settings, { encoder, decoder }, lo, served);
    if (settings.input) scaleRows(encoder, settings.input.subarray(lo, hi));
    spool.append('encoder.indices', 'I32', encoder.indices);
    spool.append('encoder.data', 'F32', encoder.data);
    arena.release(top);
  }
  arena.release(mark);
}

/** Puts the spooled layers together at the path of the spool. */
export function finishLayers(
  spool: TensorSpool,
  n: number,
  width: number,
  metadata: Readonly<Record<string, string>>,
): void {
  const layers = ['encoder', 'decoder', ...(width > 0 ? ['serving'] : [])];
  const names = layers.flatMap(name => ['indptr', 'indices', 'data'].map(part => `${name}.${part}`));
  const shapes = shapesOf(Object.fromEntries(layers.map(name => [name, shapeOf(n)])));
  spool.finish(names, { ...metadata, ...shapes });
}

/** Where lines of these lengths begin, and the last one ends. */
function pointers(lengths: Int32Array): Float64Array {
  const starts = new Float64Array(lengths.length + 1);
  for (let k = 0; k < lengths.length; k++) starts[k + 1] = starts[k]! + lengths[k]!;
  return starts;
}

/** The end of the range of items from `lo` on that `bytes` hold; one item at least. */
function endOf(counts: Int32Array, lo: number, width: number, bytes: number): number {
  let [hi, sum] = [lo, 0];
  do sum += ENTRY * counts[hi++]! + itemBytes(width);
  while (hi < counts.length && sum + ENTRY * counts[hi]! + itemBytes(width) <= bytes);
  return hi;
}

/** The rows lo … hi − 1 of the encoder, on top of the arena. */
function encoderRows({ arena, rows }: Making, lo: number, hi: number): CsrMatrix {
  const counts = arena.i32(rows.counts, rows.n).subarray(lo, hi);
  const entries = counts.reduce((a, b) => a + b, 0);
  const at = allocate(arena, sparseParts(hi - lo, entries), 'encoder');
  const starts = arena.i32(at.indptr, hi - lo + 1);
  starts[0] = 0;
  for (let i = 0; i < counts.length; i++) starts[i + 1] = starts[i]! + counts[i]!;
  const mark = arena.mark();
  const next = arena.bytes(4 * counts.length, 'encoder');
  arena.i32(next, counts.length).set(starts.subarray(0, counts.length));
  rows.read(({ first, rows: count, starts, items, values }) => {
    arena.kernels.rowsByColumn(first, count, starts, items, values, lo, hi, next, at.indices, at.data);
  });
  arena.release(mark);
  return {
    rows: hi - lo,
    columns: rows.n,
    indptr: starts,
    indices: arena.i32(at.indices, entries),
    data: arena.f32(at.data, entries),
  };
}

/** All of the decoder, on top of the arena. */
function residentDecoder({ arena, rows, spool }: Making): CsrMatrix {
  const { n, entries } = rows;
  const at = allocate(arena, sparseParts(n, entries), 'decoder');
  const decoder = {
    ...shapeOf(n),
    indptr: arena.i32(at.indptr, n + 1),
    indices: arena.i32(at.indices, entries),
    data: arena.f32(at.data, entries),
  };
  decoder.indptr.set(pointers(rows.lengths));
  spool.read('decoder.indices', 0, decoder.indices);
  spool.read('decoder.data', 0, decoder.data);
  return decoder;
}

/** Spools the rows of the serving matrix from item `first` on, which follow `served` entries; returns how many there are then. */
function writeServing(
  { arena, threads, rows: { n }, spool }: Making,
  { width, signed, input }: LayerSettings,
  layers: Readonly<Record<'encoder' | 'decoder', CsrMatrix>>,
  first: number,
  served: number,
): number {
  const mark = arena.mark();
  const serving = servingRows(arena, threads, { n, ...layers }, width, signed, first);
  if (input) scaleRows(serving, input.subarray(first, first + serving.rows));
  const ends = Float64Array.from(serving.indptr.subarray(1), end => served + end);
  spool.append('serving.indptr', 'I64', widened(ends));
  spool.append('serving.indices', 'I32', serving.indices);
  spool.append('serving.data', 'F32', serving.data);
  arena.release(mark);
  return served + serving.indices.length;
}
