import cron from 'node-cron';
import type { Ledger } from '../src/connector.js';

/** A job that is due by the clock. */
export interface Scheduled {
  readonly job: string;
  readonly expression: string;
}

/**
 * Calls `due(job, time)` at every time of each expression, in `timezone`. The ledger holds, for each job, the
 * earliest time whose call has not come back with `true` (the job has ended). A process that finds that time
 * in the past calls for it at start: a job that was cut off, or that came due while nothing ran, is made up
 * for once. Returns a function that stops the clocks.
 */
export async function startSchedules(
  ledger: Ledger,
  schedules: readonly Scheduled[],
  timezone: string,
  due: (job: string, time: number) => Promise<boolean>,
): Promise<() => Promise<void>> {
  const tasks = await Promise.all(
    schedules.map(async ({ job, expression }) => {
      const open = new Set<number>();
      const call = async (time: number): Promise<void> => {
        if (open.has(time)) return;
        open.add(time);
        if (!(await due(job, time))) return;
        open.delete(time);
        const next = open.size > 0 ? Math.min(...open) : task.getNextRun()?.getTime();
        if (next !== undefined) await ledger.setDue(job, expression, next);
      };
      const task = cron.createTask(
        expression,
        context => {
          const time = context.date.getTime();
          void call(time - (time % 1000));
        },
        { timezone, name: job, suppressMissedWarning: true },
      );
      const missed = await ledger.due(job, expression);
      await task.start();
      if (missed === undefined)
        await ledger.setDue(job, expression, task.getNextRun()?.getTime() ?? Date.now());
      else if (missed <= Date.now()) void call(missed);
      return task;
    }),
  );
  return async () => {
    for (const task of tasks) await task.destroy();
  };
}
