import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Holdout } from '../evaluate/measure.js';
import { sampleUsers } from '../evaluate/split.js';
import { startCompute } from '../runtime/compute.js';
import { tasksOf } from '../runtime/task.js';
import type { FitOptions } from '../solvers/index.js';
import { candidate, surroundingsOf } from './space.js';
import { type TuneOptions, type TuneResult, tune } from './tune.js';

const trialTask = tasksOf<typeof import('./trial.js')>(new URL('./trial.js', import.meta.url));

/** Resources of a search on a holdout. */
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
  mkdirSync(directory, { recursive: true });
  const models = mkdtempSync(join(directory, '.tune-'));
  const pathOf = (id: number): string => join(models, `${id}.safetensors`);
  const around = surroundingsOf(holdout.fitted ?? holdout.train, holdout.scale);
  const seconds = new Map<number, number>();
  const compute = startCompute();
  compute.endOn(signal);
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
        const found = await compute.run(trialTask('runTrial'), [input]);
        if (!seconds.has(id)) seconds.set(id, found.fitSeconds);
        return { ...found, fitSeconds: seconds.get(id)! };
      },
      drop: id => rmSync(pathOf(id), { force: true }),
      report: progress,
    });
  } finally {
    await compute.close();
    rmSync(models, { recursive: true, force: true });
  }
}
