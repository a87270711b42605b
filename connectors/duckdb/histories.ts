import type { ChangedUsers, Histories } from '../../src/contracts/index.js';
import type { Rows } from '../../src/matrix/rows.js';
import { observed } from '../../src/runtime/serial.js';
import type { DuckDBConnection } from './client.js';
import { all, scalar } from './database.js';
import { readKeys, readRows } from './rows.js';

/** Entries of X, and batches of users, read by one query: it sorts and holds no more. */
const entriesAtOnce = 200_000;
const batchesAtOnce = 16;

/** Where a stream gets a connection of its own. */
export interface Connecting {
  connect(): Promise<DuckDBConnection>;
}

/** Ranges from which on it is worth a fifth of the reading that DuckDB gives back what each query leaves behind. */
const manyRanges = 32;
const flushThreshold = 'allocator_bulk_deallocation_flush_threshold';

const rowsOf = (where: string): string =>
  `SELECT "user", item, value FROM matrix WHERE ${where} ORDER BY "user", item`;

/**
 * Every user's history by ascending id, `size` at a time. Users are read by ranges of ids that have some
 * 200,000 entries at most, the next range while the last one is used, so that memory does not depend on how many there are.
 */
export async function* readHistories(database: Connecting, size: number): AsyncGenerator<Histories> {
  const connection = await database.connect();
  const count = async (sql: string): Promise<number> => Number(await scalar(connection, sql));
  let ahead: Promise<Histories> | undefined;
  let many = false;
  try {
    const n = await count('SELECT count(*) FROM items');
    const end = await count('SELECT coalesce(max(id) + 1, 0) FROM users');
    const entries = await count('SELECT (SELECT count(*) FROM interactions) + (SELECT count(*) FROM recent)');
    const batches = Math.round((entriesAtOnce * end) / Math.max(1, entries) / size);
    const widest = Math.max(1, Math.min(batchesAtOnce, batches)) * size;
    many = end > manyRanges * widest;
    if (many) await connection.run(`SET ${flushThreshold} = '1MB'`);
    const read = (from: number, to: number) => readRange(connection, n, from, Math.min(end, to));
    ahead = end > 0 ? read(0, size) : undefined;
    // Nobody waits long for the first ones: each range is twice as wide as the one before.
    for (let [from, width] = [size, size]; ahead; from += width) {
      const range: Histories = await ahead;
      width = Math.min(2 * width, widest);
      ahead = from < end ? observed(read(from, from + width)) : undefined;
      for (let r = 0; r < range.keys.length; r += size)
        yield slice(range, r, Math.min(range.keys.length, r + size));
    }
  } finally {
    await ahead?.catch(() => undefined);
    if (many) await connection.run(`RESET ${flushThreshold}`).catch(() => undefined);
    connection.closeSync();
  }
}

/** The histories of the users with ids in [from, to) that have one. */
async function readRange(
  connection: DuckDBConnection,
  n: number,
  from: number,
  to: number,
): Promise<Histories> {
  const rows = await readRows(connection, rowsOf(`"user" >= ${from} AND "user" < ${to}`), n, { few: true });
  const { ids, keys } = await readKeys(connection, 'users', from, to);
  let k = 0;
  const found = Array.from(rows.users, user => {
    while (ids[k]! < user) k++;
    return keys[k]!;
  });
  return { keys: found, rows };
}

/** Users r … to − 1 of some histories; rows share their entries. */
function slice({ keys, rows }: Histories, r: number, to: number): Histories {
  const [first, last] = [rows.indptr[r]!, rows.indptr[to]!];
  const part: Rows = {
    n: rows.n,
    users: rows.users.slice(r, to),
    indptr: Int32Array.from({ length: to - r + 1 }, (_, k) => rows.indptr[r + k]! - first),
    indices: rows.indices.slice(first, last),
    values: rows.values?.slice(first, last),
  };
  return { keys: keys.slice(r, to), rows: part };
}

/** The users with a change after `since`, by key, `size` at a time; a user without entries is gone. */
export async function* readChanged(
  database: Connecting,
  since: number,
  size: number,
): AsyncGenerator<ChangedUsers> {
  const connection = await database.connect();
  try {
    const n = Number(await scalar(connection, 'SELECT count(*) FROM items'));
    for (let last: string | undefined; ; ) {
      const page = await all<{ key: string; id: number | null }>(
        connection,
        `SELECT DISTINCT c.key, u.id FROM changes c LEFT JOIN users u ON u.key = c.key
         WHERE c.key IS NOT NULL AND c.change > ?${last === undefined ? '' : ' AND c.key > ?'} ORDER BY c.key LIMIT ${size}`,
        last === undefined ? [BigInt(since)] : [BigInt(since), last],
      );
      if (page.length === 0) return;
      last = page.at(-1)!.key;
      const ids = page.flatMap(p => (p.id === null ? [] : [p.id]));
      const rows = await readRows(
        connection,
        rowsOf(`"user" IN (${ids.length > 0 ? ids.join() : 'NULL'})`),
        n,
        { few: true },
      );
      const key = new Map(page.map(p => [p.id, p.key]));
      const keys = Array.from(rows.users, user => key.get(user)!);
      const there = new Set(keys);
      yield { keys, rows, gone: page.map(p => p.key).filter(k => !there.has(k)) };
    }
  } finally {
    connection.closeSync();
  }
}
