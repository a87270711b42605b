import { openKafka } from './client.js';
import { type Models, openModels } from './models.js';
import type { ModelsState } from './models-topic.js';
import type { Topics } from './names.js';
import type { Place } from './publication.js';
import type { KafkaSinkOptions } from './sink-options.js';
import { ensureTopics, lookAtTopics, plansOf } from './topics.js';

/** An open sink. */
export interface Opened {
  readonly place: Place;
  readonly models: Models;
  /** The list topics keep an overwritten list for at least this long: their `min.compaction.lag.ms`. */
  readonly retainMs: number;
}

/** Who opens a sink, and where it is. */
interface Opener {
  readonly owner: string;
  readonly where: string;
  readonly baseDirectory: string;
}

/** Reads the models topic and lets go of it; of one that is missing, which is not made, there is nothing. */
export async function readModels(
  options: KafkaSinkOptions,
  topics: Topics,
  who: Opener,
): Promise<ModelsState | undefined> {
  const kafka = openKafka(options, who.baseDirectory);
  const admin = kafka.admin();
  try {
    await admin.connect();
    const plans = plansOf(topics, options).filter(plan => plan.topic === topics.models);
    if ((await lookAtTopics(admin, plans)).size === 0) return undefined;
    const models = await openModels(kafka, { ...options, ...who, topics, group: options.clientId });
    await models.close();
    return models.state;
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

/** Connects, creates missing topics and reads the models topic; `owner` is the publisher. */
export async function openSink(options: KafkaSinkOptions, topics: Topics, who: Opener): Promise<Opened> {
  const kafka = openKafka(options, who.baseDirectory);
  const admin = kafka.admin();
  try {
    await admin.connect();
    const found = await ensureTopics(admin, plansOf(topics, options), options.replication);
    const lags = [topics.lists.users, topics.lists.items].map(topic =>
      Number(found.get(topic)?.config.get('min.compaction.lag.ms') ?? options.retainMs),
    );
    const group = options.clientId;
    const models = await openModels(kafka, { ...options, ...who, topics, group });
    const place = { ...options, topics, kafka, admin, group, where: who.where };
    return { place, models, retainMs: Math.min(...lags) };
  } catch (error) {
    await admin.disconnect().catch(() => undefined);
    throw error;
  }
}
