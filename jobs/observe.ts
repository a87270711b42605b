import type { Logger } from '../src/contracts/index.js';
import type { SinkSummary } from '../src/publish/publish.js';
import type { BatchSummary } from '../src/stages/ingest.js';
import type { RunEnd } from './outcome.js';
import { formatTrigger, type Trigger } from './trigger.js';

/** The part of a job that observers see. */
export interface ObservedJob {
  readonly name: string;
  /** Lines of the log: at the beginning of a run (none unless given) and at its end. */
  readonly said: { readonly begun?: string; readonly done: string };
}

/** A source or a sink. */
export interface Part {
  readonly kind: 'source' | 'sink';
  readonly name: string;
}

/** Hears of what the stage does: the log is one observer. Its methods are called in passing and must not throw. */
export interface Observer {
  /** A batch of a source is in the inbox. */
  batch?(source: string, summary: BatchSummary): void;
  /** A source has been read to its present end. */
  caughtUp?(source: string): void;
  /** A part of the pipeline does not answer, with what it says, or answers again. */
  health?(part: Part, problem: string | undefined): void;
  /** A run of a job begins. */
  begin?(job: ObservedJob, trigger: Trigger): void;
  /** A run has ended, `seconds` after it began. */
  run?(job: ObservedJob, trigger: Trigger, end: RunEnd, seconds: number): void;
  /** A sink has taken a publication. */
  sink?(name: string, summary: SinkSummary): void;
}

/** One observer in place of several; each hears of everything, in their order. */
export const observers = (all: readonly Observer[]): Required<Observer> => ({
  batch: (...heard) => all.forEach(o => void o.batch?.(...heard)),
  caughtUp: (...heard) => all.forEach(o => void o.caughtUp?.(...heard)),
  health: (...heard) => all.forEach(o => void o.health?.(...heard)),
  begin: (...heard) => all.forEach(o => void o.begin?.(...heard)),
  run: (...heard) => all.forEach(o => void o.run?.(...heard)),
  sink: (...heard) => all.forEach(o => void o.sink?.(...heard)),
});

/** The observer that writes the log. Failures are logged by who decides what becomes of them: the queue, the command line. */
export const logging = (log: Logger): Observer => ({
  batch: (source, { positions: _, ...summary }) => log.debug({ source, ...summary }, 'batch ingested'),
  health: ({ kind, name }, problem) =>
    problem === undefined
      ? log.info({ [kind]: name }, `${kind} answered again`)
      : log.warn({ [kind]: name, problem }, `${kind} did not answer`),
  begin({ said }, trigger) {
    if (said.begun) log.info({ trigger: formatTrigger(trigger) }, said.begun);
  },
  run({ said }, trigger, end) {
    const text = formatTrigger(trigger);
    if (end.kind === 'done') log.info({ ...end.facts, trigger: text }, said.done);
    if (end.kind === 'held') log.warn({ trigger: text }, `not published: ${end.reason}`);
  },
});
