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
  group: z.string().min(1).default('sansa-stream-reader').describe('first part of the group names used'),
});
const connection = z.strictObject(connectionOptions);

/** A client of kafkajs, or how to reach the brokers. */
export type KafkaAccess = Kafka | z.input<typeof connection>;

/** Which topics to read, and under which group names. */
export type ReaderOptions = z.input<typeof readerOptions>;

/** Access and options, checked. */
export interface Reading {
  readonly kafka: Kafka;
  readonly topics: Topics;
  readonly group: string;
  readonly where: string;
}

/** Opens what a reader needs. */
export function openReading(access: KafkaAccess, options: ReaderOptions = {}): Reading {
  registerCodecs();
  const kafka = 'consumer' in access ? access : openKafka(connection.parse(access));
  const parsed = readerOptions.parse(options);
  const topics = topicsOf(parsed);
  return { kafka, topics, group: parsed.group, where: `topic ${topics.models}` };
}

/** A model as it was published. */
export interface PublishedModel {
  readonly version: string;
  readonly manifest: VersionRecord;
  /** `weights.safetensors`, with the manifest's checksum. */
  readonly weights: Buffer;
  /** Key of the item of each row. */
  readonly items: readonly string[];
}

/**
 * Reads the model that an alias names: its manifest, its weights put together from their chunks, and its items.
 *
 * @throws StageError `VERSION_UNKNOWN` when the alias names no version, `DATA_INVALID` when chunks are missing or their
 *   checksum is not the manifest's, `SOURCE_UNREADABLE` when the brokers cannot be read.
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
      // It may have been pruned meanwhile: then the alias names another.
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

/** The chunks `prefix0`, `prefix1`, … as one, as many as their headers say. */
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
