import cron from 'node-cron';
import type { Ledger } from '../src/contracts/index.js';

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
      // node-cron computes the times. Its own timers are not used: they skip a time for which they are late.
      const times = cron.createTask(expression, () => undefined, { timezone, name: job });
      const following = (): number => Math.floor(times.getNextRuns(1)[0]!.getTime() / 1000) * 1000;
      const open = new Set<number>();
      const calls = new Set<Promise<void>>();
      let timer: NodeJS.Timeout | undefined;
      let next = Math.min((await ledger.due(job, expression)) ?? Number.POSITIVE_INFINITY, following());
      const remember = () => ledger.setDue(job, expression, Math.min(next, ...open));

      async function call(time: number): Promise<void> {
        open.add(time);
        if (!(await due(job, time))) return;
        open.delete(time);
        await remember();
      }

      function beat(): void {
        next = Math.min(next, following());
        next = Math.min(next, following());
        if (next <= Date.now()) {
          const time = next;
          next = following();
          const called = call(time)
            .catch(fail)
            .finally(() => calls.delete(called));
          calls.add(called);
        }
        timer = setTimeout(beat, Math.min(Math.max(1, next - Date.now()), longestTimerMs));
      }

      await remember();
      beat();
      return async () => {
        clearTimeout(timer);
        await times.destroy();
        await Promise.all(calls);
      };
    }),
  );
  return async () => {
    await Promise.all(stops.map(stop => stop()));
  };
}
