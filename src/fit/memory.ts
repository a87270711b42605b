import { StageError } from '../errors.js';
import type { GramianMode } from '../gramian/plan.js';
import { BLOCK_ENTRIES } from '../gramian/stored.js';
import type { FitOptions } from '../options.js';
import { neighboursOf } from '../solvers/defaults.js';
import { workingSet } from './working-set.js';

/** A number of bytes as people read it. */
export const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;

/** DuckDB's least share. */
const leastShare = 24 * 2 ** 20;
/** What reading takes at least: DuckDB's least share, and what it allocates beside it (measured: 64 to 72 MiB). */
const leastBudget = 104 * 2 ** 20;

/** Refuses a budget that nothing fits into, before anything is opened or read. */
export function assertWorkable(memoryBytes: number): void {
  if (memoryBytes >= leastBudget) return;
  const found = mebibytes(memoryBytes);
  throw new StageError(
    'MEMORY_BUDGET',
    `memory: expected at least ${mebibytes(leastBudget)}, found ${found}`,
  );
}

/** Share of a declared budget that DuckDB may use while it is open: a quarter, 24 MiB to 1 GiB. */
export const databaseShare = (memoryBytes: number): number =>
  Math.min(2 ** 30, Math.max(leastShare, Math.floor(memoryBytes / 4)));

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
  readonly options: FitOptions;
}

/** Bytes that a fit of this size takes, by what takes them. */
export interface FitMemory {
  /** X as it was read, before the kernels have their copy; nothing when the Gramian is stored. */
  readonly rows: number;
  /** What the kernels hold at the most. */
  readonly kernels: number;
  /** What orders items and writes the layers, outside of the kernels' memory. */
  readonly model: number;
  readonly total: number;
}

/** What reading a stored Gramian holds at a time: blocks of columns, before and after they are summed. */
const storedBuffers = 4 * 12 * BLOCK_ENTRIES;

/** What a fit within `memoryBytes` collects small blocks in (fsai): fewer of them take more passes over G. */
export const blockBudget = (memoryBytes: number): number => Math.min(2 ** 24, Math.floor(memoryBytes / 16));

/** The memory of a fit on `threads` threads: an upper bound by the sizes of what it allocates. */
export function memoryOfFit(
  size: FitSize,
  threads: number,
  memoryBytes = Number.POSITIVE_INFINITY,
): FitMemory {
  const { users, items: n, interactions, valued, options, segments = 1 } = size;
  const implicit = size.mode === 'implicit';
  const entries = implicit ? interactions : 0;
  const budget = blockBudget(memoryBytes);
  const working = workingSet({ users, items: n, entries, valued, options, threads, blockBudget: budget });
  const rows = implicit ? 4 * (2 * users + 1) + (valued ? 8 : 4) * interactions : 0;
  const kernels = working.peak + (implicit ? 0 : storedBuffers + 16 * n * (segments + 2));
  const model = 24 * n + 24 * (n + 1);
  return { rows, kernels, model, total: rows + kernels + model };
}

/**
 * The number of threads, at most `threads`, with which a fit stays within `memoryBytes`, and its memory.
 * `MEMORY_BUDGET` gives the numbers and the nearest setting that works when even one thread does not fit.
 */
export function planFit(
  size: FitSize,
  memoryBytes: number,
  threads: number,
): { readonly threads: number; readonly memory: FitMemory } {
  for (let t = threads; t >= 1; t--) {
    const memory = memoryOfFit(size, t, memoryBytes);
    if (memory.total <= memoryBytes) return { threads: t, memory };
  }
  const need = memoryOfFit(size, 1, memoryBytes);
  const smaller = smallerOption(size, memoryBytes);
  const advice = `memory: ${mebibytes(need.total)} would do${smaller ? `, or ${smaller}` : ''}`;
  const parts = `X ${mebibytes(need.rows)}, kernels ${mebibytes(need.kernels)}, model ${mebibytes(need.model)}`;
  const { options, interactions, items } = size;
  const density =
    options.solver === 'icf'
      ? `density ${options.density ?? '(default)'}`
      : `neighbours ${options.neighbours ?? '(default)'}`;
  throw new StageError(
    'MEMORY_BUDGET',
    `a fit of ${interactions} interactions of ${items} items at ${density} takes ${mebibytes(need.total)} (${parts}), found ${mebibytes(memoryBytes)}; ${advice}`,
  );
}

/** The largest density or number of neighbours with which one thread stays within `memoryBytes`, if there is any. */
function smallerOption(size: FitSize, memoryBytes: number): string | undefined {
  const fits = (options: FitOptions) =>
    memoryOfFit({ ...size, options }, 1, memoryBytes).total <= memoryBytes;
  const { options } = size;
  if (options.solver === 'fsai') {
    let neighbours = neighboursOf(size.items, options);
    while (neighbours > 0 && !fits({ ...options, neighbours })) neighbours--;
    return neighbours > 0 ? `neighbours: ${neighbours}` : undefined;
  }
  if (!fits({ ...options, density: Number.MIN_VALUE })) return undefined;
  let [lo, hi] = [0, options.density ?? 1];
  for (let step = 0; step < 50; step++) {
    const middle = (lo + hi) / 2;
    if (fits({ ...options, density: middle || Number.MIN_VALUE })) lo = middle;
    else hi = middle;
  }
  return `density: ${lo.toExponential(1)}`;
}
