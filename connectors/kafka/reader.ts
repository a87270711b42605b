import { createHash } from 'node:crypto';
import type { Kafka, KafkaMessage } from 'kafkajs';
import { z } from 'zod';
import { champion } from '../../src/contracts/sink.js';
import { StageError } from '../../src/errors.js';
import { openKafka } from './client.js';
import { registerCodecs } from './codecs.js';
import { ModelsState, type VersionRecord } from './models-topic.js';
import { type Topics, topicNames, topicsOf } from './names.js';
import { connectionOptions } from './options.js';
import { openTail } from './tail.js';

const readerOptions = z.strictObject({
  ...topicNames,
  group: z.string().min(1).default('sansa-stream-reader').describe('prefix of the consumer group names'),
});
const connection = z.strictObject(connectionOptions);

/** A kafkajs client, or connection settings to make one. */
export type KafkaAccess = Kafka | z.input<typeof connection>;

/** Topics to read, and the prefix of consumer group names. */
export type ReaderOptions = z.input<typeof readerOptions>;

/** A client with validated options. */
export interface Reading {
  readonly kafka: Kafka;
  readonly topics: Topics;
  readonly group: string;
  readonly where: string;
}

/** Validates `options` and makes a client, unless `access` is one. */
export function openReading(access: KafkaAccess, options: ReaderOptions = {}): Reading {
  registerCodecs();
  const kafka = 'consumer' in access ? access : openKafka(connection.parse(access));
  const parsed = readerOptions.parse(options);
  const topics = topicsOf(parsed);
  return { kafka, topics, group: parsed.group, where: `topic ${topics.models}` };
}

/** A published model. */
export interface PublishedModel {
  readonly version: string;
  readonly manifest: VersionRecord;
  /** `weights.safetensors`, with the manifest's checksum. */
  readonly weights: Buffer;
  /** Key of the item of each row. */
  readonly items: readonly string[];
}

/**
 * Reads the model that an alias names: its manifest, its weights and its items.
 *
 * @throws StageError `VERSION_UNKNOWN` if the alias names no version, `DATA_INVALID` if chunks are missing or a checksum
 *   differs from the manifest's, `SOURCE_UNREADABLE` if the brokers do not answer.
 */
export async function readModel(
  access: KafkaAccess,
  alias = champion,
  options: ReaderOptions = {},
): Promise<PublishedModel> {
  const reading = openReading(access, options);
  for (let tries = 1; ; tries++) {
    const manifest = await versionOf(reading, alias);
    try {
      return await modelOf(reading, manifest);
    } catch (error) {
      // Read again if a new publication has replaced this one, whose records may then be deleted.
      if (tries === 3 || (await versionOf(reading, alias)).publication === manifest.publication) throw error;
    }
  }
}

async function versionOf({ kafka, topics, ...rest }: Reading, alias: string): Promise<VersionRecord> {
  const state = new ModelsState();
  const tail = await openTail(kafka, rest, new Map([[topics.models, undefined]]), {
    record: ({ message }) => state.apply(message),
  });
  await tail.caughtUp().finally(() => tail.close());
  const record = state.of(alias);
  if (record) return record;
  const known = [...state.aliases.keys()].join(', ') || 'none';
  throw new StageError('VERSION_UNKNOWN', `${rest.where}: expected alias ${alias}, found ${known}`);
}

async function modelOf(
  { kafka, topics, ...rest }: Reading,
  manifest: VersionRecord,
): Promise<PublishedModel> {
  const { version } = manifest;
  const chunks = new Map<string, KafkaMessage>();
  const starts = new Map([[topics.weights, manifest.starts.weights]]);
  const tail = await openTail(kafka, rest, starts, {
    record: ({ message }) => {
      const key = message.key!.toString();
      if (key.startsWith(`${version}/`)) chunks.set(key.slice(version.length + 1), message);
    },
  });
  await tail.passed(new Map([[topics.weights, manifest.ends.weights]])).finally(() => tail.close());
  const weights = joined(chunks, '', version);
  const items = joined(chunks, 'items-', version);
  if (sha256(weights) !== manifest.weightsChecksum)
    throw new StageError(
      'DATA_INVALID',
      `${topics.weights}: version ${version}: expected weights with checksum ${manifest.weightsChecksum}, found ${sha256(weights)}`,
    );
  return { version, manifest, weights, items: JSON.parse(items.toString()) as string[] };
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Concatenates the chunks `prefix0`, `prefix1`, …; the header `parts` of the first counts them. */
function joined(chunks: ReadonlyMap<string, KafkaMessage>, prefix: string, version: string): Buffer {
  const first = chunks.get(`${prefix}0`);
  const count = Number(first?.headers?.parts ?? 1);
  const parts = Array.from({ length: count }, (_, k) => chunks.get(`${prefix}${k}`)?.value);
  const missing = parts.findIndex(part => !part);
  if (missing >= 0)
    throw new StageError(
      'DATA_INVALID',
      `version ${version}: expected ${count} chunks ${prefix}0 and on, found none of number ${missing}`,
    );
  const whole = Buffer.concat(parts.map(part => part!));
  const checksum = first!.headers?.checksum?.toString();
  if (sha256(whole) === checksum) return whole;
  throw new StageError(
    'DATA_INVALID',
    `version ${version}: expected chunks ${prefix}* with checksum ${checksum}, found ${sha256(whole)}`,
  );
}
