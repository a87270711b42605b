/**
 * Column access to the Gramian G = XᵀX (n × n, symmetric, fixed-point integers). Two implementations give
 * the same numbers: `implicit` computes columns from X, `stored` sums them over segment files.
 */
export interface Gramian {
  readonly n: number;
  /** Fixed-point scale of X: an entry v stands for v / scale². */
  readonly scale: number;
  /** G_jj for every j. */
  diagonal(): Float64Array;
  /** ‖G[:,j]‖₂² for every j, exact while below 2⁵³. */
  squaredNorms(): Float64Array;
  /** The strictly lower triangle of P G Pᵀ, where position k of the permuted matrix is item `order[k]`. */
  lower(order: Int32Array): LowerColumns;
  close(): void;
}

/** The strictly lower triangle of a permuted Gramian, column by column. */
export interface LowerColumns {
  /**
   * Writes the nonzeros below the diagonal of column k as positions > k and values, in no particular order,
   * into buffers of length n, and returns how many there are. Columns are asked for in ascending order.
   */
  column(k: number, indices: Int32Array, values: Float64Array): number;
}
