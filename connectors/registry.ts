import { resolve } from 'node:path';
import { z } from 'zod';
import type { Finding } from '../src/contracts/finding.js';
import type { SignalSource, Sink, Source } from '../src/contracts/index.js';
import type { RuleOptions } from '../src/publish/rule-options.js';
import type { ItemAttributes } from '../src/publish/rules.js';
import type { ConditionOptions } from './duckdb/condition-options.js';
import type { Room } from './duckdb/room.js';
import { setupFrom } from './duckdb/setup-option.js';
import { duckdbSignalOptions } from './duckdb/signal-options.js';
import { duckdbSinkOptions } from './duckdb/sink-options.js';
import { duckdbSourceOptions } from './duckdb/source-options.js';
import { filesOptions } from './files/options.js';
import { kafkaSourceOptions } from './kafka/options.js';
import { kafkaSignalOptions } from './kafka/signal-options.js';
import { kafkaSinkOptions } from './kafka/sink-options.js';
import { lmdbOptions } from './lmdb/options.js';
import { moduleOptions, moduleSignalOptions } from './module/options.js';
import { ndjsonSourceOptions } from './ndjson/options.js';
import { pushSourceOptions } from './push/options.js';
import { type RedisOptions, redisOptions } from './redis/options.js';

/** A kind of source, sink or signal source, told by the literal `type` of its options. */
export interface Kind<T, O extends z.ZodObject = z.ZodObject> {
  readonly options: O;
  /** Makes one that keeps to `room`; relative paths are taken from `baseDirectory`. Its package is loaded only now. */
  create(options: z.output<O>, baseDirectory: string, room?: Room): Promise<T>;
  /** Looks at what one needs, where making and reading one does not tell enough. */
  examine?(options: z.output<O>, baseDirectory: string): Promise<readonly Finding[] | undefined>;
  /** Of sinks: where one writes, and no other may. */
  place?(options: z.output<O>): string;
  /** Of sources: whether they stay open when there is no more, and wait. */
  readonly waits?: boolean;
  /** Of sources: whether one can be the history of another. */
  readonly hasHistories?: boolean;
  /** Of sinks: whether one opens a DuckDB or maps a file. */
  readonly takesRoom?: (options: z.output<O>) => boolean;
}

const kindFor =
  <T>() =>
  <O extends z.ZodObject>(
    options: O,
    create: Kind<T, O>['create'],
    more: Pick<Kind<T, O>, 'examine' | 'place' | 'waits' | 'hasHistories' | 'takesRoom'> = {},
  ): Kind<T, O> => ({ options, create, ...more });

const source = kindFor<Source>();
const sink = kindFor<Sink>();
const signals = kindFor<SignalSource>();
const kafkaDoctor = () => import('./kafka/doctor.js');
const modules = () => import('./module/load.js');

/** Every kind of source. */
export const sources = [
  source(
    duckdbSourceOptions,
    async (o, base, room) => (await import('./duckdb/source.js')).createDuckdbSource(o, base, room),
    { hasHistories: true },
  ),
  source(
    kafkaSourceOptions,
    async (o, base, room) =>
      (await import('./kafka/source.js')).createKafkaSource(o, base, room?.memoryBytes),
    { examine: async (o, base) => (await kafkaDoctor()).examineSource(o, base), waits: true },
  ),
  source(
    ndjsonSourceOptions,
    async (o, base, room) =>
      (await import('./ndjson/source.js')).createNdjsonSource(o, base, room?.memoryBytes),
    { waits: true },
  ),
  source(
    pushSourceOptions,
    async (o, _, room) => (await import('./push/source.js')).createPushSource(o, room?.memoryBytes),
    { waits: true },
  ),
  source(
    moduleOptions,
    async (o, base, room) => (await modules()).createFrom('source', o, base, room?.memoryBytes),
    { examine: async (o, base) => (await modules()).examineWith('source', o, base), waits: true },
  ),
] as const;

/** Every kind of sink. */
export const sinks = [
  sink(kafkaSinkOptions, async (o, base) => (await import('./kafka/sink.js')).createKafkaSink(o, base), {
    examine: async (o, base) => (await kafkaDoctor()).examineSink(o, base),
    place: o => `${o.brokers} ${o.prefix}`,
  }),
  sink(
    redisOptions,
    async (o, base) => (await import('./redis/sink.js')).createRedisSink(redisPaths(o, base)),
    {
      examine: async (o, base) => (await import('./redis/doctor.js')).examineSink(redisPaths(o, base)),
      place: o => `${o.url} ${o.prefix}`,
    },
  ),
  sink(
    lmdbOptions,
    async (o, base, room) =>
      (await import('./lmdb/sink.js')).createLmdbSink(
        { ...o, path: resolve(base, o.path) },
        room?.memoryBytes,
      ),
    { place: o => `${resolve(o.path)} ${o.prefix}`, takesRoom: () => true },
  ),
  sink(
    duckdbSinkOptions,
    async (o, base, room) =>
      (await import('./duckdb/sink.js')).createDuckdbSink(
        { ...o, database: resolve(base, o.database), setup: setupFrom(o.setup, base) },
        room,
      ),
    { place: o => `${resolve(o.database)} ${o.table.toLowerCase()}`, takesRoom: () => true },
  ),
  sink(
    filesOptions,
    async (o, base, room) =>
      (await import('./files/sink.js')).createFilesSink(
        { ...o, path: resolve(base, o.path) },
        room?.memoryBytes,
      ),
    { place: o => resolve(o.path), takesRoom: o => o.format === 'parquet' || o.vectors === 'parquet' },
  ),
  sink(
    moduleOptions,
    async (o, base, room) => (await modules()).createFrom('sink', o, base, room?.memoryBytes),
    { examine: async (o, base) => (await modules()).examineWith('sink', o, base), place: o => o.name },
  ),
] as const;

/** Every kind of signal source. */
export const signalSources = [
  signals(duckdbSignalOptions, async (o, base, room) =>
    (await import('./duckdb/signals.js')).createDuckdbSignals(o, base, room),
  ),
  signals(
    kafkaSignalOptions,
    async (o, base) => (await import('./kafka/signals.js')).createKafkaSignals(o, base),
    { examine: async (o, base) => (await kafkaDoctor()).examineSignals(o, base) },
  ),
  signals(
    moduleSignalOptions,
    async (o, base, room) => (await modules()).createFrom('signals', o, base, room?.memoryBytes),
    { examine: async (o, base) => (await modules()).examineWith('signals', o, base) },
  ),
] as const;

type Schemas<K extends readonly { readonly options: z.ZodObject }[]> = {
  readonly [I in keyof K]: K[I]['options'];
};
const schemasOf = <K extends readonly { readonly options: z.ZodObject }[]>(kinds: K) =>
  kinds.map(({ options }) => options) as unknown as Schemas<K>;

/** Options of every source, sink and signal source, told apart by `type`. */
export const sourceOptions = z.discriminatedUnion('type', schemasOf(sources));
export const sinkOptions = z.discriminatedUnion('type', schemasOf(sinks));
export const signalOptions = z.discriminatedUnion('type', schemasOf(signalSources));

/** The kind that options are of. */
export const kindOf = <T>(kinds: readonly Kind<T>[], { type }: { readonly type: string }): Kind<T> =>
  kinds.find(({ options }) => z.safeParse(options.shape.type!, type).success)!;

/** Makes a source of its options; see `Kind`. */
export const createSource = (
  options: z.output<typeof sourceOptions>,
  baseDirectory: string,
  room?: Room,
): Promise<Source> => kindOf(sources, options).create(options, baseDirectory, room);

/** Makes a sink of its options; see `Kind`. */
export const createSink = (
  options: z.output<typeof sinkOptions>,
  baseDirectory: string,
  room?: Room,
): Promise<Sink> => kindOf(sinks, options).create(options, baseDirectory, room);

/** Makes a signal source of its options; see `Kind`. */
export const createSignals = (
  options: z.output<typeof signalOptions>,
  baseDirectory: string,
  room?: Room,
): Promise<SignalSource> => kindOf(signalSources, options).create(options, baseDirectory, room);

/** Reads the attributes of items that rules name; relative paths are taken from `baseDirectory`. */
export async function createAttributes(
  options: NonNullable<RuleOptions['attributes']>,
  baseDirectory: string,
  room?: Room,
): Promise<ItemAttributes> {
  const { readAttributes } = await import('./duckdb/attributes.js');
  return readAttributes(options, baseDirectory, room);
}

/** Asks a warehouse whether a job is due; relative paths are taken from `baseDirectory`. */
export async function askCondition(
  options: ConditionOptions,
  baseDirectory: string,
  room?: Room,
  signal?: AbortSignal,
): Promise<boolean> {
  const { askCondition: ask } = await import('./duckdb/condition.js');
  return ask(options, baseDirectory, room, signal);
}

/** Redis options with the paths of PEM files made absolute. */
function redisPaths(options: RedisOptions, baseDirectory: string): RedisOptions {
  const { ca, cert, key } = options.tls;
  const files = Object.entries({ ca, cert, key }).filter((e): e is [string, string] => e[1] !== undefined);
  const absolute = Object.fromEntries(files.map(([name, path]) => [name, resolve(baseDirectory, path)]));
  return { ...options, tls: { ...options.tls, ...absolute } };
}
