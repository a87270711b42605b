import type { RunRecord } from '../src/contracts/index.js';
import { StageError, toStageError } from '../src/errors.js';
import type { Progress } from '../src/stages/parts.js';
import type { Pipeline } from './open.js';

/** What a step is told besides its options. */
export interface StepSettings {
  /** What started it; a step that has ended for this trigger is not done again (except `cli`). */
  readonly trigger: string;
  readonly signal?: AbortSignal;
  readonly progress?: Progress;
}

/** Records `job` in the ledger around `body`, which ends the run itself when it returns `undefined`. */
export async function recorded(
  pipeline: Pipeline,
  job: string,
  settings: StepSettings,
  body: (run: number) => Promise<{ detail: string; version?: string } | undefined>,
): Promise<void> {
  const { store } = pipeline.parts;
  const { id } = await store.startRun(job, settings.trigger);
  try {
    const outcome = await body(id);
    if (outcome) await store.endRun(id, { status: 'done', ...outcome });
  } catch (error) {
    const failure = settings.signal?.aborted
      ? new StageError('INTERRUPTED', `${job} was stopped`)
      : toStageError(error);
    const status = failure.code === 'INTERRUPTED' ? 'interrupted' : 'failed';
    await store.endRun(id, { status, detail: failure.message });
    throw failure;
  }
}

/** The run of `job` that ended well for the same trigger; throws again what an earlier one failed with. */
export async function earlier(
  pipeline: Pipeline,
  job: string,
  trigger: string,
): Promise<RunRecord | undefined> {
  if (trigger === 'cli') return undefined;
  const run = await pipeline.parts.store.endedRun(job, trigger);
  if (run?.status === 'failed') throw new StageError('INTERNAL', run.detail);
  return run;
}
