import avro from 'avsc';
import protobuf from 'protobufjs';
import { StageError } from '../../src/errors.js';
import type { KafkaSourceOptions } from './options.js';

/** Reads the payload behind a schema id; throws when the bytes do not fit the schema. */
export type ReadPayload = (payload: Buffer) => unknown;

/** Schemas by id, as a Confluent-compatible registry serves them. */
export interface SchemaRegistry {
  /** Fetches the schemas that are not known yet. `SOURCE_UNREADABLE` when the registry does not answer. */
  prepare(ids: Iterable<number>): Promise<void>;
  /** The reader of a prepared schema; a text says why there is none. */
  reader(id: number): ReadPayload | string;
}

interface Schema {
  readonly schema: string;
  readonly schemaType?: string;
  readonly references?: readonly {
    readonly name: string;
    readonly subject: string;
    readonly version: number;
  }[];
}

/** How long an id that the registry does not know is not asked for again. */
const unknownForMs = 30_000;

/** 64-bit integers as numbers while these are exact, as big integers beyond. */
const exactLong = avro.types.LongType.__with({
  fromBuffer(buffer: Buffer) {
    const x = buffer.readBigInt64LE();
    return Number.isSafeInteger(Number(x)) ? Number(x) : x;
  },
  toBuffer(x: number | bigint) {
    const buffer = Buffer.alloc(8);
    buffer.writeBigInt64LE(BigInt(x));
    return buffer;
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (x: unknown) => typeof x === 'bigint' || Number.isSafeInteger(x),
  compare: (a: number | bigint, b: number | bigint) => (a < b ? -1 : a > b ? 1 : 0),
});

/** Times in microseconds as epoch milliseconds; those in milliseconds are so already. */
class Microseconds extends avro.types.LogicalType {
  protected override _fromValue(x: number | bigint): number {
    return Number(x) / 1000;
  }
  protected override _toValue(x: number): number {
    return Math.round(x * 1000);
  }
}

function avroReader(schema: Schema, references: readonly string[]): ReadPayload {
  const options = {
    registry: { long: exactLong },
    logicalTypes: { 'timestamp-micros': Microseconds, 'local-timestamp-micros': Microseconds },
  };
  for (const text of references) avro.Type.forSchema(JSON.parse(text), options);
  const type = avro.Type.forSchema(JSON.parse(schema.schema), options);
  return payload => type.fromBuffer(payload);
}

/** The message types of a file in the order of its text, as the registry's indexes count them. */
const messagesOf = (parent: protobuf.NamespaceBase): protobuf.Type[] =>
  parent.nestedArray.filter((o): o is protobuf.Type => o instanceof protobuf.Type);

function readVarint(bytes: Buffer, at: { offset: number }): number {
  let value = 0;
  for (let factor = 1; ; factor *= 128) {
    const byte = bytes[at.offset++];
    if (byte === undefined || factor > 2 ** 35) throw new Error('truncated message indexes');
    value += (byte & 127) * factor;
    if (byte < 128) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}

function protobufReader(schema: Schema, references: readonly string[]): ReadPayload {
  const root = new protobuf.Root();
  for (const name of ['any', 'duration', 'empty', 'struct', 'timestamp', 'wrappers']) {
    const known = protobuf.common.get(`google/protobuf/${name}.proto`);
    if (known?.nested) root.addJSON(known.nested);
  }
  for (const text of references) protobuf.parse(text, root, { keepCase: true });
  const parsed = protobuf.parse(schema.schema, root, { keepCase: true });
  const top = parsed.package ? (root.lookup(parsed.package) as protobuf.Namespace) : root;
  root.resolveAll();
  // A package may be shared with its references: only the types of this text count.
  const own = new protobuf.Root();
  protobuf.parse(schema.schema, own, { keepCase: true });
  const ownTop = parsed.package ? (own.lookup(parsed.package) as protobuf.Namespace) : own;
  return payload => {
    const at = { offset: 0 };
    const count = readVarint(payload, at);
    const path = count === 0 ? [0] : Array.from({ length: count }, () => readVarint(payload, at));
    let type: protobuf.NamespaceBase = ownTop;
    const names = path.map(index => {
      const next: protobuf.Type | undefined = messagesOf(type)[index];
      if (!next) throw new Error(`the schema has no message ${path.join('.')}`);
      type = next;
      return next.name;
    });
    const message = names.reduce<protobuf.NamespaceBase>((t, name) => t.get(name) as protobuf.Type, top);
    const decoded = (message as protobuf.Type).decode(payload.subarray(at.offset));
    return (message as protobuf.Type).toObject(decoded, { longs: String, enums: String, defaults: true });
  };
}

/** A registry over HTTP. Each schema is fetched and compiled once. */
export function openRegistry(options: NonNullable<KafkaSourceOptions['registry']>): SchemaRegistry {
  const base = options.url.replace(/\/+$/, '');
  const readers = new Map<number, ReadPayload | { readonly reason: string; readonly until: number }>();
  const headers: Record<string, string> = {
    accept: 'application/vnd.schemaregistry.v1+json, application/json',
  };
  if (options.username !== undefined) {
    const login = Buffer.from(`${options.username}:${options.password ?? ''}`).toString('base64');
    headers.authorization = `Basic ${login}`;
  }

  /** The JSON at a path; `undefined` for one that the registry does not know. */
  async function get(path: string): Promise<Schema | undefined> {
    const where = `schema registry ${base}${path}`;
    let response: Response;
    try {
      response = await fetch(base + path, { headers, signal: AbortSignal.timeout(options.timeoutMs) });
    } catch (cause) {
      const reason = ((cause as Error).cause as Error | undefined)?.message ?? (cause as Error).message;
      throw new StageError('SOURCE_UNREADABLE', `${where}: expected an answer, found: ${reason}`, { cause });
    }
    if (response.status === 404) return undefined;
    if (!response.ok) throw new StageError('SOURCE_UNREADABLE', `${where}: answered ${response.status}`);
    return (await response.json()) as Schema;
  }

  /** The texts that a schema refers to, each behind those that it refers to itself. */
  async function referencesOf(schema: Schema, seen: Set<string>): Promise<string[]> {
    const texts: string[] = [];
    for (const { subject, version } of schema.references ?? []) {
      const path = `/subjects/${encodeURIComponent(subject)}/versions/${version}`;
      if (seen.has(path)) continue;
      seen.add(path);
      const found = await get(path);
      if (!found)
        throw new Error(`refers to version ${version} of ${subject}, which the registry does not have`);
      texts.push(...(await referencesOf(found, seen)), found.schema);
    }
    return texts;
  }

  async function load(id: number): Promise<ReadPayload> {
    const schema = await get(`/schemas/ids/${id}`);
    if (!schema) throw new Error('is not in the registry');
    const references = await referencesOf(schema, new Set());
    const kind = schema.schemaType ?? 'AVRO';
    if (kind === 'AVRO') return avroReader(schema, references);
    if (kind === 'PROTOBUF') return protobufReader(schema, references);
    return payload => JSON.parse(payload.toString());
  }

  return {
    async prepare(ids) {
      for (const id of ids) {
        const known = readers.get(id);
        if (typeof known === 'function' || (known && known.until > Date.now())) continue;
        try {
          readers.set(id, await load(id));
        } catch (error) {
          if (error instanceof StageError) throw error;
          const reason = `schema ${id} ${(error as Error).message.split('\n')[0]}`;
          readers.set(id, { reason, until: Date.now() + unknownForMs });
        }
      }
    },
    reader(id) {
      const known = readers.get(id);
      if (typeof known === 'function') return known;
      return known?.reason ?? `schema ${id} was not fetched`;
    },
  };
}
