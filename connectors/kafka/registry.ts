import { StageError } from '../../src/errors.js';
import { firstLine } from '../../src/mapping/undecodable.js';
import { parseExactJson } from '../../src/stages/number.js';
import { avroReader } from './avro.js';
import { describeId } from './framing.js';
import type { KafkaSourceOptions } from './options.js';
import { protobufReader } from './protobuf.js';

/** Reads the payload behind a schema id; throws when the bytes do not fit the schema. */
export type ReadPayload = (payload: Buffer) => unknown;

/** Schemas by id, as a Confluent-compatible registry serves them. */
export interface SchemaRegistry {
  /** Fetches the schemas that are not known yet. `SOURCE_UNREADABLE` when the registry does not answer. */
  prepare(ids: Iterable<number>): Promise<void>;
  /** The reader of a prepared schema; a text says why there is none. */
  reader(id: number): ReadPayload | string;
  /** What enumerations of the schemas call an operation; `undefined` for none. */
  readonly symbols: ReadonlyMap<string, string | undefined>;
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

function jsonObject(text: string): Record<string, unknown> | undefined {
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === 'object' && found !== null ? (found as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Where a registry is, without a slash at the end, and the headers of a request. A login in its URL becomes a header: a
 * request refuses such a URL, and messages name it.
 */
export function addressOf(options: NonNullable<KafkaSourceOptions['registry']>) {
  const url = new URL(options.url);
  const { username = decodeURIComponent(url.username), password = decodeURIComponent(url.password) } =
    options;
  [url.username, url.password] = ['', ''];
  const login = Buffer.from(`${username}:${password}`).toString('base64');
  const headers: Readonly<Record<string, string>> = {
    accept: 'application/vnd.schemaregistry.v1+json, application/json',
    ...(username === '' ? {} : { authorization: `Basic ${login}` }),
  };
  return { base: url.href.replace(/\/+$/, ''), headers };
}

/**
 * The schema at a path; `undefined` for one that the registry says it does not know. Any other answer, such as the
 * page of a proxy, is an outage: `SOURCE_UNREADABLE`.
 */
async function fetchSchema(
  { base, headers }: ReturnType<typeof addressOf>,
  path: string,
  timeoutMs: number,
): Promise<Schema | undefined> {
  const where = `schema registry ${base}${path}`;
  let status: number;
  let text: string;
  try {
    const response = await fetch(base + path, { headers, signal: AbortSignal.timeout(timeoutMs) });
    status = response.status;
    text = await response.text();
  } catch (cause) {
    const reason = ((cause as Error).cause as Error | undefined)?.message ?? (cause as Error).message;
    throw new StageError('SOURCE_UNREADABLE', `${where}: expected an answer, found: ${reason}`, { cause });
  }
  if (status !== 404 && (status < 200 || status > 299))
    throw new StageError('SOURCE_UNREADABLE', `${where}: answered ${status}`);
  const found = jsonObject(text);
  if (status === 404 && found) return undefined;
  if (typeof found?.schema === 'string') return found as unknown as Schema;
  throw new StageError(
    'SOURCE_UNREADABLE',
    `${where}: answered ${status} with no schema, but ${JSON.stringify(text.slice(0, 40))}`,
  );
}

/** A registry over HTTP. Each schema is fetched and compiled once. */
export function openRegistry(options: NonNullable<KafkaSourceOptions['registry']>): SchemaRegistry {
  const address = addressOf(options);
  const get = (path: string) => fetchSchema(address, path, options.timeoutMs);
  const readers = new Map<number, ReadPayload | { readonly reason: string; readonly until: number }>();
  const symbols = new Map<string, string | undefined>();

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
    if (id <= 0) throw new Error(describeId(id, options.idBytes));
    const schema = await get(`/schemas/ids/${id}`);
    if (!schema) throw new Error('is not in the registry');
    const references = await referencesOf(schema, new Set());
    const kind = schema.schemaType ?? 'AVRO';
    if (kind === 'AVRO') return avroReader(schema.schema, references);
    if (kind === 'PROTOBUF') return protobufReader(schema.schema, references, symbols);
    return payload => parseExactJson(payload.toString());
  }

  return {
    symbols,
    async prepare(ids) {
      for (const id of ids) {
        const known = readers.get(id);
        if (typeof known === 'function' || (known && known.until > Date.now())) continue;
        try {
          readers.set(id, await load(id));
        } catch (error) {
          if (error instanceof StageError) throw error;
          const reason = `schema ${id} ${firstLine(error)}`;
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
