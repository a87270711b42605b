import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DuckDBConnection } from './client.js';
import { all, scalar, streamRows } from './database.js';
import { readLookup, writeLookup } from './lookup-file.js';
import { packHistories, unpackHistories } from './packed-histories.js';

/** Tables that have a lookup file: rows of X by user, and ids by key. */
export type Looked = 'interactions' | 'users' | 'items';

/** A registered file, and the ids it was made of: those below `below`. */
interface Registered {
  readonly path: string;
  readonly below: number;
  /** Blocks in the file. */
  readonly blocks: number;
}

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
 * derived: made of tables that do not change under them, registered in the transaction that makes those, and where one is
 * missing or damaged, the table is read instead.
 */
export class Lookups {
  constructor(readonly directory: string) {}

  async #registered(connection: DuckDBConnection, name: Looked): Promise<Registered | undefined> {
    const [row] = await all(connection, 'SELECT file, below, blocks FROM lookups WHERE name = ?', [name]);
    if (!row) return undefined;
    return {
      path: join(this.directory, String(row.file)),
      below: Number(row.below),
      blocks: Number(row.blocks),
    };
  }

  /** Whether X has its file. */
  async there(connection: DuckDBConnection): Promise<boolean> {
    return (await this.#registered(connection, 'interactions')) !== undefined;
  }

  /** Makes the temporary table `known` of the rows that `interactions` has of the users in `touched`. */
  async findRows(connection: DuckDBConnection, touched: Int32Array): Promise<void> {
    const file = await this.#registered(connection, 'interactions');
    const blocks = file && readLookup(file.path, [...touched]);
    if (!blocks) {
      await connection.run(
        'CREATE OR REPLACE TEMP TABLE known AS SELECT * FROM interactions SEMI JOIN touched USING ("user")',
      );
      return;
    }
    await unpackHistories(connection, touched, blocks);
  }

  /** Makes the temporary table `found` (key, id) of the keys of `wanted` that `users` or `items` has. */
  async findIds(connection: DuckDBConnection, name: 'users' | 'items', wanted: string): Promise<void> {
    const scan = `SELECT key, id FROM ${name} SEMI JOIN (${wanted}) USING (key)`;
    const make = (sql: string) => connection.run(`CREATE OR REPLACE TEMP TABLE found AS ${sql}`);
    const file = await this.#registered(connection, name);
    // Many keys are found faster by a join.
    const few =
      file && Number(await scalar(connection, `SELECT count(*) FROM (${wanted})`)) * 16 < file.below;
    if (!few) return void (await make(scan));
    const rows = await all<{ key: string; block: number }>(
      connection,
      `SELECT key, ${blockOf('key', file.blocks)} AS block FROM (${wanted})`,
    );
    const blocks = readLookup(
      file.path,
      rows.map(r => r.block),
    );
    if (!blocks) return void (await make(scan));
    await make(`${scan} WHERE id >= ${file.below}`);
    const ids = rows.flatMap(({ key }, k) => {
      const id = findKey(blocks[k]!, Buffer.from(key));
      return id === undefined ? [] : [{ key, id }];
    });
    if (ids.length === 0) return;
    await connection.run(
      `INSERT INTO found SELECT r ->> 'key', (r ->> 'id')::INTEGER FROM (SELECT unnest(from_json(?, '["JSON"]')) AS r)`,
      [JSON.stringify(ids)],
    );
  }

  /** Makes the files anew; part of the caller's transaction, which has sorted `interactions` by user. */
  async build(connection: DuckDBConnection): Promise<void> {
    await connection.run('DELETE FROM lookups');
    for (const name of ['interactions', 'users', 'items'] as const) {
      const ids = name === 'interactions' ? 'users' : name;
      const below = Number(await scalar(connection, `SELECT coalesce(max(id) + 1, 0) FROM ${ids}`));
      const blocks = name === 'interactions' ? below : Math.max(1, Math.ceil(below / keysOfBlock));
      const file = `${randomUUID()}.lookup`;
      const content =
        name === 'interactions' ? packHistories(connection) : packKeys(connection, name, blocks);
      await writeLookup(join(this.directory, file), blocks, content);
      await connection.run('INSERT INTO lookups VALUES (?, ?, ?, ?)', [name, file, below, blocks]);
    }
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
