import { resolve } from 'node:path';
import { z } from 'zod';
import type { SignalSource, Sink, Source } from '../src/contracts/index.js';
import type { RuleOptions } from '../src/publish/rule-options.js';
import type { ItemAttributes } from '../src/publish/rules.js';
import type { Room } from './duckdb/database.js';
import { duckdbSignalOptions } from './duckdb/signals.js';
import { duckdbSinkOptions } from './duckdb/sink-options.js';
import { duckdbSourceOptions } from './duckdb/source.js';
import { filesOptions } from './files/options.js';
import { kafkaSourceOptions } from './kafka/options.js';
import { kafkaSignalOptions } from './kafka/signal-options.js';
import { kafkaSinkOptions } from './kafka/sink-options.js';
import { lmdbOptions } from './lmdb/options.js';
import { type RedisOptions, redisOptions } from './redis/options.js';

/** Options of every source, told apart by `type`. */
export const sourceOptions = z.discriminatedUnion('type', [duckdbSourceOptions, kafkaSourceOptions]);
/** Options of every sink, told apart by `type`. */
export const sinkOptions = z.discriminatedUnion('type', [
  kafkaSinkOptions,
  redisOptions,
  lmdbOptions,
  duckdbSinkOptions,
  filesOptions,
]);
/** Options of every signal source, told apart by `type`. */
export const signalOptions = z.discriminatedUnion('type', [duckdbSignalOptions, kafkaSignalOptions]);

/** Makes a source; relative paths are taken from `baseDirectory`. Its package is loaded only now. It keeps to `room`. */
export async function createSource(
  options: z.output<typeof sourceOptions>,
  baseDirectory: string,
  room?: Room,
): Promise<Source> {
  if (options.type === 'kafka')
    return (await import('./kafka/source.js')).createKafkaSource(options, baseDirectory, room?.memoryBytes);
  const { createDuckdbSource } = await import('./duckdb/source.js');
  return createDuckdbSource(options, baseDirectory, room);
}

/** Makes a sink; relative paths are taken from `baseDirectory`. Its package is loaded only now. What it maps or opens keeps to `memoryBytes`. */
export async function createSink(
  options: z.output<typeof sinkOptions>,
  baseDirectory: string,
  memoryBytes?: number,
): Promise<Sink> {
  if (options.type === 'kafka')
    return (await import('./kafka/sink.js')).createKafkaSink(options, baseDirectory);
  if (options.type === 'redis')
    return (await import('./redis/sink.js')).createRedisSink(redisPaths(options, baseDirectory));
  if (options.type === 'duckdb') {
    const database = resolve(baseDirectory, options.database);
    const room = memoryBytes === undefined ? undefined : { memoryBytes };
    return (await import('./duckdb/sink.js')).createDuckdbSink({ ...options, database }, room);
  }
  const path = resolve(baseDirectory, options.path);
  if (options.type === 'lmdb')
    return (await import('./lmdb/sink.js')).createLmdbSink({ ...options, path }, memoryBytes);
  return (await import('./files/sink.js')).createFilesSink({ ...options, path }, memoryBytes);
}

/** Makes a signal source; relative paths are taken from `baseDirectory`. */
export async function createSignals(
  options: z.output<typeof signalOptions>,
  baseDirectory: string,
  room?: Room,
): Promise<SignalSource> {
  if (options.type === 'kafka')
    return (await import('./kafka/signals.js')).createKafkaSignals(options, baseDirectory);
  const { createDuckdbSignals } = await import('./duckdb/signals.js');
  return createDuckdbSignals(options, baseDirectory, room);
}

/** Reads the attributes of items that rules name; relative paths are taken from `baseDirectory`. */
export async function createAttributes(
  options: NonNullable<RuleOptions['attributes']>,
  baseDirectory: string,
  room?: Room,
): Promise<ItemAttributes> {
  const { readAttributes } = await import('./duckdb/attributes.js');
  return readAttributes(options, baseDirectory, room);
}

/** Redis options with the paths of PEM files made absolute. */
function redisPaths(options: RedisOptions, baseDirectory: string): RedisOptions {
  const { ca, cert, key } = options.tls;
  const files = Object.entries({ ca, cert, key }).filter((e): e is [string, string] => e[1] !== undefined);
  const absolute = Object.fromEntries(files.map(([name, path]) => [name, resolve(baseDirectory, path)]));
  return { ...options, tls: { ...options.tls, ...absolute } };
}
