import { createClient, RESP_TYPES } from '@redis/client';
import { open } from 'lmdb';

/** Lists as the publisher stored them. */
export interface Feeds {
  /** The version that is served. */
  version(): Promise<string | undefined>;
  /** The stored JSON of a list, as bytes: it is passed on as it is. */
  list(version: string, kind: 'u' | 'i', id: string): Promise<Buffer | undefined>;
  close(): Promise<void>;
}

/** Reads `<prefix>:current[:<alias>]` and lists in Redis or Valkey. */
export async function redisFeeds(url: string, prefix: string, alias?: string): Promise<Feeds> {
  const client = await createClient({ url })
    .on('error', () => undefined) // every read that fails says so itself
    .connect();
  const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  return {
    version: async () => (await client.get(pointer(prefix, alias))) ?? undefined,
    list: async (version, kind, id) => (await bytes.get(`${prefix}:${version}:${kind}:${id}`)) ?? undefined,
    close: async () => client.destroy(),
  };
}

/** Reads the same keys in an LMDB environment, which the publisher may be writing to meanwhile. */
export async function lmdbFeeds(path: string, prefix: string, alias?: string): Promise<Feeds> {
  const settings = { encoding: 'json', keyEncoding: 'binary', readOnly: true } as const;
  const db = open<string, Uint8Array>(path, settings);
  return {
    version: async () => db.get(Buffer.from(pointer(prefix, alias))),
    list: async (version, kind, id) => db.getBinary(Buffer.from(`${prefix}:${version}:${kind}:${id}`)),
    close: () => db.close(),
  };
}

const pointer = (prefix: string, alias: string | undefined): string =>
  alias === undefined || alias === 'champion' ? `${prefix}:current` : `${prefix}:current:${alias}`;
