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
  { pipeline, context, looked, stop, read: readAt, repeat }: Service,
  source: Source,
  enough: () => unknown,
): Promise<void> {
  const { pollMs } = pipeline.config.schedule;
  const most = scheduleOf(pipeline, fresh).follow ? 1 : scheduleOf(pipeline, fold).events;
  const look = () => looked.add(source);
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
        context.observer.batch(source.name, batch);
        if ((await pipeline.parts.store.pending()) >= most) enough();
      },
      () => {
        well();
        look();
      },
    );
  await repeat(`source ${source.name}`, pollMs, well => readAt(source, () => takeIn(well).finally(look)));
}
