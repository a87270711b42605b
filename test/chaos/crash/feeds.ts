import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { createClient } from '@redis/client';
import { open } from 'lmdb';
import type { ListKind } from '../../../src/contracts/sink.js';

/** Lists of one kind by id: their items in order. A list without items is left out, as DuckDB has no row for it. */
export type Lists = Map<string, string>;

/** What a reader finds in a sink, read past the sink's own code. */
export interface Feed {
  readonly champion: string | undefined;
  /** Lists by version, whether it is complete or not. */
  readonly versions: Map<string, Record<ListKind, Lists>>;
  /** Lists without items, by version. */
  readonly empty: Map<string, number>;
  /** What is there beside pointers, manifests and lists. */
  readonly rest: string[];
}

/** Sinks of a world by name, each with its reader. */
export type Feeds = Map<string, Feed>;

const prefix = 'sansa';

function collect() {
  const feed = { champion: undefined as string | undefined, versions: new Map(), empty: new Map(), rest: [] };
  const result: Feed = feed;
  return {
    result,
    point: (version: string) => {
      feed.champion = version;
    },
    add(version: string, kind: ListKind, id: string, items: readonly string[]) {
      const lists = result.versions.get(version) ?? { users: new Map(), items: new Map() };
      result.versions.set(version, lists);
      if (items.length > 0) lists[kind].set(id, items.join(' '));
      else result.empty.set(version, (result.empty.get(version) ?? 0) + 1);
    },
  };
}

/** Reads the keys of the layout that LMDB and Redis share. */
function fromKeys(entries: Iterable<readonly [key: string, text: string]>): Feed {
  const { result, point, add } = collect();
  for (const [key, text] of entries) {
    const [version = '', letter, ...id] = key.slice(prefix.length + 1).split(':');
    if (version === 'current' && letter === undefined) point(text.replaceAll('"', ''));
    else if (letter === 'u' || letter === 'i') {
      const kind = letter === 'u' ? 'users' : 'items';
      add(version, kind, id.join(':'), (JSON.parse(text) as { items: string[] }).items);
    } else if (version === 'lease' || letter === 'progress') result.rest.push(key);
  }
  return result;
}

async function readLmdb(path: string): Promise<Feed> {
  if (!existsSync(path)) return collect().result;
  const db = open<Buffer, Buffer>(path, { keyEncoding: 'binary', encoding: 'binary', readOnly: true });
  try {
    const entries = [...db.getRange({})].map(e => [Buffer.from(e.key).toString(), String(e.value)] as const);
    return fromKeys(entries);
  } finally {
    await db.close();
  }
}

/** Every key of the server: the one that the command has started serves nothing else. */
async function readRedis(url: string): Promise<Feed> {
  const client = await createClient({ url }).connect();
  try {
    const keys = (await client.sendCommand(['KEYS', '*'])) as string[];
    const known = (key: string) => /^\w+:[^:]+:[ui]:|:current$/.test(key);
    const texts = await Promise.all(keys.filter(known).map(key => client.sendCommand(['GET', key])));
    const entries = keys.filter(known).map((key, k) => [key, String(texts[k])] as const);
    return fromKeys([...entries, ...keys.filter(key => !known(key)).map(key => [key, ''] as const)]);
  } finally {
    client.destroy();
  }
}

async function readDuckdb(database: string): Promise<Feed> {
  const { result, point, add } = collect();
  if (!existsSync(database)) return result;
  const instance = await DuckDBInstance.create(database, { threads: '1' });
  const connection = await instance.connect();
  try {
    const rows = async (sql: string) => (await connection.runAndReadAll(sql)).getRowsJS() as string[][];
    if ((await rows("FROM duckdb_tables() WHERE table_name = 'lists_pointers'")).length === 0) return result;
    for (const [version] of await rows("SELECT version FROM lists_pointers WHERE alias = 'champion'"))
      point(version!);
    const lists = `SELECT version, kind, id, string_agg(item, ' ' ORDER BY rank) FROM lists GROUP BY ALL`;
    for (const [version, kind, id, items] of await rows(lists))
      add(version!, kind as ListKind, id!, items!.split(' '));
    const leases = await rows('SELECT owner::VARCHAR FROM lists_lease');
    result.rest.push(...leases.map(() => 'a lease'));
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
  for (const name of readdirSync(join(database, '..')))
    if (name.startsWith('feeds.duckdb.')) result.rest.push(name);
  return result;
}

async function readFiles(directory: string): Promise<Feed> {
  const { result, point, add } = collect();
  if (!existsSync(directory)) return result;
  for (const name of readdirSync(directory)) {
    if (name === 'current') point(readFileSync(join(directory, name), 'utf8').trim());
    else if (name.startsWith('.')) result.rest.push(name);
    else
      for (const kind of ['users', 'items'] as const)
        for (const line of readFileSync(join(directory, name, `${kind}.ndjson`), 'utf8').split('\n')) {
          if (line === '') continue;
          const list = JSON.parse(line) as { id: string; items: string[] };
          add(name, kind, list.id, list.items);
        }
  }
  return result;
}

/** Reads all sinks below `directory`, and Redis where there is one. */
export async function readFeeds(directory: string, redis: string | undefined): Promise<Feeds> {
  return new Map([
    ['lmdb', await readLmdb(join(directory, 'out/feeds.lmdb'))],
    ['duckdb', await readDuckdb(join(directory, 'out/feeds.duckdb'))],
    ['files', await readFiles(join(directory, 'out/feeds'))],
    ...(redis ? ([['redis', await readRedis(redis)]] as const) : []),
  ]);
}
