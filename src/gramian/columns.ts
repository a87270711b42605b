import type { Address } from '../runtime/arena.js';

/** Index of a function in the kernels' table. */
export type TableIndex = number;

/** Hears how much is done, 0 … 1. */
export type Report = (fraction: number) => void;

/**
 * The Gramian G = XᵀWX (n × n, symmetric, fixed-point integers) as a solver sees it. Two implementations give the
 * same numbers: `implicit` computes columns from X, `stored` sums them over segment files.
 */
export interface Gramian {
  readonly n: number;
  /** G_jj by item. */
  diagonal(): Float64Array;
  /** Share of entries that are not 0, of a sample of columns. */
  density(): number;
  /** Takes item i to position `positions[i]`. Its allocations stay on top of the arena. */
  arrange(positions: Int32Array): ArrangedGramian;
  close(): void;
}

/** P G Pᵀ. A solver reads it by functions of its own, which the kernels call with an address of its own. */
export interface ArrangedGramian {
  /** G_jj by position. */
  readonly diagonal: Float64Array;
  /** ‖G[:,j]‖₂² by position, exact while below 2⁵³. */
  squaredNorms(): Float64Array;
  /** Hands over the columns of the strictly lower triangle in order, on the calling thread. False if `take` said stop. */
  stream(to: StreamTaker, report?: Report): boolean;
  /** Hands over each column of the strictly lower triangle once, in any order, on all threads. */
  sweep(to: SweepVisitor, report?: Report): void;
  /** Bytes of the arena that such a sweep takes while it runs. */
  sweepBytes(to: Pick<SweepVisitor, 'listed' | 'tailBytes'>): number;
}

/** The receiver of a stream; see the kernel `consume` for the arguments of `take`. */
export interface StreamTaker {
  readonly take: TableIndex;
  readonly state: Address;
}

/** The receiver of a sweep; see the kernels' `Visitor` for the arguments of its functions. */
export interface SweepVisitor {
  /** One function for each width of sums. */
  readonly take: Readonly<Record<'i32' | 'i64' | 'f64', TableIndex>>;
  /** Says which columns are wanted; every column without it. */
  readonly wants?: TableIndex;
  readonly state: Address;
  /** Whether `take` needs the list of a column's rows. */
  readonly listed: boolean;
  /** Scratch that `take` needs for itself on each thread. */
  readonly tailBytes: number;
}

/** The functions of a visitor from that which says them by width: 0 i32, 1 i64, 2 f64. */
export const byWidth = (indexOf: (width: number) => TableIndex): SweepVisitor['take'] => ({
  i32: indexOf(0),
  i64: indexOf(1),
  f64: indexOf(2),
});

/** The sizes that decide how much memory a Gramian takes. */
export interface GramianSize {
  readonly users: number;
  readonly items: number;
  /** Nonzeros of X that lie in the arena. */
  readonly entries: number;
  readonly weighted: boolean;
  readonly valued: boolean;
  readonly threads: number;
}

/** Bytes that a Gramian takes: upper bounds, stated beside its allocations. */
export interface GramianRoom {
  /** Stays in the arena from `arrange` on. */
  readonly arranged: number;
  /** On top of that while it is arranged, and while it is read. */
  readonly arranging: number;
  readonly squaredNorms: number;
  readonly stream: number;
  readonly sweep: (tailBytes: number) => number;
  /** Outside the arena, at any time. */
  readonly outside: number;
}
