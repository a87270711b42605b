import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { startCompute } from '../compute.js';
import { fit } from '../fit/fit.js';
import type { Passes } from '../fit/fit-fsai.js';
import type { Address } from '../kernels.js';
import { parameters } from '../model/model.js';
import { loadModel, saveModel } from '../model/weights-file.js';
import type { FitOptions } from '../options.js';
import type { Engine } from '../threads.js';
import { evaluate } from './evaluate.js';
import type { Holdout, MeasureSettings } from './measure.js';
import { candidate, surroundingsOf } from './space.js';
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

/** What the trials of a search share: kernel memory, threads, and passes over the Gramian. */
export interface TrialSession {
  readonly engine: Engine;
  readonly passes: Passes;
  /** Where the arena stood before. */
  readonly bottom: Address;
}

/** Fits a trial, unless an earlier rung did, and measures it on the test rows. Blocks its thread. */
export async function runTrial(
  session: TrialSession,
  { holdout, options, path, settings }: TrialInput,
): Promise<TrialFigures> {
  const { train, test, scale } = holdout;
  const { engine, passes, bottom } = session;
  const started = performance.now();
  const known = existsSync(path);
  const input = { mode: 'implicit', rows: train, scale } as const;
  const fresh = () =>
    fit(input, options, { engine, passes }).catch(error => {
      passes.shared = undefined;
      engine.arena.release(bottom);
      throw error;
    });
  const model = known ? loadModel(path) : (await fresh()).model;
  const fitSeconds = (performance.now() - started) / 1000;
  if (!known) saveModel(path, model);
  const metrics = await evaluate(model, train, test, settings.k, { engine });
  engine.arena.release(passes.shared?.top ?? bottom);
  return { metrics, parameters: parameters(model), fitSeconds };
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

/**
 * Searches for better options than `present`, the trials in a thread of their own; `base` gives the options that are not
 * searched. See `tune`.
 */
export async function tuneHoldout(
  holdout: Holdout,
  { present, base }: { readonly present: FitOptions; readonly base: FitOptions },
  options: TuneOptions,
  { directory, memoryBytes, threadsOf, progress, signal }: TuneResources,
): Promise<TuneResult> {
  const models = mkdtempSync(join(directory, '.tune-'));
  const pathOf = (id: number): string => join(models, `${id}.safetensors`);
  const around = surroundingsOf(holdout.train, holdout.scale);
  const seconds = new Map<number, number>();
  const compute = startCompute();
  const stop = () => void compute.close();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    signal?.throwIfAborted();
    return await tune({
      present,
      options,
      candidate: index => candidate(base, around, index, options.seed),
      users: Math.min(options.sample, holdout.test.users.length),
      fits(candidate) {
        try {
          return threadsOf(candidate) > 0;
        } catch {
          return false; // MEMORY_BUDGET
        }
      },
      async measure(id, fit, users) {
        const test = sampleUsers(holdout.test, users, options.seed);
        const settings = { k: options.k, threads: threadsOf(present), memoryBytes };
        const input = { holdout: { ...holdout, test }, options: fit, path: pathOf(id), settings };
        const found = await compute.run('trial', input);
        if (!seconds.has(id)) seconds.set(id, found.fitSeconds);
        return { ...found, fitSeconds: seconds.get(id)! };
      },
      drop: id => rmSync(pathOf(id), { force: true }),
      report: progress,
    });
  } finally {
    signal?.removeEventListener('abort', stop);
    await compute.close();
    rmSync(models, { recursive: true, force: true });
  }
}
