import { StageError } from './errors.js';
import { icfBytes } from './fit/icf.js';
import { entryBudget } from './fit/lower.js';
import { pipelineBytes } from './gramian/implicit.js';
import { interactionBytes } from './gramian/interactions.js';
import type { GramianMode } from './gramian/plan.js';

/** Share of a declared budget that DuckDB may use while it is open: a quarter, 24 MiB to 1 GiB. */
export const databaseShare = (memoryBytes: number): number =>
  Math.min(2 ** 30, Math.max(24 * 2 ** 20, Math.floor(memoryBytes / 4)));

/** What decides how much memory a fit takes. */
export interface FitSize {
  readonly users: number;
  readonly items: number;
  /** Nonzeros of X. */
  readonly interactions: number;
  /** Whether X has values other than 1. */
  readonly valued: boolean;
  readonly mode: GramianMode;
  /** Segments of a stored Gramian. */
  readonly segments?: number | undefined;
  readonly density: number;
  /** Whether minimal-residual scans may be made. */
  readonly scans: boolean;
}

/** Bytes that a fit of this size takes, by what takes them. */
export interface WorkingSet {
  /** X, and what is left of it when the factor is inverted: nothing. */
  readonly interactions: number;
  readonly factor: number;
  /** Sums, rings of columns and lists of the elimination. */
  readonly elimination: number;
  readonly inverse: number;
  /** The layers outside of the kernels' memory. */
  readonly model: number;
  /** The most that is held at once. */
  readonly total: number;
}

/** Entries, indices and values, that a stored Gramian reads at a time. */
const storedBuffers = 2 * (1 << 20) * 16;

/** The working set of a fit on `threads` threads, an upper bound by the sizes of what it allocates. */
export function workingSet(size: FitSize, threads: number): WorkingSet {
  const { users, items: n, interactions: nnz, valued, mode } = size;
  const p = Math.min(entryBudget(n, size.density), (n * (n + 1)) / 2);
  const sumBytes = valued ? 8 : 4;
  const { factor, work } = icfBytes(n, p);
  const { ring, thread } = pipelineBytes(n, threads, sumBytes);
  const rows = mode === 'implicit' ? 4 * (users + 1) + (valued ? 8 : 4) * nnz : 0;
  const interactions = mode === 'implicit' ? rows + interactionBytes(users, n, nnz, valued) : 0;
  const stored = mode === 'stored' ? storedBuffers + 16 * n * Math.max(1, size.segments ?? 1) : 0;
  const norms = threads * (valued ? 24 : 16) * n;
  const streaming = mode === 'implicit' ? 28 * n + Math.max(norms, ring + threads * thread) : stored + 16 * n;
  const elimination = work + streaming + 40 * n;
  const copies = size.scans ? 4 : 1;
  const inverse = copies * (8 * p + 4 * n) + threads * (40 * n + (size.scans ? 2 ** 18 : 0)) + 12 * n;
  const model = 3 * (8 * p + 4 * n);
  const total = factor + rows + Math.max(interactions - rows + elimination, inverse + model);
  return { interactions, factor, elimination, inverse, model, total };
}

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;

/**
 * The number of threads, at most `threads`, with which a fit stays within `memoryBytes`, and its working set.
 * `MEMORY_BUDGET` gives the numbers and the nearest setting that works when even one thread does not fit.
 */
export function planFit(
  size: FitSize,
  memoryBytes: number,
  threads: number,
): { readonly threads: number; readonly workingSet: WorkingSet } {
  for (let t = threads; t >= 1; t--) {
    const set = workingSet(size, t);
    if (set.total <= memoryBytes) return { threads: t, workingSet: set };
  }
  const need = workingSet(size, 1);
  const least = workingSet({ ...size, density: Number.MIN_VALUE }, 1).total;
  let advice = `memory: ${mebibytes(need.total)} would do`;
  if (least < memoryBytes) {
    let [lo, hi] = [0, size.density];
    for (let step = 0; step < 50; step++) {
      const middle = (lo + hi) / 2;
      if (workingSet({ ...size, density: middle || Number.MIN_VALUE }, 1).total <= memoryBytes) lo = middle;
      else hi = middle;
    }
    advice += `, or density: ${lo.toExponential(1)}`;
  }
  const parts = `X ${mebibytes(need.interactions)}, factor ${mebibytes(need.factor)}, elimination ${mebibytes(need.elimination)}, inverse ${mebibytes(need.inverse)}, model ${mebibytes(need.model)}`;
  throw new StageError(
    'MEMORY_BUDGET',
    `a fit of ${size.interactions} interactions of ${size.items} items at density ${size.density} takes ${mebibytes(need.total)} (${parts}), found ${mebibytes(memoryBytes)}; ${advice}`,
  );
}
