import type { Ledger } from '../src/contracts/index.js';
import { DueTimes } from './due-times.js';
import { formatTrigger } from './trigger.js';

/** A job that is due by the clock. */
export interface Scheduled {
  readonly job: string;
  readonly expression: string;
  /** Whether a missed time is made up for; `once` unless given. */
  readonly catchUp?: 'once' | 'none';
  /** How much later than its time a call may come, drawn for each; 0 unless given. */
  readonly jitterMs?: number;
}

/** Longest timer. Timers stand still while the machine sleeps and ignore changes of its clock, so look again each minute. */
const longestTimerMs = 60_000;

/** What a clock calls when its job is due, and with errors of the ledger. */
interface Calls {
  /** Returns true when the job has ended. */
  due(job: string, time: number): Promise<boolean>;
  fail(error: unknown): void;
}

/**
 * The clock of one job. The ledger's time is the least of `#next` and of the calls whose job has not ended.
 * No time lies behind the next one from now, so that a clock that was ahead for a while holds nothing up.
 */
class Clock {
  readonly #ledger: Ledger;
  readonly #scheduled: Scheduled;
  readonly #times: DueTimes;
  readonly #calls: Calls;
  /** Times whose job has not ended. */
  readonly #open = new Set<number>();
  readonly #running = new Set<Promise<void>>();
  #next = Number.POSITIVE_INFINITY;
  /** How much later than `#next` its call comes. */
  #jitterMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(ledger: Ledger, scheduled: Scheduled, timezone: string, calls: Calls) {
    this.#ledger = ledger;
    this.#scheduled = scheduled;
    this.#times = new DueTimes(scheduled.expression, timezone);
    this.#calls = calls;
  }

  async start(): Promise<void> {
    const { job, expression } = this.#scheduled;
    this.#next = Math.min((await this.#ledger.due(job, expression)) ?? this.#next, this.#following());
    await this.#remember();
    this.#draw();
    if (await this.#ledger.endedRun(job, formatTrigger({ kind: 'cron', time: this.#next })))
      this.#track(this.#finish());
    else this.#beat();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await Promise.all(this.#running);
  }

  #following = (): number => this.#times.after(Date.now());

  #remember(): Promise<void> {
    const { job, expression } = this.#scheduled;
    return this.#ledger.setDue(job, expression, Math.min(this.#next, ...this.#open));
  }

  #beat(): void {
    this.#next = Math.min(this.#next, this.#following());
    if (this.#next + this.#jitterMs <= Date.now()) {
      const time = this.#next;
      this.#next = this.#following();
      this.#track(this.#missed(time) ? this.#remember() : this.#call(time));
      this.#draw();
    }
    this.#timer = setTimeout(
      () => this.#beat(),
      Math.min(Math.max(1, this.#next + this.#jitterMs - Date.now()), longestTimerMs),
    );
  }

  #draw(): void {
    this.#jitterMs = Math.floor(Math.random() * (this.#scheduled.jitterMs ?? 0));
  }

  /** Whether a time has gone by and is not made up for; a timer alone is late by less. */
  #missed(time: number): boolean {
    const { catchUp, jitterMs = 0 } = this.#scheduled;
    return catchUp === 'none' && Date.now() - time > jitterMs + longestTimerMs;
  }

  async #call(time: number): Promise<void> {
    this.#open.add(time);
    if (!(await this.#calls.due(this.#scheduled.job, time))) return;
    this.#open.delete(time);
    await this.#remember();
  }

  /** Ends the job of an earlier process that ran for `#next`. That run makes up for no time after its own. */
  async #finish(): Promise<void> {
    if (!(await this.#calls.due(this.#scheduled.job, this.#next))) return;
    this.#next = this.#times.after(this.#next);
    await this.#remember();
    if (!this.#stopped) this.#beat();
  }

  #track(call: Promise<void>): void {
    const tracked = call.catch(this.#calls.fail).finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }
}

/**
 * Calls `due(job, time)` at every time of each expression, in `timezone`. `due` returns `true` when the job has ended.
 * The ledger keeps, for each job, the earliest time whose job has not ended. If that time has passed, `due` is called
 * at once: a job that a crash cut off, or that came due while the process was down or held up, is made up for once,
 * however many times were missed, or not at all with `catchUp: 'none'`. `fail` gets the errors of the ledger. Returns a function that stops the clocks and
 * waits for the calls under way.
 */
export async function startSchedules(
  ledger: Ledger,
  schedules: readonly Scheduled[],
  timezone: string,
  due: Calls['due'],
  fail: Calls['fail'],
): Promise<() => Promise<void>> {
  const clocks = schedules.map(scheduled => new Clock(ledger, scheduled, timezone, { due, fail }));
  await Promise.all(clocks.map(clock => clock.start()));
  return async () => {
    await Promise.all(clocks.map(clock => clock.stop()));
  };
}
