import { StageError } from '../../src/errors.js';
import { checked } from '../checked.js';
import type { JobContext } from '../job.js';
import type { Pipeline } from '../open.js';
import { operationOf } from './index.js';
import type { Operation } from './operation.js';

/** Where operations are carried out: in a command of its own, or in a running stage. */
export interface Host {
  readonly pipeline: Pipeline;
  readonly jobs: JobContext;
  /** Runs `body` when no job runs; throws its failure, or `INTERRUPTED` when a stop comes first. */
  inTurn<T>(name: string, body: () => Promise<T>): Promise<T>;
}

/** Who asks, and until when. */
export interface Asking {
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ((text: string) => void) | undefined;
}

/** The operation of this name. `USAGE` where there is none. */
export function knownOperation(name: string): Operation {
  const operation = operationOf(name);
  if (operation) return operation;
  throw new StageError('USAGE', `expected the name of an operation, found ${JSON.stringify(name)}`);
}

const both = (a: AbortSignal | undefined, b: AbortSignal | undefined): AbortSignal | undefined =>
  a && b ? AbortSignal.any([a, b]) : (a ?? b);

interface Answer {
  readonly result: Promise<unknown>;
  readonly until: number;
}
/** Answers that may be given again, by the host and what was asked. */
const answers = new WeakMap<Host, Map<string, Answer>>();

/** The last answer if it is fresh or under way; else a new one. */
function remembered(
  host: Host,
  asked: string,
  freshMs: number,
  make: () => Promise<unknown>,
): Promise<unknown> {
  const known = answers.get(host) ?? new Map<string, Answer>();
  answers.set(host, known);
  const last = known.get(asked);
  if (last && Date.now() < last.until) return last.result;
  const result = make().finally(() => known.set(asked, { result, until: Date.now() + freshMs }));
  known.set(asked, { result, until: Number.POSITIVE_INFINITY });
  return result;
}

/** Checks the parameters of an operation and returns them, defaults filled in; begins nothing. Throws as `perform` does. */
export async function checkParameters(
  { pipeline }: Pick<Host, 'pipeline'>,
  name: string,
  parameters: unknown,
): Promise<unknown> {
  const operation = knownOperation(name);
  const given = checked(operation.parameters, parameters ?? {}, 'options');
  await operation.check?.(pipeline, given);
  return given;
}

/**
 * Carries out an operation: checks its parameters, waits for its turn if it has to, and runs it. Throws `USAGE` for an
 * unknown name, `CONFIG_INVALID` for wrong parameters, and failures of the operation.
 */
export async function perform(
  host: Host,
  name: string,
  parameters: unknown,
  { signal, progress = () => undefined }: Asking = {},
): Promise<unknown> {
  const operation = knownOperation(name);
  const given = await checkParameters(host, name, parameters);
  const { settings } = host.jobs;
  const jobs = {
    ...host.jobs,
    settings: { ...settings, signal: both(settings.signal, signal) } as typeof settings,
  };
  const { freshMs } = operation;
  if (freshMs !== undefined)
    return remembered(host, `${name} ${JSON.stringify(given)}`, freshMs, () =>
      operation.run({ pipeline: host.pipeline, jobs, progress }, given),
    );
  const body = (): Promise<unknown> => {
    if (signal?.aborted) throw new StageError('INTERRUPTED', `${name} was stopped`);
    return operation.run({ pipeline: host.pipeline, jobs, progress }, given);
  };
  if (operation.changes || operation.waits) return host.inTurn(name, async () => body());
  try {
    return await body();
  } catch (error) {
    // A job may replace the files of a model while they are read.
    if (!(error instanceof StageError && error.code === 'STATE_CORRUPT')) throw error;
    return host.inTurn(name, async () => body());
  }
}
