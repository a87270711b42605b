import type { Blocks, Fsai } from '../solvers/fsai/rows.js';
import type { IcfResult, Workspace } from '../solvers/icf/factor.js';

/**
 * The Gramian G = XᵀWX (n × n, symmetric, fixed-point integers) as a fit sees it. Two implementations give the
 * same numbers: `implicit` computes columns from X, `stored` sums them over segment files.
 */
export interface Gramian {
  readonly n: number;
  /** G_jj by item. */
  diagonal(): Float64Array;
  /** Takes item i to position `positions[i]`; what this allocates lies on top of the arena. */
  arrange(positions: Int32Array): ArrangedGramian;
  close(): void;
}

/** P G Pᵀ. */
export interface ArrangedGramian {
  /** G_jj by position. */
  readonly diagonal: Float64Array;
  /** ‖G[:,j]‖₂² by position, exact while below 2⁵³. */
  squaredNorms(): Float64Array;
  /** Streams the columns of the strictly lower triangle, in order, through the elimination of `w`. */
  eliminate(w: Workspace, report?: (fraction: number) => void): IcfResult;
  /** Streams the columns of the strictly lower triangle, in any order, to find the patterns of `f` and their entries. */
  select(f: Fsai, report?: (fraction: number) => void): void;
  /** Streams those columns again and carries their entries to the blocks of some rows of `f`. */
  gather(f: Fsai, blocks: Blocks, report?: (fraction: number) => void): void;
}
