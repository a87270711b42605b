import type { Source } from '../src/contracts/index.js';
import { scheduleOf } from './job.js';
import { fold } from './kinds/fold.js';
import { fresh } from './kinds/fresh.js';
import type { Service } from './open-service.js';

/**
 * Ingests from a source until the stop. Calls `enough` after a batch if enough events wait for a fold. Throws errors
 * that no retry can mend, such as too many dead letters since the start.
 */
export async function followSource(
  { pipeline, context, health, looked, stop, read: readAt, repeat }: Service,
  source: Source,
  enough: () => unknown,
): Promise<void> {
  const { pollMs } = pipeline.config.schedule;
  const most = scheduleOf(pipeline, fresh).follow ? 1 : scheduleOf(pipeline, fold).events;
  const { observer } = context;
  const look = () => looked.add(source);
  const part = { kind: 'source', name: source.name } as const;
  /** The log has failures of reading already. A source with a probe is judged by that alone. */
  const found = (error?: unknown): void => {
    if (!source.openProbe) health.found(part, error, true);
  };
  const caughtUp = () => observer.caughtUp(source.name);
  let [deadLetters, read] = [0, 0];
  const takeIn = (well: () => void): Promise<void> =>
    pipeline.drain(
      source,
      stop,
      async batch => {
        well();
        look();
        deadLetters += batch.deadLetters;
        read += batch.read;
        pipeline.assertTolerance(deadLetters, read);
        health.taken(source.name, batch.positions);
        observer.batch(source.name, batch);
        if ((await pipeline.parts.store.pending()) >= most) enough();
      },
      () => {
        well();
        look();
        caughtUp();
      },
    );
  await repeat(`source ${source.name}`, pollMs, well =>
    readAt(source, () =>
      takeIn(() => {
        well();
        found();
      })
        .then(() => {
          found();
          caughtUp();
        })
        .catch(error => {
          found(error);
          throw error;
        })
        .finally(look),
    ),
  );
}
