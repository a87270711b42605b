import { capacity, type Lower } from './lower.js';
import { scatter } from './scatter.js';
import { kthLargest } from './select.js';

/** When to stop improving an approximate inverse, and how large it may be. */
export interface InverseOptions {
  /** Most scans. */
  readonly scans: number;
  /** Loss below which no scan is made. */
  readonly tolerance: number;
  /** Most entries of K. */
  readonly budget: number;
}

/** K ≈ L⁻¹ with the loss ‖I − LK‖²_F / n at the start and after each scan. */
export interface Inverse {
  readonly lower: Lower;
  /** Descending, but for the last one if that scan was undone. */
  readonly losses: number[];
  /** Whether the last scan raised the loss: K is the one before it. */
  readonly undone: boolean;
}

/**
 * Approximate inverse of a unit lower triangular matrix: one Schultz step from the identity, then uniform
 * minimal-residual scans while they lower the loss. Chow & Saad 1998; Spišák et al. 2023, §3.
 */
export function invert(
  L: Lower,
  options: InverseOptions,
  report: (fraction: number) => void = () => {},
): Inverse {
  const { scans, tolerance, budget } = options;
  const room = capacity(L.n, Math.max(budget, L.data.length));
  let K = schultz(L);
  let loss = residualLoss(L, K);
  const losses = [loss];
  for (let scan = 0; scan < scans && loss > tolerance; scan++) {
    report(scan / scans);
    const better = umrScan(L, K, room);
    const after = residualLoss(L, better);
    losses.push(after);
    if (!(after < loss)) return { lower: K, losses, undone: true };
    K = better;
    loss = after;
  }
  return { lower: K, losses, undone: false };
}

/** K₀ = I(2I − L) = 2I − L. */
function schultz(L: Lower): Lower {
  const data = L.data.map(v => -v);
  for (let j = 0; j < L.n; j++) data[L.indptr[j]!] = 1;
  return { ...L, data };
}

/** A column as a dense vector with the list of its nonzeros. */
interface Column {
  readonly x: Float64Array;
  readonly mark: Int32Array;
  readonly list: Int32Array;
  length: number;
}

function column(n: number): Column {
  return {
    x: new Float64Array(n),
    mark: new Int32Array(n).fill(-1),
    list: new Int32Array(n),
    length: 0,
  };
}

/** The loss ‖I − LK‖²_F / n. */
export function residualLoss(L: Lower, K: Lower): number {
  const R = column(L.n);
  let sum = 0;
  for (let j = 0; j < L.n; j++) {
    residual(L, K, j, R);
    sum += dot(R, R);
  }
  return L.n === 0 ? 0 : sum / L.n;
}

/**
 * One scan: K_j += α_j R_j for every column, with R = I − LK, P = LR, α_j = ⟨R_j,P_j⟩ / ⟨P_j,P_j⟩; then the
 * diagonal and the largest other entries stay, `room` in all. What cannot be among them is dropped on the way,
 * so that at most 2·room + n entries are held.
 */
export function umrScan(L: Lower, K: Lower, room: number): Lower {
  const { n } = L;
  const size = capacity(n, 2 * room + n);
  const M = {
    n,
    indptr: new Int32Array(n + 1),
    indices: new Int32Array(size),
    data: new Float32Array(size),
  };
  const magnitudes = new Float32Array(size);
  const R = column(n);
  const P = column(n);
  for (let j = 0; j < n; j++) {
    residual(L, K, j, R);
    multiply(L, R, j, P);
    const pp = dot(P, P);
    const alpha = pp > 0 ? dot(R, P) / pp : 0;
    for (let e = 0; e < R.length; e++) R.x[R.list[e]!]! *= alpha;
    add(K, j, 1, R, j);
    if (M.indptr[j]! + R.length > size) keepLargest(M, j, room - n, magnitudes);
    append(M, j, R);
  }
  if (M.indptr[n]! > room) keepLargest(M, n, room - n, magnitudes);
  const p = M.indptr[n]!;
  return { n, indptr: M.indptr, indices: M.indices.slice(0, p), data: M.data.slice(0, p) };
}

// r = e_j − L K_j
function residual(L: Lower, K: Lower, j: number, r: Column): void {
  r.x[j] = 1;
  r.mark[j] = j;
  r.list[0] = j;
  r.length = 1;
  for (let e = K.indptr[j]!; e < K.indptr[j + 1]!; e++) add(L, K.indices[e]!, -K.data[e]!, r, j);
}

// y = L r
function multiply(L: Lower, r: Column, j: number, y: Column): void {
  y.length = 0;
  for (let e = 0; e < r.length; e++) {
    const k = r.list[e]!;
    if (r.x[k] !== 0) add(L, k, r.x[k]!, y, j);
  }
}

// y += α L_k
function add(L: Lower, k: number, alpha: number, y: Column, stamp: number): void {
  const { indptr: Lp, indices: Li, data: Lx } = L;
  y.length = scatter(Li, Lx, Lp[k]!, Lp[k + 1]!, alpha, y.x, y.mark, stamp, y.list, y.length);
}

// ⟨x, y⟩, where y has at least the pattern of x
function dot(x: Column, y: Column): number {
  let sum = 0;
  for (let e = 0; e < x.length; e++) sum += x.x[x.list[e]!]! * y.x[x.list[e]!]!;
  return sum;
}

function append(M: Lower, j: number, x: Column): void {
  let p = M.indptr[j]!;
  M.indices[p] = j;
  M.data[p++] = x.x[j]!;
  for (let e = 0; e < x.length; e++) {
    const i = x.list[e]!;
    if (i === j || x.x[i] === 0) continue;
    M.indices[p] = i;
    M.data[p++] = x.x[i]!;
  }
  M.indptr[j + 1] = p;
}

/** Keeps the diagonal and the `keep` largest other entries of the first `columns` columns, ties to the earlier. */
function keepLargest(M: Lower, columns: number, keep: number, magnitudes: Float32Array): void {
  const { indptr: Mp, indices: Mi, data: Mx } = M;
  let count = 0;
  for (let j = 0; j < columns; j++) {
    for (let e = Mp[j]! + 1; e < Mp[j + 1]!; e++) magnitudes[count++] = Math.abs(Mx[e]!);
  }
  if (count <= keep) return;
  const least = keep > 0 ? kthLargest(magnitudes, count, keep) : Number.POSITIVE_INFINITY;
  // after the selection the kept ones stand in front
  let ties = 0;
  for (let e = 0; e < keep; e++) if (magnitudes[e] === least) ties++;
  let p = 0;
  for (let j = 0, e = 0; j < columns; j++) {
    const end = Mp[j + 1]!;
    for (let diagonal = true; e < end; e++, diagonal = false) {
      const magnitude = Math.abs(Mx[e]!);
      if (!diagonal && magnitude <= least && (magnitude < least || ties-- <= 0)) continue;
      Mi[p] = Mi[e]!;
      Mx[p++] = Mx[e]!;
    }
    Mp[j + 1] = p;
  }
}
