import type { RowChanges, Rows } from '#src/matrix/rows.js';
import { itemColumns } from './item-columns.js';

/** Consecutive columns of a sparse matrix, row indices ascending within a column and no explicit zeros. */
export interface ColumnBlock {
  /** First column of the block. */
  readonly first: number;
  /** Column `first + c` is `indptr[c] … indptr[c + 1]`. */
  readonly indptr: Float64Array;
  readonly indices: Int32Array;
  readonly values: Float64Array;
}

/** Entries a block is allowed to hold before it is handed on. */
const blockEntries = 1 << 20;

/**
 * D = X' − X over the same users, rows merged by ascending item, zeros left out.
 */
export function difference({ before, after }: RowChanges): Rows {
  const { indptr: Xp, indices: Xi, values: Xx } = before;
  const { indptr: Yp, indices: Yi, values: Yx } = after;
  const Dp = new Int32Array(after.users.length + 1);
  const Di = new Int32Array(Xi.length + Yi.length);
  const Dx = new Int32Array(Di.length);
  let nnz = 0;
  for (let r = 0; r < after.users.length; r++) {
    let p = Xp[r]!;
    let q = Yp[r]!;
    while (p < Xp[r + 1]! || q < Yp[r + 1]!) {
      const i = p < Xp[r + 1]! ? Xi[p]! : after.n;
      const j = q < Yp[r + 1]! ? Yi[q]! : after.n;
      const x = i <= j ? (Xx ? Xx[p]! : 1) : 0;
      const y = j <= i ? (Yx ? Yx[q]! : 1) : 0;
      if (i <= j) p++;
      if (j <= i) q++;
      if (x !== y) {
        Di[nnz] = Math.min(i, j);
        Dx[nnz++] = y - x;
      }
    }
    Dp[r + 1] = nnz;
  }
  return { n: after.n, users: after.users, indptr: Dp, indices: Di.slice(0, nnz), values: Dx.slice(0, nnz) };
}

/** Pairs that ΔG visits, Σ_u |D_u| · (|X_u| + |X'_u|): the work of `updateColumns`. */
export function pairsOf({ before, after }: RowChanges, D: Rows): number {
  let pairs = 0;
  for (let r = 0; r < D.users.length; r++) {
    const touched = before.indptr[r + 1]! - before.indptr[r]! + after.indptr[r + 1]! - after.indptr[r]!;
    pairs += (D.indptr[r + 1]! - D.indptr[r]!) * touched;
  }
  return pairs;
}

/**
 * ΔG = DᵀX' + XᵀD, column by column in blocks. Follows from
 * `x'x'ᵀ − xxᵀ = (x' − x)x'ᵀ + x(x' − x)ᵀ` for each user; a snapshot load is X = 0, the deletion of a
 * user X' = 0. Exact: every term and every sum is an integer below 2⁵³.
 */
export function* updateColumns(changes: RowChanges, D: Rows = difference(changes)): Generator<ColumnBlock> {
  const { before: X, after: Y } = changes;
  const n = D.n;
  const Dc = itemColumns(D);
  const Xc = itemColumns(X);
  const acc = new Float64Array(n);
  const seen = new Uint8Array(n);
  const touched = new Int32Array(n);
  let count = 0;

  // acc += d · row r of M
  const addRow = (M: Rows, r: number, d: number): void => {
    for (let e = M.indptr[r]!; e < M.indptr[r + 1]!; e++) {
      const i = M.indices[e]!;
      if (seen[i] === 0) {
        seen[i] = 1;
        touched[count++] = i;
      }
      acc[i]! += d * (M.values ? M.values[e]! : 1);
    }
  };

  let indices = new Int32Array(blockEntries + n);
  let values = new Float64Array(blockEntries + n);
  let indptr: number[] = [0];
  let first = 0;
  let nnz = 0;
  for (let j = 0; j < n; j++) {
    count = 0;
    // ΔG[:,j] = Σ_u d_uj x'_u + Σ_u x_uj d_u
    for (let e = Dc.indptr[j]!; e < Dc.indptr[j + 1]!; e++) addRow(Y, Dc.rows[e]!, Dc.values![e]!);
    for (let e = Xc.indptr[j]!; e < Xc.indptr[j + 1]!; e++)
      addRow(D, Xc.rows[e]!, Xc.values ? Xc.values[e]! : 1);
    const column = touched.subarray(0, count).sort();
    for (let k = 0; k < count; k++) {
      const i = column[k]!;
      if (acc[i] !== 0) {
        indices[nnz] = i;
        values[nnz++] = acc[i]!;
      }
      acc[i] = 0;
      seen[i] = 0;
    }
    indptr.push(nnz);
    if (nnz >= blockEntries || j === n - 1) {
      yield {
        first,
        indptr: Float64Array.from(indptr),
        indices: indices.subarray(0, nnz),
        values: values.subarray(0, nnz),
      };
      if (j === n - 1) return;
      indices = new Int32Array(blockEntries + n);
      values = new Float64Array(blockEntries + n);
      indptr = [0];
      first = j + 1;
      nnz = 0;
    }
  }
}
