import type { StateCounts } from '../contracts/index.js';
import { StageError } from '../errors.js';
import { type MeasureOptions, type ModelMetrics, measureOptions } from '../evaluate/gate.js';
import type { Holdout, Measured, MeasureSettings } from '../evaluate/measure.js';
import type { HoldoutOptions } from '../evaluate/options.js';
import type { SplitRows } from '../evaluate/split.js';
import { type FitSize, mebibytes, planFit, wholeMebibytes } from '../fit/memory.js';
import { rowBytesOf } from '../matrix/rows.js';
import { runOnce } from '../runtime/compute.js';
import { type Progress, tasksOf } from '../runtime/task.js';
import type { FitOptions } from '../solvers/index.js';
import type { TuneOptions, TuneResult } from '../tune/tune.js';
import { tuneHoldout } from '../tune/tuner.js';
import { presentScale } from './ageing.js';
import { modelsDirectory } from './model-files.js';
import type { PipelineParts } from './parts.js';

const splitTask = tasksOf<typeof import('../evaluate/split.js')>(
  new URL('../evaluate/split.js', import.meta.url),
);
const measureTask = tasksOf<typeof import('../evaluate/measure.js')>(
  new URL('../evaluate/measure.js', import.meta.url),
);

/** A holdout of the state, and what is known of it without reading it. */
export interface StateHoldout extends Holdout, SplitRows {
  readonly counts: StateCounts;
}

/** Settings of a measurement that its caller decides. */
export type HoldoutSettings = Pick<MeasureSettings, 'k' | 'bootstrap' | 'layered'> & {
  readonly progress?: Progress | undefined;
  readonly signal?: AbortSignal | undefined;
};

/** The options that a search begins with, and those that it leaves alone. */
export interface TunedFits {
  readonly present: FitOptions;
  readonly base: FitOptions;
}

/** Who hears of a search, and who may end it. */
export type TuneSettings = Pick<HoldoutSettings, 'progress' | 'signal'>;

/** Sizes of a train and a test set. */
export type SplitSize = Pick<FitSize, 'users' | 'items' | 'interactions' | 'valued'> & {
  readonly testInteractions: number;
};

/**
 * Threads, at most `threads`, of a fit on a train set beside its test set; `kept` where the train set stays in memory
 * beside a part of it, which the fit is on. `MEMORY_BUDGET` if not even one fits.
 */
export function threadsOnSplit(
  size: SplitSize,
  options: FitOptions,
  { memoryBytes, threads }: { readonly memoryBytes: number; readonly threads: number },
  kept = false,
): number {
  const { interactions, valued, testInteractions } = size;
  const beside = 4 * testInteractions + (kept ? (valued ? 8 : 4) * interactions : 0);
  return planFit({ ...size, mode: 'implicit', options }, memoryBytes - beside, threads).threads;
}

/** Bytes that an entry of X takes while it is divided: itself, its time (twice while a cut is sought), mark and part. */
const dividing = ({ valued }: StateCounts): number => (valued ? 8 : 4) + 16 + 1 + (valued ? 8 : 4);

/** Holds out a part of the state's interactions and measures how well a fit on the rest finds it. */
export function createHoldouts(parts: PipelineParts) {
  return {
    holdOut: (options: HoldoutOptions, signal?: AbortSignal) => holdOut(parts, options, signal),
    measureFit: (held: StateHoldout, fit: FitOptions, settings: HoldoutSettings) =>
      measureFit(parts, held, fit, settings),
    measureModel: (fit: FitOptions, options: MeasureOptions, settings: Omit<HoldoutSettings, 'k'>) =>
      measureModel(parts, fit, options, settings),
    tune: (fits: TunedFits, options: TuneOptions, settings: TuneSettings = {}) =>
      tune(parts, fits, options, settings),
  };
}

/**
 * Divides the folded interactions. `STATE_EMPTY` without any, `DATA_INVALID` when they cannot be divided so,
 * `MEMORY_BUDGET` when dividing them does not fit.
 */
async function holdOut(
  parts: PipelineParts,
  options: HoldoutOptions,
  signal?: AbortSignal,
): Promise<StateHoldout> {
  const {
    store,
    fitMemoryBytes,
    budgetFor = x => x,
    options: { gramian },
  } = parts;
  const counts = await store.counts();
  if (counts.interactions === 0) {
    throw new StageError(
      'STATE_EMPTY',
      `expected interactions to hold out, found none (${counts.inbox} events wait in the inbox)`,
    );
  }
  const need = counts.interactions * dividing(counts);
  if (need > fitMemoryBytes) {
    throw new StageError(
      'MEMORY_BUDGET',
      `a holdout of ${counts.interactions} interactions takes ${mebibytes(need)}, found ${wholeMebibytes(fitMemoryBytes)}; memory: ${mebibytes(budgetFor(need))} would do`,
    );
  }
  const divided = await store.withTimes(rows =>
    runOnce(splitTask('split'), [rows, { ...options, maxHistory: gramian.maxHistory }], { signal }),
  );
  return { ...divided, scale: await presentScale(parts), counts };
}

/** Threads that a fit on the train rows may use beside the holdout. */
function threadsOf(
  { fitMemoryBytes, budgetFor, options: stage }: PipelineParts,
  { train, fitted, test, counts }: StateHoldout,
  options: FitOptions,
): number {
  const interactions = (fitted ?? train).indices.length;
  const size = { ...counts, interactions, mode: 'implicit', options } as const;
  const tests = 4 * (test.indices.length + 2 * test.users.length);
  const beside = tests + (fitted ? rowBytesOf(train) : 0);
  const remedy = { budgetFor: budgetFor && ((bytes: number) => budgetFor(bytes + beside)) };
  return planFit(size, fitMemoryBytes - beside, stage.threads, remedy).threads;
}

/** Fits on the train rows and measures on the test rows, in a thread of its own. */
async function measureFit(
  parts: PipelineParts,
  held: StateHoldout,
  fit: FitOptions,
  { k, bootstrap, layered, progress, signal }: HoldoutSettings,
): Promise<Measured> {
  const { fitMemoryBytes: memoryBytes } = parts;
  const { train, fitted, test, scale } = held;
  const settings = { k, bootstrap, layered, threads: threadsOf(parts, held, fit), memoryBytes };
  return runOnce(measureTask('measureReporting'), [{ train, fitted, test, scale }, fit, settings], {
    progress,
    signal,
  });
}

/**
 * Measures a fit with these options for the manifest of a model. What cannot be held out or does not fit the memory is
 * the result, not a failure.
 */
async function measureModel(
  parts: PipelineParts,
  fit: FitOptions,
  options: MeasureOptions,
  { progress, signal }: Omit<HoldoutSettings, 'k'>,
): Promise<ModelMetrics> {
  const measured = measureOptions.strip().parse(options);
  try {
    const held = await holdOut(parts, measured, signal);
    const cut = held.cut === undefined ? undefined : new Date(held.cut).toISOString();
    const { metrics } = await measureFit(parts, held, fit, { k: measured.k, progress, signal });
    return { measured, cut, quality: metrics, unjudged: held.unjudged };
  } catch (error) {
    if (!(error instanceof StageError && ['DATA_INVALID', 'MEMORY_BUDGET'].includes(error.code))) throw error;
    return { measured, problem: error.message };
  }
}

/** Searches for better options than `present` on a holdout of the state. */
async function tune(
  parts: PipelineParts,
  fits: TunedFits,
  options: TuneOptions,
  { progress, signal }: TuneSettings,
): Promise<TuneResult & { readonly cut: number | undefined }> {
  const { directory, fitMemoryBytes: memoryBytes } = parts;
  const held = await holdOut(parts, options, signal);
  const found = await tuneHoldout(
    { train: held.train, fitted: held.fitted, test: held.test, scale: held.scale },
    fits,
    options,
    {
      directory: modelsDirectory(directory),
      memoryBytes,
      threadsOf: fit => threadsOf(parts, held, fit),
      progress,
      signal,
    },
  );
  return { ...found, cut: held.cut };
}
