import { StageError } from '#src/errors.js';
import type { Rows } from '#src/matrix/rows.js';
import type { Gramian, LowerColumns } from './columns.js';
import { type ItemColumns, itemColumns } from './item-columns.js';

/**
 * G = XᵀX without storing it: a column is summed from the rows of X that hold the item, when it is asked for.
 * One pass over all columns visits Σ d(d − 1)/2 pairs, d the length of a row. Throws `OVERFLOW` where a sum
 * reaches 2⁵³ (`diagonal`, `squaredNorms` and `column`).
 */
export function implicitGramian(rows: Rows, scale: number): Gramian {
  const { n } = rows;
  const items = itemColumns(rows);
  const lower = (order: Int32Array) => lowerColumns(rows, items, order);
  const diagonal = () => diagonalOf(items);
  return {
    n,
    scale,
    diagonal,
    squaredNorms: () => squaredNorms(lower(Int32Array.from({ length: n }, (_, j) => j)), diagonal()),
    lower,
    close() {},
  };
}

function diagonalOf({ n, indptr: Cp, values: Cv }: ItemColumns): Float64Array {
  // G_jj = Σ_u x_uj²
  const g = new Float64Array(n);
  for (let j = 0; j < n; j++) {
    if (!Cv) {
      g[j] = Cp[j + 1]! - Cp[j]!;
      continue;
    }
    for (let e = Cp[j]!; e < Cp[j + 1]!; e++) g[j]! += Cv[e]! * Cv[e]!;
    exact(g[j]!);
  }
  return g;
}

function squaredNorms(L: LowerColumns, diagonal: Float64Array): Float64Array {
  // ‖G_j‖² = G_jj² + Σ_{i>j} G_ij² + Σ_{i<j} G_ji²
  const n = diagonal.length;
  const s = diagonal.map(g => g * g);
  const indices = new Int32Array(n);
  const values = new Float64Array(n);
  for (let j = 0; j < n; j++) {
    const count = L.column(j, indices, values);
    let own = 0;
    for (let e = 0; e < count; e++) {
      const vv = values[e]! * values[e]!;
      own += vv;
      s[indices[e]!]! += vv;
    }
    s[j]! += own;
  }
  return s;
}

/** The rows of X by position: `positions` sorted within a row, and where a row goes on behind an entry. */
interface Ordered {
  readonly Xp: Int32Array;
  readonly positions: Int32Array;
  readonly values: Int32Array | undefined;
  /** For each entry of the item columns, the place after it in its row of `positions`. */
  readonly behind: Int32Array;
}

function lowerColumns(rows: Rows, items: ItemColumns, order: Int32Array): LowerColumns {
  const X = byPosition(rows, items, order);
  if (!X.values) {
    const sums = new Int32Array(rows.n);
    return { column: (k, indices, values) => countColumn(X, items, order[k]!, sums, indices, values) };
  }
  const sums = new Float64Array(rows.n);
  return { column: (k, indices, values) => sumColumn(X, items, order[k]!, sums, indices, values) };
}

function byPosition(rows: Rows, items: ItemColumns, order: Int32Array): Ordered {
  const { indptr: Cp, rows: Ci, values: Cv } = items;
  const positions = new Int32Array(Ci.length);
  const values = Cv && new Int32Array(Ci.length);
  const behind = new Int32Array(Ci.length);
  const next = rows.indptr.slice(0, -1);
  for (let k = 0; k < order.length; k++) {
    for (let e = Cp[order[k]!]!; e < Cp[order[k]! + 1]!; e++) {
      const f = next[Ci[e]!]!++; // positions arrive in ascending order
      positions[f] = k;
      if (values) values[f] = Cv![e]!;
      behind[e] = f + 1;
    }
  }
  return { Xp: rows.indptr, positions, values, behind };
}

function countColumn(
  { Xp, positions, behind }: Ordered,
  { indptr: Cp, rows: Ci }: ItemColumns,
  item: number,
  sums: Int32Array,
  indices: Int32Array,
  values: Float64Array,
): number {
  // G_ij = |{u : x_ui = x_uj = 1}|, i behind j
  let count = 0;
  for (let e = Cp[item]!; e < Cp[item + 1]!; e++) {
    const end = Xp[Ci[e]! + 1]!;
    for (let f = behind[e]!; f < end; f++) {
      const i = positions[f]!;
      if (sums[i]!++ === 0) indices[count++] = i;
    }
  }
  for (let e = 0; e < count; e++) {
    const i = indices[e]!;
    values[e] = sums[i]!;
    sums[i] = 0;
  }
  return count;
}

function sumColumn(
  { Xp, positions, values: Xv, behind }: Ordered,
  { indptr: Cp, rows: Ci, values: Cv }: ItemColumns,
  item: number,
  sums: Float64Array,
  indices: Int32Array,
  values: Float64Array,
): number {
  // G_ij = Σ_u x_ui x_uj, i behind j
  let count = 0;
  for (let e = Cp[item]!; e < Cp[item + 1]!; e++) {
    const x = Cv![e]!;
    const end = Xp[Ci[e]! + 1]!;
    for (let f = behind[e]!; f < end; f++) {
      const i = positions[f]!;
      if (sums[i] === 0) indices[count++] = i;
      sums[i]! += x * Xv![f]!;
    }
  }
  for (let e = 0; e < count; e++) {
    const i = indices[e]!;
    exact(sums[i]!);
    values[e] = sums[i]!;
    sums[i] = 0;
  }
  return count;
}

// Terms are positive, so a sum that stayed below 2⁵³ was never rounded.
function exact(sum: number): void {
  if (sum > Number.MAX_SAFE_INTEGER) {
    throw new StageError('OVERFLOW', `a Gramian sum is ${sum}, expected less than 2^53`);
  }
}
