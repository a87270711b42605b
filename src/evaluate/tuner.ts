import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runOnce } from '../compute.js';
import { fit } from '../fit/fit.js';
import { parameters } from '../model/model.js';
import { loadModel, saveModel } from '../model/weights-file.js';
import type { FitOptions } from '../options.js';
import { onEngine } from '../threads.js';
import { evaluate } from './evaluate.js';
import type { Holdout, MeasureSettings } from './measure.js';
import { sampleUsers } from './split.js';
import { type TrialFigures, type TuneOptions, type TuneResult, tune } from './tune.js';

/** What a trial is told, as plain data. */
export interface TrialInput {
  readonly holdout: Holdout;
  readonly options: FitOptions;
  /** Where the model of the trial is kept from one rung to the next. */
  readonly path: string;
  readonly settings: MeasureSettings;
}

/** Fits a trial, unless an earlier rung did, and measures it on the test rows. Blocks its thread. */
export function runTrial({ holdout, options, path, settings }: TrialInput): Promise<TrialFigures> {
  const { train, test, scale } = holdout;
  return onEngine(settings, async engine => {
    const started = performance.now();
    const known = existsSync(path);
    const input = { mode: 'implicit', rows: train, scale } as const;
    const model = known ? loadModel(path) : (await fit(input, options, { engine })).model;
    const fitSeconds = (performance.now() - started) / 1000;
    if (!known) saveModel(path, model);
    const metrics = await evaluate(model, train, test, settings.k, { engine });
    return { metrics, parameters: parameters(model), fitSeconds };
  });
}

/** What a search on a holdout may use. */
export interface TuneResources {
  /** Where models lie meanwhile. */
  readonly directory: string;
  readonly memoryBytes: number;
  /** Threads that options may be fitted with; `MEMORY_BUDGET` if they do not fit at all. */
  threadsOf(options: FitOptions): number;
  readonly progress?: ((stage: string, part: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Searches for options around `present`, each trial in a thread of its own. See `tune`. */
export async function tuneHoldout(
  holdout: Holdout,
  present: FitOptions,
  options: TuneOptions,
  { directory, memoryBytes, threadsOf, progress, signal }: TuneResources,
): Promise<TuneResult> {
  const models = mkdtempSync(join(directory, '.tune-'));
  const pathOf = (id: number): string => join(models, `${id}.safetensors`);
  const seconds = new Map<number, number>();
  try {
    return await tune({
      present,
      options,
      n: holdout.train.n,
      users: Math.min(options.sample, holdout.test.users.length),
      fits(candidate) {
        try {
          return threadsOf(candidate) > 0;
        } catch {
          return false;
        }
      },
      async measure(id, fit, users) {
        const test = sampleUsers(holdout.test, users, options.seed);
        const settings = { k: options.k, threads: threadsOf(fit), memoryBytes };
        const input = { holdout: { ...holdout, test }, options: fit, path: pathOf(id), settings };
        const found = await runOnce('trial', input, { signal });
        if (!seconds.has(id)) seconds.set(id, found.fitSeconds);
        return { ...found, fitSeconds: seconds.get(id)! };
      },
      drop: id => rmSync(pathOf(id), { force: true }),
      report: progress,
    });
  } finally {
    rmSync(models, { recursive: true, force: true });
  }
}
