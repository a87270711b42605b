import { StageError } from '../errors.js';
import { implicitRoom } from '../gramian/implicit.js';
import type { GramianMode } from '../gramian/plan.js';
import { pruningRoom } from '../gramian/prune.js';
import { storedRoom } from '../gramian/stored.js';
import { denseServingBytes, servingBytes } from '../model/serving.js';
import { type FitOptions, solverOf } from '../solvers/index.js';
import { assertReadable } from '../solvers/solver.js';

const mebibyte = 2 ** 20;

/** A number of bytes as people read it, and no fewer: what something takes. */
export const mebibytes = (bytes: number): string => `${Math.ceil(bytes / mebibyte)} MiB`;

/** A number of bytes as people read it, and no more: what there is. */
export const wholeMebibytes = (bytes: number): string => `${Math.floor(bytes / mebibyte)} MiB`;

/** DuckDB's least share. */
const leastShare = 24 * mebibyte;
/** Least budget of reading: DuckDB's least share, and its allocations beside it (measured: 64 to 72 MiB). */
const leastBudget = 104 * mebibyte;

/** Refuses a budget that nothing fits into, before anything is opened or read. */
export function assertWorkable(memoryBytes: number): void {
  if (memoryBytes >= leastBudget) return;
  const found = wholeMebibytes(memoryBytes);
  throw new StageError(
    'MEMORY_BUDGET',
    `memory: expected at least ${mebibytes(leastBudget)}, found ${found}`,
  );
}

/** Share of a declared budget that DuckDB may use while it is open: a quarter, 24 MiB to 1 GiB. */
export const databaseShare = (memoryBytes: number): number =>
  Math.min(2 ** 30, Math.max(leastShare, Math.floor(memoryBytes / 4)));

/** The sizes that decide how much memory a fit takes. */
export interface FitSize {
  readonly users: number;
  readonly items: number;
  /** Nonzeros of X. */
  readonly interactions: number;
  /** Whether X has values other than 1. */
  readonly valued: boolean;
  readonly mode: GramianMode;
  /** Bytes of the files of a stored Gramian; by default one of any size. */
  readonly files?: readonly number[] | undefined;
  /** Rows that are kept of each column, where a stored Gramian is pruned. */
  readonly keep?: number | undefined;
  readonly options: FitOptions;
}

/** Bytes of a fit of this size, by their use. */
export interface FitMemory {
  /** X as it was read, before the kernels have their copy; nothing when the Gramian is stored. */
  readonly rows: number;
  /** In the kernels' memory at most, and what a stored Gramian is read with. */
  readonly kernels: number;
  /** The order of the items and the pointers of written layers, outside the kernels' memory. */
  readonly model: number;
  readonly total: number;
}

/** Rounding of allocations to cache lines, and records. */
const SLACK = 16384;

/**
 * What the input of a fit takes on `threads` threads: the Gramian, making its pruned view where it has one, and X as it was
 * read.
 */
export function inputRoom(size: FitSize, threads: number) {
  const { users, items, interactions, valued, options, files = [Number.POSITIVE_INFINITY], keep } = size;
  const implicit = size.mode === 'implicit';
  const entries = implicit ? interactions : 0;
  const shape = { users, items, entries, valued, weighted: options.userWeighting > 0, threads };
  return {
    shape,
    gramian: implicit ? implicitRoom(shape) : storedRoom(shape, files),
    pruning: implicit || keep === undefined ? undefined : pruningRoom(items, threads, files, keep),
    rows: implicit ? 4 * (2 * users + 1) + (valued ? 8 : 4) * interactions : 0,
  };
}

/** The memory of a fit on `threads` threads: an upper bound by the sizes of what it allocates. */
export function memoryOfFit(
  size: FitSize,
  threads: number,
  memoryBytes = Number.POSITIVE_INFINITY,
): FitMemory {
  const { items: n, interactions, options } = size;
  const { shape, gramian, pruning = 0, rows } = inputRoom(size, threads);
  const solver = solverOf(options);
  const sizes = { ...shape, entries: interactions, memoryBytes, rowsBytes: rows, gramian };
  const { phases, layers } = solver.room(sizes, options);
  const derived = options.signedServing ?? (solver.signedFrom === undefined ? false : undefined);
  const kinds = derived === undefined ? [false, true] : [derived];
  const widths = kinds.map(signed => solver.servingWidth(n, options, { signed, memoryBytes }));
  const width = options.serving ?? Math.max(...widths);
  const serving = Math.max(
    servingBytes(n, width, layers, threads),
    // both layers of n × r take 16 n r bytes, and a little
    solver.vectors === 'dense' ? denseServingBytes(n, width, Math.ceil(layers / (16 * n)), threads) : 0,
  );
  const peak = Math.max(...Object.values(phases), pruning, serving) + SLACK * (1 + threads);
  const kernels = peak + gramian.outside;
  const model = 24 * n + 24 * (n + 1);
  return { rows, kernels, model, total: rows + kernels + model };
}

/** Bytes that the kernels' addresses reach, less their own. */
export const reach = 2 ** 32 - 2 ** 20;

/** The number of threads of a fit, and its memory. */
export interface FitPlan {
  readonly threads: number;
  readonly memory: FitMemory;
}

/** Whether a fit on one thread stays within so many bytes. */
export function fitsInto(size: FitSize, memoryBytes: number): boolean {
  const { total, kernels } = memoryOfFit(size, 1, memoryBytes);
  return total <= memoryBytes && kernels <= reach;
}

/** What a refusal is to say of more memory. */
export interface Remedy {
  /** The declared budget that leaves so many bytes for a fit; they are the budget without. */
  readonly budgetFor?: ((bytes: number) => number) | undefined;
  /** Whether so many bytes would do; by default whether a fit on one thread stays within them. */
  readonly works?: (bytes: number) => boolean;
}

/**
 * The number of threads, at most `threads`, with which a fit stays within `memoryBytes`, and its memory.
 * `MEMORY_BUDGET` gives the numbers and the nearest setting that works when even one thread does not fit.
 */
export function planFit(size: FitSize, memoryBytes: number, threads: number, remedy: Remedy = {}): FitPlan {
  const { options, interactions, items } = size;
  const solver = solverOf(options);
  assertReadable(solver, size.mode, options);
  for (let t = threads; t >= 1; t--) {
    const memory = memoryOfFit(size, t, memoryBytes);
    if (memory.total <= memoryBytes && memory.kernels <= reach) return { threads: t, memory };
  }
  const need = memoryOfFit(size, 1, memoryBytes);
  const { sizedBy } = solver;
  const parts = `X ${mebibytes(need.rows)}, kernels ${mebibytes(need.kernels)}, model ${mebibytes(need.model)}`;
  const given = (options as Readonly<Record<string, unknown>>)[sizedBy] ?? '(default)';
  const found = `found ${wholeMebibytes(memoryBytes)}${need.kernels > reach ? ', and kernels reach 4096 MiB at most' : ''}`;
  throw new StageError(
    'MEMORY_BUDGET',
    `a fit of ${interactions} interactions of ${items} items at ${sizedBy} ${given} takes ${mebibytes(need.total)} (${parts}), ${found}; ${adviceOf(size, memoryBytes, remedy)}`,
  );
}

/** What would fit: more memory, a smaller setting, or fewer items. */
function adviceOf(size: FitSize, memoryBytes: number, remedy: Remedy): string {
  const { options, items } = size;
  const solver = solverOf(options);
  const fits = (changed: Partial<FitSize>) => fitsInto({ ...size, ...changed }, memoryBytes);
  const { works = (bytes: number) => fitsInto(size, bytes), budgetFor = (bytes: number) => bytes } = remedy;
  const least = leastMemory(memoryBytes, works);
  const smaller = solver.smaller(options, items, options => fits({ options }));
  const most = solver.dense ? mostItems(items, items => fits({ items })) : 0;
  const ways = [
    least !== undefined && `memory: ${mebibytes(budgetFor(least))} would do`,
    smaller && `${solver.sizedBy}: ${smaller}`,
    most > 0 && `at most ${most} items`,
  ];
  return ways.filter(way => way).join(', or ') || 'choose another solver';
}

/** The least number of whole MiB above `bytes` that works, in bytes, if any does up to 1 TiB. */
function leastMemory(bytes: number, works: (bytes: number) => boolean): number | undefined {
  let lo = Math.floor(Math.max(0, bytes) / mebibyte);
  let hi = lo + 1;
  while (!works(hi * mebibyte)) {
    if (hi > mebibyte) return undefined;
    [lo, hi] = [hi, 2 * hi];
  }
  while (hi - lo > 1) {
    const middle = Math.floor((lo + hi) / 2);
    if (works(middle * mebibyte)) hi = middle;
    else lo = middle;
  }
  return hi * mebibyte;
}

/** The largest number of items below `items` that fits, 0 if none does. */
function mostItems(items: number, fits: (items: number) => boolean): number {
  let [lo, hi] = [0, items];
  while (hi - lo > 1) {
    const middle = Math.floor((lo + hi) / 2);
    if (fits(middle)) lo = middle;
    else hi = middle;
  }
  return lo;
}
