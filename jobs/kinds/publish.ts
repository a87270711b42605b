import { z } from 'zod';
import { champion } from '../../src/contracts/sink.js';
import type { PublishSummary } from '../../src/publish/publish.js';
import { cronOnly } from '../cron.js';
import { verdictOf } from '../gate.js';
import type { Job } from '../job.js';
import { pruneModelsQuietly } from '../kept-models.js';

/** Which version is published (the newest unless given), and as what. */
export interface PublishOptions {
  readonly version?: string | undefined;
  readonly alias?: string | undefined;
  /** Publish only if the gate lets the model pass. A person who asks for a publication is not stopped. */
  readonly gated?: boolean;
}

const schedule = cronOnly.prefault({});

/** Publishes the lists of a model to every sink. */
export const publish: Job<PublishOptions, PublishSummary, typeof schedule> = {
  name: 'publish',
  said: { done: 'model published' },
  options: z.strictObject({ version: z.string().optional(), alias: z.string().optional() }),
  schedule,
  clock: ({ cron }) => (cron ? { cron, options: { gated: true } } : undefined),
  async run({ pipeline, settings, observer, attempt }, _, { version, alias, gated }) {
    const verdict = gated ? await verdictOf(pipeline, version) : undefined;
    if (verdict && !verdict.passed) {
      await pruneModelsQuietly(pipeline);
      return { kind: 'held', reason: `model ${verdict.version}: ${verdict.reason}` };
    }
    const result = await attempt('publish', () => pipeline.publish({ version, alias, ...settings }));
    for (const sink of result.sinks) observer.sink(sink.name, sink);
    await pruneModelsQuietly(pipeline);
    const facts = { ...result, ...(verdict && { gate: verdict.reason }) };
    const as = result.alias === champion ? '' : ` as ${result.alias}`;
    const detail = `${result.users} user and ${result.items} item lists${as}`;
    return { kind: 'done', detail, version: result.version, result, facts };
  },
  answer: () => 'published',
};
