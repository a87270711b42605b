import type { ArrangedGramian, Report } from '../../gramian/columns.js';
import { capacity, emptyLower, type Lower, sparseParts } from '../../matrix/lower.js';
import type { Address, Arena } from '../../runtime/arena.js';
import { allocate, bytesOf } from '../../runtime/parts.js';
import { read, record, write } from '../../runtime/records.js';

/** The factor, or the column and the pivot ≤ 0 at which the matrix turned out not positive definite. */
export type IcfResult =
  | { readonly ok: true; readonly factor: Lower }
  | { readonly ok: false; readonly column: number; readonly pivot: number };

/** A factorization's place in the arena. */
export interface Workspace {
  /** The kernels' `Icf` record. */
  readonly state: Address;
  readonly factor: Lower;
  /** Release to it after the last attempt: the factor stays. */
  readonly mark: Address;
}

/** Workspace of the elimination, on top of its factor; see the kernels' `Icf`. */
const eliminationParts = (n: number) => ({
  rows: 16 * n,
  first: 4 * n,
  head: 4 * n,
  next: 4 * n,
  y: 8 * n,
  filled: 4 * n,
  keys: 8 * (2 * n + 64),
});

/** Bytes of a factor of at most `budget` entries, and of its elimination. */
export const factorBytes = (n: number, budget: number): number =>
  bytesOf(sparseParts(n, capacity(n, budget)));
export const eliminationBytes = (n: number): number => bytesOf(eliminationParts(n));

/** Room for a factor, and for its elimination on top of it. */
export function icfWorkspace(arena: Arena, n: number, budget: number): Workspace {
  const factor = emptyLower(arena, n, capacity(n, budget), 'factor');
  const mark = arena.mark();
  const begun = { p: 0, column: 0, pivot: 0 };
  const { indptr: Lp, indices: Li, data: Lx } = factor;
  const parts = allocate(arena, eliminationParts(n), 'elimination');
  const state = record(arena, 'Icf', { n, budget, ...begun, Lp, Li, Lx, ...parts }, 'elimination');
  return { state, factor, mark };
}

/** L Lᵀ ≈ A with A_jj = `diagonal[j]` and A_ij = t_i t_j G_ij, by position; see the kernels `icf`. */
export function eliminate(
  arena: Arena,
  { state, factor }: Workspace,
  arranged: ArrangedGramian,
  diagonal: Float64Array,
  t: Float64Array,
  report?: Report,
): IcfResult {
  const { n, indptr } = factor;
  const { rows, head } = read(arena, 'Icf', state);
  const pairs = arena.f64(rows, 2 * n);
  for (let i = 0; i < n; i++) {
    pairs[2 * i] = diagonal[i]!;
    pairs[2 * i + 1] = t[i]!;
  }
  write(arena, 'Icf', state, { p: 0, column: 0 });
  arena.i32(indptr, 1)[0] = 0;
  arena.i32(head, n).fill(-1); // empty lists of columns by row
  const ok = arranged.stream({ take: arena.kernels.icfTake(), state }, report);
  const { p, column, pivot } = read(arena, 'Icf', state);
  return ok ? { ok, factor: { ...factor, entries: p } } : { ok, column, pivot };
}
