import type { Job } from './job.js';
import { scheduleOf } from './job.js';
import { refit } from './kinds/refit.js';
import type { Service } from './open-service.js';
import { formatTrigger, type Trigger } from './trigger.js';
import { isOld } from './when.js';

/** How often the age of the newest model is looked at. */
const ageMs = 60_000;
/** Under this name the ledger has the time at which a condition turned true, and 0 while it is not. */
const remembered = 'refit when';

type Start = (job: Job<object>, trigger: Trigger, options: object) => Promise<boolean>;

/**
 * Asks the query of `schedule.refit.when` until the stop. A refit is due each time it turns true, when the sources have been
 * read behind that; the ledger knows what it was at the last look, and for which turn a refit was made.
 */
async function pollQuery({ pipeline, looked, repeat, stop }: Service, start: Start): Promise<void> {
  const { when } = scheduleOf(pipeline, refit);
  const { query, ask } = { query: when?.query, ask: pipeline.ask };
  if (!query) return;
  const { store } = pipeline.parts;
  const key = [query.database, query.query].join(' ');
  await repeat('when.query', query.pollMs, async () => {
    const since = (await store.due(remembered, key)) ?? 0;
    if (!(await ask(query, stop))) {
      if (since > 0) await store.setDue(remembered, key, 0);
      return;
    }
    const at = since > 0 ? since : Date.now();
    const trigger: Trigger = { kind: 'query', at };
    if (since === 0) await store.setDue(remembered, key, at);
    if (await store.endedRun(refit.name, formatTrigger(trigger))) return;
    await looked.again(stop);
    if (!stop.aborted) await start(refit, trigger, {});
  });
}

/** Looks whether the newest model has become too old without a fold that would have seen it, and events came since. */
async function pollAge({ pipeline, repeat }: Service, start: Start): Promise<void> {
  const { age } = scheduleOf(pipeline, refit).when ?? {};
  if (age === undefined) return;
  const { store } = pipeline.parts;
  await repeat('when.age', ageMs, async () => {
    const newest = (await store.models()).at(-1)?.manifest;
    if (!newest || !isOld(age, newest)) return;
    const folded = await store.folded();
    if (folded === newest.events && (await store.pending()) === 0) return;
    const trigger: Trigger = { kind: 'drift', of: 'age', at: folded };
    if (!(await store.endedRun(refit.name, formatTrigger(trigger)))) await start(refit, trigger, {});
  });
}

/** Starts refits whose conditions come true, until the stop. */
export const pollConditions = (service: Service, start: Start): Promise<unknown> =>
  Promise.all([pollQuery(service, start), pollAge(service, start)]);
