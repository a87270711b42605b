import { gunzipSync, gzipSync } from 'node:zlib';
import kafkajs, { type Kafka } from 'kafkajs';
import { examine, type Finding } from '../../src/contracts/finding.js';
import { StageError } from '../../src/errors.js';
import { type Admin, kafkaError, openKafka, patiently, root } from './client.js';
import { registerCodecs } from './codecs.js';
import { topicsOf } from './names.js';
import type { ConnectionOptions, KafkaSourceOptions } from './options.js';
import { addressOf } from './registry.js';
import type { KafkaSignalOptions } from './signal-options.js';
import type { KafkaSinkOptions } from './sink-options.js';
import { lookAtTopics, plansOf, type TopicPlan } from './topics.js';

/** Looks at a cluster with one connection: `body` adds findings once it is reached. */
async function onCluster(
  what: string,
  options: ConnectionOptions,
  baseDirectory: string,
  body: (admin: Admin, kafka: Kafka) => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  const kafka = openKafka(options, baseDirectory);
  const admin = kafka.admin();
  const reached = await examine(`${what}: brokers`, async () => {
    try {
      await admin.connect();
      const { brokers, clusterId } = await admin.describeCluster();
      const version = await protocolOf(admin, brokers[0]!.nodeId);
      return `${brokers.length} of cluster ${clusterId}, ${version}`;
    } catch (error) {
      throw kafkaError(error, options.brokers.join(', '));
    }
  });
  try {
    return reached.ok ? [reached, await permissions(what, admin), ...(await body(admin, kafka))] : [reached];
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

/** What the broker tells of its version: Kafka 4 no longer has the setting that says it. */
async function protocolOf(admin: Admin, node: number): Promise<string> {
  const name = 'inter.broker.protocol.version';
  try {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: kafkajs.ConfigResourceTypes.BROKER, name: String(node), configNames: [name] }],
    });
    const found = resources[0]?.configEntries.find(e => e.configName === name)?.configValue;
    return found ? `protocol ${found}` : 'protocol 4.0 or later';
  } catch {
    return 'version not told';
  }
}

/** The rules of access, if this user may see them; what is missing shows where it is needed. */
function permissions(what: string, admin: Admin): Promise<Finding> {
  const { AclResourceTypes, AclOperationTypes, AclPermissionTypes, ResourcePatternTypes } = kafkajs;
  return examine(`${what}: permissions`, async () => {
    try {
      const { resources } = await admin.describeAcls({
        resourceType: AclResourceTypes.ANY,
        resourcePatternType: ResourcePatternTypes.ANY,
        operation: AclOperationTypes.ANY,
        permissionType: AclPermissionTypes.ANY,
      });
      return `${resources.reduce((sum, r) => sum + r.acls.length, 0)} rules`;
    } catch (error) {
      const { type, message } = root(error);
      if (type === 'SECURITY_DISABLED') return 'the broker has no rules';
      return `not told (${message})`;
    }
  });
}

async function topicFindings(
  what: string,
  admin: Admin,
  plans: readonly TopicPlan[],
): Promise<readonly Finding[]> {
  const found = await lookAtTopics(admin, plans).catch(error => kafkaError(error, what));
  return Promise.all(
    plans.map(plan =>
      examine(`${what}: topic ${plan.topic}`, () => {
        if (found instanceof StageError) throw found;
        const topic = found.get(plan.topic);
        if (!topic) return 'none; it will be made';
        if (topic.problem) throw new StageError('SINK_FAILED', topic.problem);
        const policy = topic.config.get('cleanup.policy') ?? 'not told';
        return `${topic.partitions} partition${topic.partitions === 1 ? '' : 's'}, cleanup.policy ${policy}`;
      }),
    ),
  );
}

/** Whether records in every codec can be read. */
function codecs(what: string): Promise<Finding> {
  return examine(`${what}: codecs`, async () => {
    registerCodecs();
    const sample = Buffer.from('sansa '.repeat(1000));
    const { CompressionCodecs, CompressionTypes } = kafkajs;
    for (const name of ['Snappy', 'LZ4', 'ZSTD'] as const) {
      const codec = (CompressionCodecs as Record<number, () => Codec>)[CompressionTypes[name]]!();
      const back = await codec.decompress(await codec.compress({ buffer: sample }));
      if (!sample.equals(back))
        throw new StageError('INTERNAL', `${name}: what was compressed came back otherwise`);
    }
    if (!gunzipSync(gzipSync(sample)).equals(sample)) throw new StageError('INTERNAL', 'gzip');
    return 'gzip, snappy, lz4, zstd';
  });
}

interface Codec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>;
  decompress(buffer: Buffer): Promise<Buffer>;
}

async function registry(what: string, options: KafkaSourceOptions['registry']): Promise<readonly Finding[]> {
  if (!options) return [];
  const { base, headers } = addressOf(options);
  const look = async () => {
    const response = await fetch(`${base}/subjects`, {
      headers,
      signal: AbortSignal.timeout(options.timeoutMs),
    }).catch((error: Error) => {
      throw new StageError(
        'SOURCE_UNREADABLE',
        `schema registry: ${(error.cause as Error)?.message ?? error.message}`,
      );
    });
    if (response.status === 401 || response.status === 403)
      throw new StageError('ACCESS_REFUSED', `schema registry: answered ${response.status}`);
    if (!response.ok)
      throw new StageError('SOURCE_UNREADABLE', `schema registry: answered ${response.status}`);
    return `${((await response.json()) as unknown[]).length} subjects`;
  };
  return [await examine(`${what}: schema registry`, look)];
}

/** Looks at what a source needs: brokers, topics, the group, codecs and the schema registry. */
export function examineSource(
  options: KafkaSourceOptions,
  baseDirectory: string,
): Promise<readonly Finding[]> {
  const what = `source ${options.name}`;
  return onCluster(what, options, baseDirectory, async admin => {
    const topics = await Promise.all(
      options.topics.map(topic =>
        examine(`${what}: topic ${topic}`, async () => {
          try {
            const offsets = await patiently(() => admin.fetchTopicOffsets(topic));
            const records = offsets.reduce((sum, o) => sum + Number(o.high) - Number(o.low), 0);
            return `${offsets.length} partitions, about ${records} records`;
          } catch (error) {
            if (root(error).type !== 'UNKNOWN_TOPIC_OR_PARTITION') throw kafkaError(error, topic);
            throw new StageError('SOURCE_UNREADABLE', `expected topic ${topic}, found none`);
          }
        }),
      ),
    );
    const group = await examine(`${what}: group ${options.group}`, async () => {
      try {
        const { groups } = await patiently(() => admin.describeGroups([options.group]));
        return `${groups[0]?.state || 'none'}, ${groups[0]?.members.length ?? 0} members`;
      } catch (error) {
        throw kafkaError(error, options.group);
      }
    });
    return [...topics, group, await codecs(what), ...(await registry(what, options.registry))];
  });
}

/** Looks at what a sink needs: brokers and topics; makes nothing. */
export const examineSink = (options: KafkaSinkOptions, baseDirectory: string): Promise<readonly Finding[]> =>
  onCluster('sink kafka', options, baseDirectory, admin =>
    topicFindings('sink kafka', admin, plansOf(topicsOf(options), options)),
  );

/** Looks at what signals need; makes nothing. */
export function examineSignals(
  options: KafkaSignalOptions,
  baseDirectory: string,
): Promise<readonly Finding[]> {
  const topic = options.topic ?? `${options.prefix}.signals`;
  const [models] = plansOf(topicsOf(options), { partitions: 1, retainMs: 0 });
  return onCluster('signals', options, baseDirectory, admin =>
    topicFindings('signals', admin, [models!, { topic, partitions: 1, compacted: false }]),
  );
}
