import type { Signal, SignalResult, SignalSource } from '../src/contracts/index.js';
import { StageError, toStageError } from '../src/errors.js';
import { checked } from './checked.js';
import { type Job, type JobContext, runChain } from './job.js';
import { jobs } from './kinds/index.js';
import type { Service } from './open-service.js';
import { redacted } from './secrets.js';
import type { Trigger } from './trigger.js';

const all: readonly Job[] = Object.values(jobs);
/** Jobs that a signal can start, by the signal's type. */
const commands = new Map(all.filter(job => job.answer && job.options).map(job => [job.name, job]));
const types = [...commands.keys()].join(', ').replace(/, (?=[^,]*$)/, ' or ');

/** Carries out one signal; returns its result. Throws the failure that becomes its result instead. */
async function obey(
  context: JobContext,
  { id, type, options, problem }: Signal,
  trigger: Trigger,
): Promise<Pick<SignalResult, 'version' | 'message'>> {
  const where = `signal ${id}`;
  if (problem !== undefined) throw new StageError('USAGE', `${where}: ${problem}`);
  const job = commands.get(type);
  if (!job) throw new StageError('USAGE', `${where}: expected type ${types}, found ${JSON.stringify(type)}`);
  const chain = await runChain(context, job, trigger, checked(job.options!, options, where));
  const { outcome } = chain;
  return { version: outcome.kind === 'held' ? undefined : outcome.version, message: job.answer!(chain) };
}

/**
 * Looks at a signal source every `pollMs` until the stop: reports what has ended and queues what is new.
 *
 * The ledger decides what is new: a signal is remembered when it is first seen, its job does each step once for
 * its trigger, its result is recorded once, and only then reported. So a signal that a crash cut off is taken
 * up again where it was, and one whose result did not reach the source is not carried out twice.
 */
export async function pollSignals(
  { pipeline, context, queue, log, stop, looked, repeat }: Service,
  source: SignalSource,
  pollMs: number,
): Promise<void> {
  const { store } = pipeline.parts;
  const inHand = new Set<string>();

  async function carryOut(command: Signal): Promise<void> {
    const { id, type } = command;
    let ended: Pick<SignalResult, 'status' | 'version' | 'message'>;
    try {
      const trigger: Trigger = { kind: 'signal', signal: `${source.name}:${id}` };
      ended = { status: 'done', ...(await obey(context, command, trigger)) };
    } catch (error) {
      const failure = toStageError(error);
      if (failure.code === 'INTERRUPTED') throw failure;
      ended = { status: 'failed', message: redacted(failure.message) };
    }
    const result = { id, ...ended, finishedAt: Date.now() };
    await store.finishSignal(source.name, result);
    log.info({ ...result, type }, 'signal ended');
  }

  async function look(): Promise<void> {
    for (const result of await store.unreported(source.name)) {
      await source.resolve(result, stop);
      await store.markReported(source.name, result.id);
    }
    for (const command of await source.pending(stop)) {
      const { id } = command;
      if (inHand.has(id)) continue;
      const ended = await store.claimSignal(source.name, command);
      if (ended) {
        await source.resolve(ended, stop);
        continue;
      }
      inHand.add(id);
      void queue.add(`signal ${id}`, () => carryOut(command)).finally(() => inHand.delete(id));
    }
  }

  await repeat('signals', pollMs, async () => {
    // A refit must know what the sources held when it was asked for, which may be before the start.
    if (looked.complete) await look();
  });
}
