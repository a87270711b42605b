/**
 * x += α·A[from … to), a stretch of a sparse column into a dense vector. `mark[i] = stamp` says that x_i is
 * set; an index seen for the first time is appended to `list`, whose new length is returned (CSparse `cs_scatter`).
 */
export function scatter(
  Ai: Int32Array,
  Ax: Float32Array,
  from: number,
  to: number,
  alpha: number,
  x: Float64Array,
  mark: Int32Array,
  stamp: number,
  list: Int32Array,
  length: number,
): number {
  for (let e = from; e < to; e++) {
    const i = Ai[e]!;
    if (mark[i] === stamp) x[i]! += alpha * Ax[e]!;
    else {
      mark[i] = stamp;
      list[length++] = i;
      x[i] = alpha * Ax[e]!;
    }
  }
  return length;
}
