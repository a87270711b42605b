import { StageError } from '../errors.js';
import { prunedRoom } from '../gramian/prune.js';
import { layersFileRoom } from '../model/layers-file.js';
import { rowsFileRoom } from '../model/rows-file.js';
import { solverOf } from '../solvers/index.js';
import { assertReadable } from '../solvers/solver.js';
import { type FitPlan, type FitSize, fitsInto, inputRoom, planFit, reach, wholeMebibytes } from './memory.js';

/** A fit that holds ranges of rows and of items at a time, and what these may take. */
export interface FitRanges {
  /** Bytes of the kernels' memory. */
  readonly kernelBytes: number;
  /** Of these, while rows of the factor are solved, and of a range of items of the layers. */
  readonly factorBytes: number;
  readonly itemBytes: number;
  /** Entries of a row of the serving matrix. */
  readonly serving: number;
}

/** Bytes of an entry of a serving matrix that is read back. */
const SERVING_ENTRY = 8;
/** The narrowest serving matrix that is made unasked: narrower ones rank worse than both layers. */
const LEAST_SERVING = 20;
/** Bytes outside the kernels' memory whatever the size: code, threads, buffers of files. */
const OUTSIDE = 2 ** 25;
/** Most ranges of rows: G is read twice for each. */
const MOST_RANGES = 64;

/**
 * As `planFit`, of a fit that is written to a file: where it does not fit the memory as a whole, `ranges` says how it does.
 * A width that was not asked for is then lowered to what half of the memory holds when the model is read back to score, and to
 * none where the decoder does not fit, from which serving matrices are made.
 */
export function planWrittenFit(
  size: FitSize,
  memoryBytes: number,
  threads: number,
  budgetFor?: (bytes: number) => number,
): WrittenPlan {
  assertReadable(solverOf(size.options), size.mode, size.options);
  const plan = plannedRanges(size, memoryBytes, threads);
  if (plan) return plan;
  if (solverOf(size.options).ranged && !fitsInto(size, memoryBytes)) assertServed(size, memoryBytes);
  const works = (bytes: number) => fitsInto(size, bytes) || plannedRanges(size, bytes, 1) !== undefined;
  return planFit(size, memoryBytes, threads, { budgetFor, works });
}

type WrittenPlan = FitPlan & { readonly ranges?: FitRanges };

/** The ranges of a fit that does not fit as a whole, if it does so. */
function plannedRanges(size: FitSize, memoryBytes: number, threads: number): WrittenPlan | undefined {
  const { options, items } = size;
  const solver = solverOf(options);
  if (!solver.ranged || fitsInto(size, memoryBytes)) return undefined;
  const readable = Math.floor(Math.min(memoryBytes, reach) / 2 / (SERVING_ENTRY * items));
  const signed = options.signedServing ?? false;
  const usual = Math.min(readable, solver.servingWidth(items, options, { signed, memoryBytes }));
  const widths = options.serving === undefined ? [usual < LEAST_SERVING ? 0 : usual, 0] : [options.serving];
  for (const width of widths) {
    for (let t = threads; t >= 1; t--) {
      const plan = rangesOf(size, t, memoryBytes, width);
      if (plan) return plan;
    }
  }
  return undefined;
}

/** Refuses a serving matrix that was asked for where the layers alone would fit. */
function assertServed(size: FitSize, memoryBytes: number): void {
  if (!size.options.serving || !rangesOf(size, 1, memoryBytes, 0)) return;
  throw new StageError(
    'MEMORY_BUDGET',
    `a serving matrix of ${size.items} items is made of a decoder that is in memory, and ${wholeMebibytes(memoryBytes)} do not hold that; set serving: 0 or leave it out, or more memory`,
  );
}

/** The ranges of a fit on so many threads, if they are not too small. */
function rangesOf(
  size: FitSize,
  threads: number,
  memoryBytes: number,
  serving: number,
): (FitPlan & { readonly ranges: FitRanges }) | undefined {
  const { items: n, options, keep } = size;
  const { ranged } = solverOf(options);
  const { shape, gramian: whole, pruning: making, rows } = inputRoom(size, threads);
  const pruning = making === undefined ? 0 : making + whole.outside;
  const gramian = making === undefined ? whole : prunedRoom(shape, keep!);
  const factor = ranged!.room({ ...shape, memoryBytes, rowsBytes: rows, gramian }, options);
  const most = ranged!.rowEntries(n, options, memoryBytes);
  const layers = layersFileRoom(n, most, serving, threads);
  // the diagonal, the order, and lists of n that come and go; then the diagonal, the items' weights and pointers
  const [before, after] = [gramian.outside + 24 * n, 48 * n].map(bytes => OUTSIDE + rows + bytes) as [
    number,
    number,
  ];
  const kernelBytes = Math.min(reach, memoryBytes - after);
  const factorBytes = Math.min(kernelBytes, memoryBytes - before);
  const rowBytes = factorBytes - rowsFileRoom(n, most).facts - factor.fixed;
  const itemBytes = kernelBytes - layers.fixed;
  if (
    pruning > factorBytes + gramian.outside ||
    rowBytes * MOST_RANGES < factor.row * n ||
    itemBytes < layers.least
  )
    return undefined;
  const memory = { rows, kernels: kernelBytes, model: after - rows, total: kernelBytes + after };
  return { threads, memory, ranges: { kernelBytes, factorBytes, itemBytes, serving } };
}
