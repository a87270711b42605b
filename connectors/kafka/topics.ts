import kafkajs from 'kafkajs';
import { StageError } from '../../src/errors.js';
import { type Admin, patiently, root } from './client.js';
import type { Topics } from './names.js';

/** What a topic is expected to be. */
export interface TopicPlan {
  readonly topic: string;
  /** Partitions when it is made; `exactly` refuses any other number. */
  readonly partitions: number;
  readonly exactly?: boolean;
  /** `compact`, and never `delete`: what is deleted by age would be missing in a whole version. */
  readonly compacted: boolean;
  readonly config?: Readonly<Record<string, string>>;
}

/** A topic as it was found. */
export interface FoundTopic {
  readonly topic: string;
  readonly partitions: number;
  /** Its settings as far as the broker tells. */
  readonly config: ReadonlyMap<string, string>;
  /** What is wrong with it, if anything. */
  readonly problem?: string | undefined;
}

/** The topics of a prefix as the sink makes them. */
export function plansOf(
  topics: Topics,
  options: { readonly partitions: number; readonly retainMs: number },
): readonly TopicPlan[] {
  const config = { 'min.compaction.lag.ms': String(options.retainMs) };
  const list = (topic: string): TopicPlan => ({
    topic,
    partitions: options.partitions,
    compacted: true,
    config,
  });
  return [
    { topic: topics.models, partitions: 1, exactly: true, compacted: true },
    { topic: topics.weights, partitions: 1, compacted: true },
    list(topics.lists.users),
    list(topics.lists.items),
  ];
}

/** The topics of `plans` that there are, and what is wrong with them. */
export async function lookAtTopics(
  admin: Admin,
  plans: readonly TopicPlan[],
): Promise<ReadonlyMap<string, FoundTopic>> {
  const there = new Set(await patiently(() => admin.listTopics()));
  const known = plans.filter(p => there.has(p.topic));
  if (known.length === 0) return new Map();
  const { topics } = await patiently(() => admin.fetchTopicMetadata({ topics: known.map(p => p.topic) }));
  const configs = await configsOf(
    admin,
    known.map(p => p.topic),
  );
  return new Map(
    known.map(plan => {
      const partitions = topics.find(t => t.name === plan.topic)?.partitions.length ?? 0;
      const config = configs.get(plan.topic) ?? new Map<string, string>();
      return [
        plan.topic,
        { topic: plan.topic, partitions, config, problem: problemOf(plan, partitions, config) },
      ];
    }),
  );
}

function problemOf(
  plan: TopicPlan,
  partitions: number,
  config: ReadonlyMap<string, string>,
): string | undefined {
  const policy = config.get('cleanup.policy');
  if (plan.exactly && partitions !== plan.partitions)
    return `topic ${plan.topic}: expected ${plan.partitions} partition, found ${partitions}`;
  if (plan.compacted && policy !== undefined && policy !== 'compact')
    return `topic ${plan.topic}: expected cleanup.policy=compact, found ${policy}: whole versions would not last; alter the topic's configuration`;
  return undefined;
}

async function configsOf(admin: Admin, names: readonly string[]): Promise<Map<string, Map<string, string>>> {
  const type = kafkajs.ConfigResourceTypes.TOPIC;
  try {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: names.map(name => ({ type, name })),
    });
    return new Map(
      resources.map(r => [
        r.resourceName,
        new Map(r.configEntries.map(e => [e.configName, e.configValue] as const)),
      ]),
    );
  } catch (error) {
    // Somebody who may write a topic may not always look at its settings.
    if (/AUTHORIZATION_FAILED/.test(root(error).type)) return new Map();
    throw error;
  }
}

/**
 * Makes the topics of `plans` that are missing, and refuses those that would lose parts of a version.
 * @throws StageError `SINK_FAILED` saying what was expected and found.
 */
export async function ensureTopics(
  admin: Admin,
  plans: readonly TopicPlan[],
  replication: number | undefined,
): Promise<ReadonlyMap<string, FoundTopic>> {
  const before = await lookAtTopics(admin, plans);
  const missing = plans.filter(p => !before.has(p.topic));
  if (missing.length > 0) {
    await admin.createTopics({
      waitForLeaders: true,
      topics: missing.map(p => ({
        topic: p.topic,
        numPartitions: p.partitions,
        replicationFactor: replication ?? -1,
        configEntries: Object.entries({
          ...(p.compacted ? { 'cleanup.policy': 'compact' } : {}),
          ...p.config,
        }).map(([name, value]) => ({ name, value })),
      })),
    });
  }
  const found = missing.length > 0 ? await lookAtTopics(admin, plans) : before;
  for (const { problem } of found.values()) if (problem) throw new StageError('SINK_FAILED', problem);
  return found;
}
