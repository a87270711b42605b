import type { Logger } from '../src/contracts/index.js';
import { pollConditions } from './conditions.js';
import { listenForCommands } from './control/server.js';
import { watchHealth } from './health.js';
import type { Http } from './http/server.js';
import { clocksOf, type Job, runChain } from './job.js';
import { fold } from './kinds/fold.js';
import { jobs } from './kinds/index.js';
import { onBehalfOf } from './log-context.js';
import type { Pipeline } from './open.js';
import { openService } from './open-service.js';
import { startSchedules } from './schedule.js';
import { pollSignals } from './signals.js';
import { followSource } from './sources.js';
import type { Trigger } from './trigger.js';

/**
 * Keeps the whole stage going until `signal` aborts: ingests continuously; folds, refits and publishes by
 * the clock, by the number of events and on signals; answers commands meanwhile, and HTTP if there is one. Throws only what no retry can mend.
 */
export async function serve(
  pipeline: Pipeline,
  log: Logger,
  signal: AbortSignal,
  http?: Http,
): Promise<void> {
  const service = openService(pipeline, log, signal, http ? [http.metrics.observer] : []);
  if (service.stop.aborted) return;
  const { config, parts, signals } = pipeline;

  /** Queues a job and what follows from it; one that waits already covers the new trigger too. */
  const start = <O extends object>(job: Job<O>, trigger: Trigger, options: O): Promise<boolean> =>
    service.queue.add(job.name, () => runChain(service.context, job, trigger, options));

  const host = { pipeline, jobs: service.context, inTurn: service.queue.turn };
  const control = await listenForCommands(parts.directory, host, log);
  http?.attach({ host, health: service.health });
  const clocks = clocksOf(pipeline, Object.values(jobs));
  const stopClocks = await startSchedules(
    parts.store,
    clocks.map(({ job, options: _, ...clock }) => ({ job: job.name, ...clock })),
    config.schedule.timezone,
    async (name, time) => {
      const { job, options } = clocks.find(clock => clock.job.name === name)!;
      if (job.readsSources) await service.looked.atAll;
      return start(job, { kind: 'cron', time }, options);
    },
    service.fail,
  );
  await service.untilStopped([
    ...parts.sources.map(source =>
      onBehalfOf({ component: 'ingest' }, () =>
        followSource(service, source, () => start(fold, { kind: 'events', at: Date.now() }, {})),
      ),
    ),
    onBehalfOf({ component: 'health' }, () => watchHealth(pipeline, service.health, service.stop)),
    onBehalfOf({ component: 'conditions' }, () => pollConditions(service, start)),
    ...(signals && config.signals
      ? [onBehalfOf({ component: 'signals' }, () => pollSignals(service, signals, config.signals!.pollMs))]
      : []),
  ]);
  http?.attach(undefined);
  await control.close();
  await stopClocks();
  await service.queue.drained();
  service.rethrow();
}
