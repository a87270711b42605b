import { z } from 'zod';
import type { Logger, Signal, SignalResult, SignalSource, StateStore } from '../src/contracts/index.js';
import { StageError, toStageError } from '../src/errors.js';
import { checked } from './config.js';
import type { JobQueue } from './queue.js';

/** What a command can start. Both do their work once for a trigger and return the version. */
export interface SignalJobs {
  /** Fits with `overrides` and, if asked to, publishes; tells whether it did, and what held the model back. */
  refit(
    trigger: string,
    overrides: Readonly<Record<string, unknown>>,
    publish: boolean | undefined,
  ): Promise<{
    readonly version: string;
    readonly published: boolean;
    readonly held?: string | undefined;
  }>;
  publish(
    trigger: string,
    version: string | undefined,
    alias: string | undefined,
  ): Promise<string | undefined>;
  /** Switches an alias back; the version it names then. */
  rollback(
    trigger: string,
    options: { readonly alias?: string | undefined; readonly to?: string | undefined },
  ): Promise<string | undefined>;
  /** Erases a user, and the user's lists. Erasing one who is not there does nothing. */
  forget(trigger: string, user: string): Promise<void>;
}

/** `publish`, and any of the options of a fit. */
const refitCommand = z.looseObject({ publish: z.boolean().optional() });
const publishCommand = z.strictObject({ version: z.string().optional(), alias: z.string().optional() });
const rollbackCommand = z.strictObject({ alias: z.string().optional(), to: z.string().optional() });
const forgetCommand = z.strictObject({ user: z.string().min(1) });

/** Carries out one command; the outcome is the signal's result. Throws what makes it a failed one. */
async function obey(
  { id, type, options, problem }: Signal,
  trigger: string,
  jobs: SignalJobs,
): Promise<Pick<SignalResult, 'version' | 'message'>> {
  const where = `signal ${id}`;
  if (problem !== undefined) throw new StageError('USAGE', `${where}: ${problem}`);
  switch (type) {
    case 'refit': {
      const { publish, ...overrides } = checked(refitCommand, options, where);
      const { version, published, held } = await jobs.refit(trigger, overrides, publish);
      if (held !== undefined) return { version, message: `fitted, not published: ${held}` };
      return { version, message: published ? 'fitted and published' : 'fitted' };
    }
    case 'publish': {
      const { version, alias } = checked(publishCommand, options, where);
      return { version: await jobs.publish(trigger, version, alias), message: 'published' };
    }
    case 'rollback': {
      const command = checked(rollbackCommand, options, where);
      return { version: await jobs.rollback(trigger, command), message: 'rolled back' };
    }
    case 'forget': {
      await jobs.forget(trigger, checked(forgetCommand, options, where).user);
      return { version: undefined, message: 'forgotten' };
    }
    default:
      throw new StageError(
        'USAGE',
        `${where}: expected type refit, publish, rollback or forget, found ${JSON.stringify(type)}`,
      );
  }
}

/**
 * Returns a function that takes one look at a signal source: it reports what has ended and queues what is new.
 *
 * The ledger decides what is new: a signal is remembered when it is first seen, its job does each step once for
 * its trigger, its result is recorded once, and only then reported. So a signal that a crash cut off is taken
 * up again where it was, and one whose result did not reach the source is not carried out twice.
 */
export function createSignalPoll(
  source: SignalSource,
  store: StateStore,
  queue: JobQueue,
  jobs: SignalJobs,
  log: Logger,
): (signal: AbortSignal) => Promise<void> {
  const inHand = new Set<string>();

  async function carryOut(command: Signal): Promise<void> {
    const { id, type } = command;
    let outcome: Pick<SignalResult, 'status' | 'version' | 'message'>;
    try {
      outcome = { status: 'done', ...(await obey(command, `signal:${source.name}:${id}`, jobs)) };
    } catch (error) {
      const failure = toStageError(error);
      if (failure.code === 'INTERRUPTED') throw failure;
      outcome = { status: 'failed', message: failure.message };
    }
    const result = { id, ...outcome, finishedAt: Date.now() };
    await store.finishSignal(source.name, result);
    log.info({ ...result, type }, 'signal ended');
  }

  return async signal => {
    for (const result of await store.unreported(source.name)) {
      await source.resolve(result, signal);
      await store.markReported(source.name, result.id);
    }
    for (const command of await source.pending(signal)) {
      const { id } = command;
      if (inHand.has(id)) continue;
      const ended = await store.claimSignal(source.name, command);
      if (ended) {
        await source.resolve(ended, signal);
        continue;
      }
      inHand.add(id);
      void queue.add(`signal ${id}`, () => carryOut(command)).finally(() => inHand.delete(id));
    }
  };
}
