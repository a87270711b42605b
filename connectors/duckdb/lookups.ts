import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DuckDBConnection } from './client.js';
import { all, scalar, streamRows } from './database.js';
import { readLookup, writeLookup } from './lookup-file.js';
import { packHistories, unpackHistories } from './packed-histories.js';

/** Tables that have a lookup file: rows of X by user, and ids by key. */
export type Looked = 'interactions' | 'users' | 'items';

/** A registered file. Those of keys have the ids below `below`; those of rows, the users in [first, below). */
export interface LookupRange {
  readonly file: string;
  readonly first: number;
  readonly below: number;
  /** Blocks in the file. Of rows, the last one is that of the user `below` − 1. */
  readonly blocks: number;
  /** Keys or rows; of a file whose leading part is no longer in use, those of that part too. */
  readonly entries: number;
}

/** The registered files, by ascending `first`. */
export type Registered = Readonly<Record<Looked, readonly LookupRange[]>>;

/** Keys in one block, on average. */
const keysOfBlock = 8;
const blockOf = (key: string, blocks: number): string => `(md5_number_lower(${key}) % ${blocks})::INTEGER`;

async function* packKeys(
  connection: DuckDBConnection,
  table: Looked,
  blocks: number,
): AsyncGenerator<[number, Uint8Array]> {
  const sql = `SELECT ${blockOf('key', blocks)} AS block, id, key FROM ${table} ORDER BY block`;
  let [block, parts]: [number, Buffer[]] = [-1, []];
  for await (const { chunk, rows } of streamRows(connection, sql, 3)) {
    const [numbers, ids, keys] = [0, 1, 2].map(c => chunk.getColumnVector(c));
    for (let r = 0; r < rows; r++) {
      const number = numbers!.getItem(r) as number;
      if (number !== block && parts.length > 0) yield [block, Buffer.concat(parts.splice(0))];
      block = number;
      const key = Buffer.from(keys!.getItem(r) as string);
      const head = Buffer.alloc(6);
      head.writeInt32LE(ids!.getItem(r) as number, 0);
      head.writeUInt16LE(key.length, 4);
      parts.push(head, key);
    }
  }
  if (parts.length > 0) yield [block, Buffer.concat(parts)];
}

/** The id of `key` in a block. */
function findKey(bytes: Uint8Array, key: Buffer): number | undefined {
  const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < block.length; ) {
    const length = block.readUInt16LE(at + 4);
    if (block.subarray(at + 6, at + 6 + length).equals(key)) return block.readInt32LE(at);
    at += 6 + length;
  }
  return undefined;
}

/**
 * Files beside the database in which a fold finds the rows of its users and the ids of its keys without a scan. They are
 * derived: made of rows that do not change under them, registered in the transaction that settles those, and where one is
 * missing or damaged, the table is read instead.
 */
export class Lookups {
  /** `rangeRows` rows are sorted at once, some 100 MB, and have a file: a fold waits for one of them. */
  constructor(
    readonly directory: string,
    readonly rangeRows = 1_000_000,
  ) {}

  async registered(connection: DuckDBConnection): Promise<Registered> {
    const found: Record<Looked, LookupRange[]> = { interactions: [], users: [], items: [] };
    for (const { name, file, ...sizes } of await all(connection, 'SELECT * FROM lookups ORDER BY first')) {
      const [first, below, blocks, entries] = Object.values(sizes).map(Number);
      found[name as Looked].push({
        file: String(file),
        first: first!,
        below: below!,
        blocks: blocks!,
        entries: entries!,
      });
    }
    return found;
  }

  /** Blocks of a file. One that is missing or damaged is no longer registered, so that a merge makes it anew. */
  async #read(
    connection: DuckDBConnection,
    file: string,
    numbers: readonly number[],
  ): Promise<Uint8Array[] | undefined> {
    const blocks = readLookup(join(this.directory, file), numbers);
    if (!blocks) await connection.run('DELETE FROM lookups WHERE file = ?', [file]);
    return blocks;
  }

  /**
   * Makes the temporary table `known` of the rows that `interactions` has of the users in `touched`, which ascend: from
   * the files of their ranges, and from the table where there is none. With `items`, those of other items may be missing.
   */
  async findRows(
    connection: DuckDBConnection,
    { interactions: files }: Registered,
    touched: Int32Array,
    items?: ReadonlySet<number>,
  ): Promise<void> {
    const [users, blocks]: [number[], Uint8Array[]] = [[], []];
    const unfound: string[] = [];
    for (let [at, k] = [0, 0]; at < touched.length; ) {
      while (k < files.length && files[k]!.below <= touched[at]!) k++;
      const file = files[k];
      const covered = file !== undefined && file.first <= touched[at]!;
      const end = covered ? file.below : (file?.first ?? 2 ** 31);
      const from = at;
      while (at < touched.length && touched[at]! < end) at++;
      const own = touched.subarray(from, at);
      const base = covered ? file.below - file.blocks : 0;
      const found = covered
        ? await this.#read(
            connection,
            file.file,
            Array.from(own, user => user - base),
          )
        : undefined;
      if (found) {
        users.push(...own);
        blocks.push(...found);
      } else unfound.push(`"user" BETWEEN ${own[0]} AND ${own.at(-1)}`);
    }
    await unpackHistories(connection, users, blocks, items);
    for (const where of unfound)
      await connection.run(
        `INSERT INTO known SELECT * FROM interactions SEMI JOIN touched USING ("user") WHERE ${where}`,
      );
  }

  /** Makes the temporary table `found` (key, id) of the keys of `wanted`, `most` at most, that `users` or `items` has. */
  async findIds(
    connection: DuckDBConnection,
    files: Registered,
    name: 'users' | 'items',
    wanted: string,
    most: number,
  ): Promise<void> {
    const scan = `SELECT key, id FROM ${name} SEMI JOIN (${wanted}) USING (key)`;
    const make = (sql: string) => connection.run(`CREATE OR REPLACE TEMP TABLE found AS ${sql}`);
    const [file] = files[name];
    // Many keys are found faster by a join.
    if (!file || most * 16 > file.below) return void (await make(scan));
    const rows = await all<{ key: string; block: number }>(
      connection,
      `SELECT key, ${blockOf('key', file.blocks)} AS block FROM (${wanted})`,
    );
    const blocks = await this.#read(
      connection,
      file.file,
      rows.map(r => r.block),
    );
    if (!blocks) return void (await make(scan));
    const ids = rows.flatMap(({ key }, k) => {
      const id = findKey(blocks[k]!, Buffer.from(key));
      return id === undefined ? [] : [{ key, id }];
    });
    await connection.run(
      `CREATE OR REPLACE TEMP TABLE found AS ${scan} WHERE id >= ${file.below}
       UNION ALL SELECT unnest(from_json(?, '[{"key": "VARCHAR", "id": "INTEGER"}]'), recursive := true)`,
      [JSON.stringify(ids)],
    );
  }

  /** Makes the file of all keys of a table; part of the caller's transaction. */
  async buildKeys(connection: DuckDBConnection, name: 'users' | 'items'): Promise<void> {
    const below = Number(await scalar(connection, `SELECT coalesce(max(id) + 1, 0) FROM ${name}`));
    const blocks = Math.max(1, Math.ceil(below / keysOfBlock));
    await connection.run('DELETE FROM lookups WHERE name = ?', [name]);
    await this.#write(connection, name, [0, below], blocks, below, packKeys(connection, name, blocks));
  }

  /** Makes the file of the users in [first, below) from the sorted `rows`; part of the caller's transaction. */
  async buildRows(connection: DuckDBConnection, rows: string, first: number, below: number): Promise<void> {
    // Of a file that begins here the part behind `below` stays in use.
    await connection.run(
      `DELETE FROM lookups WHERE name = 'interactions' AND first >= ${first} AND below <= ${below}`,
    );
    await connection.run(
      `UPDATE lookups SET first = ${below} WHERE name = 'interactions' AND first >= ${first} AND first < ${below}`,
    );
    const entries = Number(await scalar(connection, `SELECT count(*) FROM ${rows}`));
    const content = packHistories(connection, rows, first);
    await this.#write(connection, 'interactions', [first, below], below - first, entries, content);
  }

  async #write(
    connection: DuckDBConnection,
    name: Looked,
    [first, below]: readonly [number, number],
    blocks: number,
    entries: number,
    content: AsyncIterable<readonly [number, Uint8Array]>,
  ): Promise<void> {
    const file = `${randomUUID()}.lookup`;
    await writeLookup(join(this.directory, file), blocks, content);
    await connection.run('INSERT INTO lookups VALUES (?, ?, ?, ?, ?, ?)', [
      name,
      file,
      first,
      below,
      blocks,
      entries,
    ]);
  }

  /** Removes files that are not registered: what a crash has left, and what was replaced. */
  async tidy(connection: DuckDBConnection): Promise<void> {
    if (!existsSync(this.directory)) return;
    const registered = new Set((await all(connection, 'SELECT file FROM lookups')).map(r => String(r.file)));
    for (const name of readdirSync(this.directory))
      if (/\.lookup(\.tmp)?$/.test(name) && !registered.has(name))
        rmSync(join(this.directory, name), { force: true });
  }
}
