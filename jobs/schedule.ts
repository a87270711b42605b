import type { Ledger } from '../src/contracts/index.js';
import { DueTimes } from './due-times.js';
import { formatTrigger } from './trigger.js';

/** A job that is due by the clock. */
export interface Scheduled {
  readonly job: string;
  readonly expression: string;
}

/** Longest timer. Timers stand still while the machine sleeps and ignore changes of its clock, so look again each minute. */
const longestTimerMs = 60_000;

/**
 * Calls `due(job, time)` at every time of each expression, in `timezone`. `due` returns `true` when the job has ended.
 * The ledger keeps, for each job, the earliest time whose job has not ended. If that time has passed, `due` is called
 * at once: a job that a crash cut off, or that came due while the process was down or held up, is made up for once,
 * however many times were missed. No time lies behind the next one from now, so that a clock that was ahead for a while
 * holds nothing up. `fail` gets the errors of the ledger. Returns a function that stops the clocks and waits for the
 * calls under way.
 */
export async function startSchedules(
  ledger: Ledger,
  schedules: readonly Scheduled[],
  timezone: string,
  due: (job: string, time: number) => Promise<boolean>,
  fail: (error: unknown) => void,
): Promise<() => Promise<void>> {
  const stops = await Promise.all(
    schedules.map(async ({ job, expression }) => {
      const times = new DueTimes(expression, timezone);
      const following = (): number => times.after(Date.now());
      const open = new Set<number>();
      const calls = new Set<Promise<void>>();
      let timer: NodeJS.Timeout | undefined;
      let stopped = false;
      let next = Math.min((await ledger.due(job, expression)) ?? Number.POSITIVE_INFINITY, following());
      const remember = () => ledger.setDue(job, expression, Math.min(next, ...open));

      async function call(time: number): Promise<void> {
        open.add(time);
        if (!(await due(job, time))) return;
        open.delete(time);
        await remember();
      }

      function track(call: Promise<void>): void {
        const tracked = call.catch(fail).finally(() => calls.delete(tracked));
        calls.add(tracked);
      }

      function beat(): void {
        next = Math.min(next, following());
        if (next <= Date.now()) {
          const time = next;
          next = following();
          track(call(time));
        }
        timer = setTimeout(beat, Math.min(Math.max(1, next - Date.now()), longestTimerMs));
      }

      /** Ends what an earlier process left behind its run for `next`. That run makes up for no time after its own. */
      async function finish(): Promise<void> {
        if (!(await due(job, next))) return;
        next = times.after(next);
        await remember();
        if (!stopped) beat();
      }

      await remember();
      if (await ledger.endedRun(job, formatTrigger({ kind: 'cron', time: next }))) track(finish());
      else beat();
      return async () => {
        stopped = true;
        clearTimeout(timer);
        await Promise.all(calls);
      };
    }),
  );
  return async () => {
    await Promise.all(stops.map(stop => stop()));
  };
}
