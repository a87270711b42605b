import type { TensorSpool } from '../matrix/spool.js';
import type { Address, Arena } from '../runtime/arena.js';
import { allocate, bytesOf } from '../runtime/parts.js';

/** Entries of rows that are in the arena at a time, beside those of one more row. */
const CHUNK = 1 << 20;

/** Facts of n rows and columns. */
const factParts = (n: number) => ({ lengths: 4 * n, pivots: 8 * n, sums: 8 * n, counts: 4 * n });

/** A chunk of rows that have up to `most` entries each. */
const chunkParts = (n: number, most: number) => ({
  starts: 4 * (rowsOfChunk(n, most) + 1),
  items: 4 * rowsOfChunk(n, most) * most,
  values: 4 * rowsOfChunk(n, most) * most,
});

/** Rows of a chunk. */
const rowsOfChunk = (n: number, most: number): number => Math.max(1, Math.min(n, Math.floor(CHUNK / most)));

/** Bytes that n rows of up to `most` entries take in the arena: `facts` stay, a chunk is there while it is written or read. */
export const rowsFileRoom = (n: number, most: number) => ({
  facts: bytesOf(factParts(n)),
  chunk: bytesOf(chunkParts(n, most)),
});

/** Consecutive rows in the arena: row `first` + r has its entries from starts[r] to starts[r + 1]. */
export interface RowChunk {
  readonly first: number;
  readonly rows: number;
  readonly starts: Address;
  readonly items: Address;
  readonly values: Address;
}

/** Names of the tensors that `RowsFile` spools: the items and values of K. The items are also those of the decoder. */
const ITEMS = 'decoder.indices';
const VALUES = 'inverse.data';

/**
 * The rows of K in A⁻¹ ≈ KᵀD⁻¹K, which solvers append in order and which are read in order any number of times. Their
 * entries lie in `spool`; in the arena are D, Σ_k K_ki²/D_k and the number of entries of each column.
 */
export class RowsFile {
  readonly n: number;
  /** D, F64[n] by row. */
  readonly pivots: Address;
  /** Σ_k K_ki² / D_k, F64[n] by item. */
  readonly sums: Address;
  /** Entries of each column, I32[n] by item. */
  readonly counts: Address;
  readonly #lengths: Address;
  readonly #arena: Arena;
  readonly #spool: TensorSpool;
  readonly #most: number;
  #rows = 0;
  #entries = 0;

  /** Rows of up to `most` entries each. */
  constructor(arena: Arena, spool: TensorSpool, n: number, most: number) {
    const { lengths, pivots, sums, counts } = allocate(arena, factParts(n), 'rows of the inverse');
    arena.u8(sums, 8 * n).fill(0);
    arena.u8(counts, 4 * n).fill(0);
    this.n = n;
    this.pivots = pivots;
    this.sums = sums;
    this.counts = counts;
    this.#lengths = lengths;
    this.#arena = arena;
    this.#spool = spool;
    this.#most = most;
  }

  get entries(): number {
    return this.#entries;
  }

  /** Entries of each row, I32[n]. */
  get lengths(): Int32Array {
    return this.#arena.i32(this.#lengths, this.n);
  }

  /**
   * Appends the next `rows` rows, of which `lengths` says how long each is, chunk by chunk: `fill` writes the entries of
   * the chunk that it is given, ascending by item, and r is the first of them. `D` has their pivots.
   */
  append(lengths: Int32Array, D: Float64Array, fill: (chunk: RowChunk, r: number) => void): void {
    const arena = this.#arena;
    this.lengths.set(lengths, this.#rows);
    arena.f64(this.pivots, this.n).set(D, this.#rows);
    const end = this.#rows + lengths.length;
    const begin = this.#rows;
    this.#chunks(begin, end, chunk => {
      fill(chunk, chunk.first - begin);
      const { first, rows, starts, items, values } = chunk;
      const entries = arena.i32(starts, rows + 1)[rows]!;
      const { sums, counts } = this;
      arena.kernels.rowScales(rows, starts, items, values, this.pivots + 8 * first, sums, counts);
      this.#spool.append(ITEMS, 'I32', arena.i32(items, entries));
      this.#spool.append(VALUES, 'F32', arena.f32(values, entries));
      this.#entries += entries;
    });
    this.#rows = end;
  }

  /** Reads all rows, chunk by chunk; a chunk is gone after `take`. */
  read(take: (chunk: RowChunk) => void): void {
    let from = 0;
    this.#chunks(0, this.n, chunk => {
      const entries = this.#arena.i32(chunk.starts, chunk.rows + 1)[chunk.rows]!;
      this.#spool.read(ITEMS, from, this.#arena.i32(chunk.items, entries));
      this.#spool.read(VALUES, from, this.#arena.f32(chunk.values, entries));
      from += entries;
      take(chunk);
    });
  }

  /** Removes the values, which no layer has as they are. */
  removeValues(): void {
    this.#spool.remove(VALUES);
  }

  /** Lays out the rows begin … end − 1 in chunks. */
  #chunks(begin: number, end: number, take: (chunk: RowChunk) => void): void {
    const arena = this.#arena;
    const mark = arena.mark();
    const parts = allocate(arena, chunkParts(this.n, this.#most), 'rows of the inverse');
    const most = rowsOfChunk(this.n, this.#most);
    for (let first = begin; first < end; first += most) {
      const rows = Math.min(most, end - first);
      const starts = arena.i32(parts.starts, rows + 1);
      const lengths = this.lengths;
      starts[0] = 0;
      for (let r = 0; r < rows; r++) starts[r + 1] = starts[r]! + lengths[first + r]!;
      take({ first, rows, ...parts });
    }
    arena.release(mark);
  }
}
