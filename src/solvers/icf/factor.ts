import { capacity, type Lower } from '../../matrix/lower.js';
import type { Address, Arena } from '../../runtime/arena.js';

/** The factor, or the column and the pivot ≤ 0 at which the matrix turned out not positive definite. */
export type IcfResult =
  | { readonly ok: true; readonly factor: Lower }
  | { readonly ok: false; readonly column: number; readonly pivot: number };

/** Fields of the kernels' `Icf` record, in int32 and, the last two, in float64. */
const ENTRIES = 1;
const COLUMN = 2;
const HEAD = 13;
const PIVOT = 2;
const BUDGET = 3;

/** A factorization's place in the arena. `f` is the kernels' `Icf` record. */
export interface Workspace {
  readonly f: Address;
  readonly rows: Address;
  readonly factor: Omit<Lower, 'entries'>;
}

/**
 * Room for L, which stays, and for the elimination on top of it: `release` to `mark` after the last attempt.
 */
export function icfWorkspace(arena: Arena, n: number, budget: number): Workspace & { mark: Address } {
  const indptr = arena.bytes(4 * (n + 1), 'factor');
  const room = capacity(n, budget);
  const indices = arena.bytes(4 * room, 'factor');
  const data = arena.bytes(4 * room, 'factor');
  const mark = arena.mark();
  const rows = arena.bytes(16 * n, 'elimination');
  const lists = [0, 1, 2].map(() => arena.bytes(4 * n, 'elimination')) as [Address, Address, Address];
  const y = arena.bytes(8 * n, 'elimination');
  const filled = arena.bytes(4 * n, 'elimination');
  const keys = arena.bytes(8 * (2 * n + 64), 'elimination');
  const fields = [n, 0, 0, 0, 0, 0, 0, 0, indptr, indices, data, rows, ...lists, y, filled, keys];
  const f = arena.record(fields, 'elimination');
  arena.f64(f, 4)[BUDGET] = budget;
  return { f, rows, factor: { n, indptr, indices, data }, mark };
}

/** Begins an elimination anew: A_jj = `diagonal[j]` and A_ij = t_i t_j G_ij, by position. */
export function icfBegin(arena: Arena, w: Workspace, diagonal: Float64Array, t: Float64Array): void {
  const { n, indptr } = w.factor;
  const rows = arena.f64(w.rows, 2 * n);
  for (let i = 0; i < n; i++) {
    rows[2 * i] = diagonal[i]!;
    rows[2 * i + 1] = t[i]!;
  }
  const f = arena.i32(w.f, 18);
  f[ENTRIES] = 0;
  f[COLUMN] = 0;
  arena.i32(indptr, 1)[0] = 0;
  arena.i32(f[HEAD]! >>> 0, n).fill(-1); // lists of columns by row
}

/** What has become of an elimination that went through all columns or broke down. */
export function icfEnd(arena: Arena, w: Workspace, ok: boolean): IcfResult {
  const f = arena.i32(w.f, 18);
  if (!ok) return { ok, column: f[COLUMN]!, pivot: arena.f64(w.f, 8)[PIVOT]! };
  return { ok, factor: { ...w.factor, entries: f[ENTRIES]! } };
}
