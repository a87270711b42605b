import { z } from 'zod';
import { clockSettings, cronExpression } from '../cron.js';
import { type Follower, following, type Job, type JobPipeline, publishes, scheduleOf } from '../job.js';
import { formatTrigger, parseTrigger, type Trigger } from '../trigger.js';
import { passedLimit } from '../when.js';
import { fresh } from './fresh.js';
import { publish } from './publish.js';
import { refit } from './refit.js';

/** Events and users of one run. */
export interface Folded {
  readonly events: number;
  readonly users: number;
}

const schedule = z
  .strictObject({
    cron: cronExpression.default('* * * * *'),
    ...clockSettings,
    events: z.int().min(1).default(100_000).describe('fold when this number of events waits'),
  })
  .prefault({});

/** Folds the inbox into the interactions. Fresh lists and refits by the number of events follow it. */
export const fold: Job<object, Folded, typeof schedule> = {
  name: 'fold',
  said: { done: 'inbox folded' },
  schedule,
  clock: ({ cron }) => ({ cron, options: {} }),
  async prepare({ pipeline }) {
    const waits = (await pipeline.parts.store.pending()) > 0 || (await pipeline.frameIsDue());
    return !waits ? { kind: 'idle', result: { events: 0, users: 0 } } : undefined;
  },
  async run({ pipeline, settings }) {
    const { events, users } = await pipeline.fold(settings.signal);
    const result = { events, users };
    return { kind: 'done', detail: `${events} events of ${users} users`, result, facts: result };
  },
  async *followers({ pipeline }, { trigger }) {
    if (scheduleOf(pipeline, fresh).follow && publishes(pipeline)) {
      const folded = await pipeline.parts.store.folded();
      yield following(fresh, { kind: 'follow', fold: trigger, folded }, {});
    }
    yield* dueRefits(pipeline);
  },
};

/** Refits that are due by the number of folded events or by drift. The ledger has each under that number, so it is made once. */
async function* dueRefits(pipeline: JobPipeline): AsyncIterable<Follower> {
  const { store } = pipeline.parts;
  const { events, when } = scheduleOf(pipeline, refit);
  if (!events && !when) return;
  const [folded, newest] = [await store.folded(), (await store.models()).at(-1)];
  if (newest) {
    const { version } = newest;
    const made = parseTrigger((await store.madeBy(version))?.trigger ?? '');
    const published = await store.endedRun(publish.name, formatTrigger({ kind: 'refit', version }));
    // A crash came between the model and its publication: the refit is not made again, but what follows it is.
    if ((made.kind === 'events' || made.kind === 'drift' || made.kind === 'query') && !published)
      yield following(refit, made, {});
  }
  const enough = events && folded - (newest?.manifest.events ?? 0) >= events;
  const drift = !enough && when && newest && (await pipeline.drifts()).get(newest.version);
  const of = drift && passedLimit(when, drift, newest.manifest);
  if (!enough && !of) return;
  const trigger: Trigger = of ? { kind: 'drift', of, at: folded } : { kind: 'events', at: folded };
  if (!(await store.endedRun(refit.name, formatTrigger(trigger)))) yield following(refit, trigger, {});
}
