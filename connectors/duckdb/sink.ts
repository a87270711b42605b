import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ErasedIds, ForgottenLists } from '../../src/contracts/erasure.js';
import type {
  Amendment,
  ListKind,
  Publication,
  RankedList,
  Sink,
  SinkVersion,
} from '../../src/contracts/sink.js';
import { hasDied, mayFollow } from '../../src/publish/lease.js';
import type { Access, Draft, ListStore, Move } from '../../src/publish/list-store.js';
import {
  assertExpected,
  leaseLost,
  notComplete,
  Refusal,
  type StoredPublication,
  sinkVersion,
} from '../../src/publish/sink-steps.js';
import { createVersionedSink, rankedForm } from '../../src/publish/versioned-sink.js';
import type { DuckDBConnection } from './client.js';
import { all, literal, openDatabase, type Row, scalar, transaction } from './database.js';
import { beginDraft, clearScratch } from './draft.js';
import { leaveFreePages } from './free-pages.js';
import { appendLists, listColumns } from './list-rows.js';
import { madeFor, placeFile, removeMade } from './place.js';
import { ampleRoom, limitsOf, type Room } from './room.js';
import { type DuckdbSinkOptions, duckdbSinkOptions } from './sink-options.js';
import { openWarehouse } from './warehouse.js';

export { type DuckdbSinkOptions, duckdbSinkOptions };

/** The version's own rows, and those of single lists, while they are taken over: no table may have such a name. */
const [written, amended] = ['written lists', 'amended lists'];
const columns = 'kind, id, rank, item, score, fallback';

/** A name as SQL takes it, whatever word it is. */
const name = (text: string): string => `"${text}"`;

/**
 * Lists as rows of a DuckDB table `lists(kind, id, rank, item, score, version, fallback)`, rank from 1; an empty list has no row.
 * `lists_pointers(alias, version)` names the versions to read. The database is opened for each step and let go of.
 */
export function createDuckdbSink(options: DuckdbSinkOptions, room = ampleRoom): Sink {
  const where = `DuckDB ${options.database}, table ${options.table}`;
  return createVersionedSink(
    { name: 'duckdb', where, options, form: rankedForm },
    new TableLists(options, room),
  );
}

/** What the table of versions tells of one; earlier programs did not store the number of its rows. */
type StoredRows = StoredPublication & { readonly rows?: number };

/** The versions in one table. */
class TableLists implements ListStore<readonly RankedList[]> {
  readonly renewsAlone = true;
  readonly #database: string;
  readonly #setup: readonly string[] | undefined;
  readonly #leaseMs: number;
  readonly #room: Room;
  readonly #lists: string;
  readonly #versions: string;
  readonly #pointers: string;
  readonly #lease: string;
  /** Beginning of the names of files in which rows wait. */
  readonly #scratch: string;
  #access: Access = 'write';

  constructor({ database, setup, table, leaseMs }: DuckdbSinkOptions, room: Room) {
    this.#database = database;
    this.#setup = setup;
    this.#leaseMs = leaseMs;
    this.#room = room;
    this.#lists = name(table);
    this.#versions = name(`${table}_versions`);
    this.#pointers = name(`${table}_pointers`);
    this.#lease = name(`${table}_lease`);
    this.#scratch = `${database}.${table}.writing-`;
  }

  /** Runs `body` in one transaction on the database, open for that long. `scratch` is attached as `written`. */
  async #on<T>(body: (c: DuckDBConnection) => Promise<T>, scratch?: string): Promise<T> {
    const { connection, release } = await openWarehouse(this.#database, {
      mode: this.#access,
      room: this.#room,
      setup: this.#setup,
    });
    try {
      if (scratch !== undefined)
        await connection.run(`ATTACH ${literal(scratch)} AS ${name(written)} (READ_ONLY)`);
      const result = await transaction(connection, () => body(connection));
      if (scratch !== undefined) await connection.run(`DETACH ${name(written)}`);
      return result;
    } finally {
      await release();
    }
  }

  async open(access: Access, owner?: string): Promise<boolean> {
    this.#access = access;
    if (access === 'read') return existsSync(this.#database) && this.#on(c => this.#isThere(c));
    if (!existsSync(this.#database)) {
      mkdirSync(dirname(this.#database), { recursive: true });
      // several sinks may make the file at the same time
      const made = madeFor(this.#database);
      (await openDatabase(made, limitsOf(this.#room))).closeSync();
      placeFile(made, this.#database);
    }
    removeMade(this.#database);
    await this.#on(async c => {
      await c.run(`CREATE TABLE IF NOT EXISTS ${this.#lists} (${listColumns}, version VARCHAR);
        ALTER TABLE ${this.#lists} ADD COLUMN IF NOT EXISTS fallback BOOLEAN;
        CREATE TABLE IF NOT EXISTS ${this.#versions} (version VARCHAR, manifest VARCHAR);
        CREATE TABLE IF NOT EXISTS ${this.#pointers} (alias VARCHAR, version VARCHAR);
        CREATE TABLE IF NOT EXISTS ${this.#lease} (owner VARCHAR, until BIGINT);`);
      const holder = await scalar(c, `SELECT owner FROM ${this.#lease}`);
      if (holder === undefined || !hasDied(String(holder), owner)) return;
      // Nobody can have begun since: that takes the lease, in this database.
      clearScratch(this.#database, this.#scratch);
      await c.run(`DELETE FROM ${this.#lease}`);
    });
    return true;
  }

  /** Whether a sink has made its tables, which it makes at once. */
  async #isThere(c: DuckDBConnection): Promise<boolean> {
    const tables = await all(c, 'SELECT table_name AS name FROM duckdb_tables()');
    return tables.some(t => name(String(t.name)) === this.#pointers);
  }

  close = async () => undefined;

  takeLease(holder: string): Promise<string | undefined> {
    return this.#on(async c => {
      const [found] = await all(c, `SELECT owner, until FROM ${this.#lease}`);
      const runs = found !== undefined && Number(found.until) > Date.now();
      if (runs && !mayFollow(String(found.owner), holder)) return String(found.owner);
      await c.run(`DELETE FROM ${this.#lease}`);
      await c.run(`INSERT INTO ${this.#lease} VALUES (?, ?)`, [holder, this.#until()]);
      return undefined;
    });
  }

  renewLease = (holder: string) => this.#on(c => this.#renew(c, holder));

  /** False once somebody else has taken the lease: one that has run out is still its holder's own. */
  async #renew(c: DuckDBConnection, holder: string): Promise<boolean> {
    const renewal = `UPDATE ${this.#lease} SET until = ? WHERE owner = ?`;
    const count = await scalar(c, renewal, [this.#until(), holder]);
    return Number(count) > 0;
  }

  #until(): bigint {
    return BigInt(Date.now() + this.#leaseMs);
  }

  async releaseLease(holder: string): Promise<void> {
    await this.#on(c => c.run(`DELETE FROM ${this.#lease} WHERE owner = ?`, [holder]));
  }

  /** The rows wait in a file of their own, so that the database is free meanwhile. */
  async begin(_target: string, _: Publication, holder: string): Promise<Draft<readonly RankedList[]>> {
    clearScratch(this.#database, this.#scratch);
    return beginDraft(this.#scratch + randomUUID(), this.#room, (scratch, manifest, rows) =>
      this.#on(c => this.#takeOver(c, holder, manifest, rows), scratch),
    );
  }

  /** Takes all rows of a version over from `written`, with its manifest. */
  async #takeOver(
    c: DuckDBConnection,
    holder: string,
    manifest: StoredPublication,
    rows: number,
  ): Promise<void> {
    if (!(await this.#renew(c, holder))) throw leaseLost();
    const { version } = manifest;
    const from = `SELECT ${columns}, ${literal(version)} FROM ${name(written)}.lists`;
    const count = await scalar(c, `INSERT INTO ${this.#lists} (${columns}, version) ${from}`);
    if (Number(count) !== rows)
      throw new Refusal(
        `${count} of ${rows} rows of version ${version} came back from the disk; publish again`,
      );
    const stored: StoredRows = { ...manifest, rows };
    await c.run(`INSERT INTO ${this.#versions} VALUES (?, ?)`, [version, JSON.stringify(stored)]);
    // That may have taken longer than a lease lasts; nobody else could have the file meanwhile.
    await c.run(`UPDATE ${this.#lease} SET until = ?`, [this.#until()]);
  }

  versions = () => this.#on(c => this.#held(c));
  pointers = () => this.#on(c => this.#named(c));
  current = async (alias: string) => (await this.pointers()).get(alias);

  async #held(c: DuckDBConnection): Promise<SinkVersion[]> {
    const rows = await all(c, `SELECT manifest FROM ${this.#versions} ORDER BY version`);
    return rows.map(r => sinkVersion(JSON.parse(String(r.manifest)) as StoredPublication));
  }

  async #named(c: DuckDBConnection): Promise<Map<string, string>> {
    const rows = await all(c, `SELECT alias, version FROM ${this.#pointers} ORDER BY alias`);
    return new Map(rows.map(r => [String(r.alias), String(r.version)]));
  }

  /** The manifest of a complete version. */
  async #manifest(c: DuckDBConnection, version: string): Promise<StoredRows> {
    const text = await scalar(c, `SELECT manifest FROM ${this.#versions} WHERE version = ?`, [version]);
    if (text === undefined) throw notComplete(version);
    return JSON.parse(String(text)) as StoredRows;
  }

  /** Replaces the manifest of a complete version whose rows have changed. */
  async #note(c: DuckDBConnection, manifest: StoredPublication): Promise<void> {
    const { version } = manifest;
    const stored: StoredRows = { ...manifest, rows: await this.#rows(c, version) };
    await c.run(`UPDATE ${this.#versions} SET manifest = ? WHERE version = ?`, [
      JSON.stringify(stored),
      version,
    ]);
  }

  async #rows(c: DuckDBConnection, version: string): Promise<number> {
    return Number(await scalar(c, `SELECT count(*) FROM ${this.#lists} WHERE version = ?`, [version]));
  }

  async point({ alias, version, expected, holder }: Move): Promise<void> {
    await this.#on(async c => {
      if (holder !== undefined && !(await this.#renew(c, holder))) throw leaseLost();
      const { rows = 0 } = await this.#manifest(c, version);
      const found = await this.#rows(c, version);
      if (found < rows)
        throw new Refusal(`version ${version} has ${found} of its ${rows} rows; publish it again`);
      assertExpected(alias, (await this.#named(c)).get(alias), version, expected);
      await c.run(`DELETE FROM ${this.#pointers} WHERE alias = ?`, [alias]);
      await c.run(`INSERT INTO ${this.#pointers} VALUES (?, ?)`, [alias, version]);
    });
  }

  async amend(version: string, kind: ListKind, { lists, gone, change }: Amendment): Promise<void> {
    const these = `version = ${literal(version)} AND kind = ${literal(kind)}`;
    await this.#on(async c => {
      const manifest = await this.#manifest(c, version);
      const ids = [...gone, ...lists.map(list => list.id)].map(literal).join();
      if (ids) await c.run(`DELETE FROM ${this.#lists} WHERE ${these} AND id IN (${ids})`);
      await c.run(`CREATE OR REPLACE TEMP TABLE ${name(amended)} (${listColumns})`);
      await appendLists(c, amended, kind, lists);
      const from = `SELECT ${columns}, ${literal(version)} FROM ${name(amended)}`;
      await c.run(`INSERT INTO ${this.#lists} (${columns}, version) ${from}`);
      const count = await scalar(c, `SELECT count(DISTINCT id) FROM ${this.#lists} WHERE ${these}`);
      const counts = { ...manifest.lists, [kind]: Number(count) };
      await this.#note(c, { ...manifest, lists: counts, ...(change === undefined ? {} : { change }) });
    });
  }

  /** Deletes in all versions, and writes the database into a new file, which leaves its free pages behind. */
  async forget({ users, items }: ErasedIds): Promise<ForgottenLists> {
    clearScratch(this.#database, this.#scratch);
    const among = (ids: readonly string[]) => `IN (${['NULL', ...ids.map(literal)].join()})`;
    const total = await this.#on(async c => {
      const remove = (where: string) =>
        all(c, `DELETE FROM ${this.#lists} WHERE ${where} RETURNING version, kind, id`);
      const key = (r: Row) => JSON.stringify([r.version, r.kind, r.id]);
      const kinds = `kind = 'users' AND id ${among(users)} OR kind = 'items' AND id ${among(items)}`;
      const deleted = new Map((await remove(kinds)).map(r => [key(r), r]));
      const rewritten = new Set((await remove(`item ${among(items)}`)).map(key));
      if (rewritten.size > 0)
        await c.run(`UPDATE ${this.#lists} t SET rank = n.rank FROM (
          SELECT rowid AS row, row_number() OVER (PARTITION BY version, kind, id ORDER BY rank) AS rank
          FROM ${this.#lists}) n WHERE t.rowid = n.row AND t.rank <> n.rank`);
      for (const { version, lists } of await this.#held(c)) {
        const gone = [...deleted.values()].filter(r => r.version === version);
        const count = (kind: ListKind) => lists[kind] - gone.filter(r => r.kind === kind).length;
        const counts = { users: count('users'), items: count('items') };
        await this.#note(c, { ...(await this.#manifest(c, version)), lists: counts });
      }
      return { deleted: deleted.size, rewritten: rewritten.size };
    });
    return {
      ...total,
      remains: await leaveFreePages(this.#database, this.#scratch + randomUUID(), this.#room),
    };
  }

  async remove(versions: readonly string[]): Promise<void> {
    await this.#on(async c => {
      const named = new Set((await this.#named(c)).values());
      for (const version of versions.filter(v => !named.has(v))) {
        await c.run(`DELETE FROM ${this.#lists} WHERE version = ?`, [version]);
        await c.run(`DELETE FROM ${this.#versions} WHERE version = ?`, [version]);
      }
    });
  }
}
