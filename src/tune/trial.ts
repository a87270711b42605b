import { existsSync } from 'node:fs';
import { evaluate } from '../evaluate/evaluate.js';
import type { Holdout, MeasureSettings } from '../evaluate/measure.js';
import { fit } from '../fit/fit.js';
import { parameters } from '../model/model.js';
import { loadModel, saveModel } from '../model/weights-file.js';
import { type Address, Arena } from '../runtime/arena.js';
import { type Engine, Threads } from '../runtime/threads.js';
import type { FitOptions } from '../solvers/index.js';
import type { Passes } from '../solvers/solver.js';
import type { TrialFigures } from './tune.js';

/** A trial, as plain data. */
export interface TrialInput {
  readonly holdout: Holdout;
  readonly options: FitOptions;
  /** Where the model of the trial is kept from one rung to the next. */
  readonly path: string;
  readonly settings: MeasureSettings;
}

/** Shared by the trials of a search: kernel memory, threads, and passes over the Gramian. */
interface TrialSession {
  readonly engine: Engine;
  readonly passes: Passes;
  /** Where the arena stood before. */
  readonly bottom: Address;
}

/** The session of the search that this thread serves. It lasts as long as the thread. */
let current: TrialSession | undefined;

function beginTrials(threads = 1, memoryBytes?: number): TrialSession {
  const arena = new Arena(memoryBytes);
  return { engine: { arena, threads: new Threads(arena, threads) }, passes: {}, bottom: arena.mark() };
}

/**
 * Fits a trial, unless an earlier rung did, and measures it on the test rows; for a compute thread, which keeps what
 * the trials share.
 */
export async function runTrial({ holdout, options, path, settings }: TrialInput): Promise<TrialFigures> {
  const { train, fitted = train, test, scale } = holdout;
  current ??= beginTrials(settings.threads, settings.memoryBytes);
  const { engine, passes, bottom } = current;
  const started = performance.now();
  const known = existsSync(path);
  const input = { mode: 'implicit', rows: fitted, scale } as const;
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
