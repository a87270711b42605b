import { existsSync, rmSync } from 'node:fs';
import type {
  Amendment,
  ListKind,
  Publication,
  RankedList,
  Sink,
  SinkVersion,
} from '../../src/contracts/sink.js';
import type { Draft, ListStore } from '../../src/publish/list-store.js';
import {
  assertExpected,
  leaseLost,
  notComplete,
  type StoredPublication,
  sinkVersion,
} from '../../src/publish/sink-steps.js';
import { createVersionedSink, rankedForm } from '../../src/publish/versioned-sink.js';
import { type DuckDBConnection, DuckDBInstance } from './client.js';
import { all, literal, openDatabase, scalar, transaction } from './database.js';
import { appendLists, listColumns } from './list-rows.js';
import { type DuckdbSinkOptions, duckdbSinkOptions } from './sink-options.js';
import { attachWarehouse } from './warehouse.js';

export { type DuckdbSinkOptions, duckdbSinkOptions };

/**
 * Lists as rows of a DuckDB table `lists(kind, id, rank, item, score, version)`, rank from 1; an empty list has no row.
 * `lists_pointers(alias, version)` names the versions to read. The database is opened for each step and let go of.
 */
export function createDuckdbSink(options: DuckdbSinkOptions): Sink {
  const where = `DuckDB ${options.database}, table ${options.table}`;
  return createVersionedSink({ name: 'duckdb', where, options, form: rankedForm }, new TableLists(options));
}

/** The versions in one table. */
class TableLists implements ListStore<readonly RankedList[]> {
  readonly #database: string;
  readonly #leaseMs: number;
  readonly #lists: string;
  readonly #versions: string;
  readonly #pointers: string;
  readonly #lease: string;

  constructor({ database, table, leaseMs }: DuckdbSinkOptions) {
    this.#database = database;
    this.#leaseMs = leaseMs;
    this.#lists = table;
    this.#versions = `${table}_versions`;
    this.#pointers = `${table}_pointers`;
    this.#lease = `${table}_lease`;
  }

  /** Runs `body` in one transaction on the database, open for that long. `scratch` is attached beside it. */
  async #on<T>(body: (c: DuckDBConnection) => Promise<T>, scratch?: string): Promise<T> {
    const { connection, release } = await attachWarehouse(this.#database, 'write');
    try {
      if (scratch !== undefined) await connection.run(`ATTACH ${literal(scratch)} AS scratch (READ_ONLY)`);
      const result = await transaction(connection, () => body(connection));
      if (scratch !== undefined) await connection.run('DETACH scratch');
      return result;
    } finally {
      await release();
    }
  }

  async open(): Promise<void> {
    if (!existsSync(this.#database)) (await openDatabase(this.#database)).closeSync();
    await this.#on(c =>
      c.run(`CREATE TABLE IF NOT EXISTS ${this.#lists} (${listColumns}, version VARCHAR);
        CREATE TABLE IF NOT EXISTS ${this.#versions} (version VARCHAR, manifest VARCHAR);
        CREATE TABLE IF NOT EXISTS ${this.#pointers} (alias VARCHAR, version VARCHAR);
        CREATE TABLE IF NOT EXISTS ${this.#lease} (owner VARCHAR, until BIGINT);`),
    );
  }

  close = async () => undefined;

  takeLease(owner: string): Promise<string | undefined> {
    return this.#on(async c => {
      const [found] = await all(c, `SELECT owner, until FROM ${this.#lease}`);
      if (found && found.owner !== owner && Number(found.until) > Date.now()) return String(found.owner);
      await c.run(`DELETE FROM ${this.#lease}`);
      await c.run(`INSERT INTO ${this.#lease} VALUES (?, ?)`, [owner, this.#until()]);
      return undefined;
    });
  }

  renewLease = (owner: string) => this.#on(c => this.#renew(c, owner));

  async #renew(c: DuckDBConnection, owner: string): Promise<boolean> {
    if ((await scalar(c, `SELECT owner FROM ${this.#lease}`)) !== owner) return false;
    await c.run(`UPDATE ${this.#lease} SET until = ?`, [this.#until()]);
    return true;
  }

  #until(): bigint {
    return BigInt(Date.now() + this.#leaseMs);
  }

  async releaseLease(owner: string): Promise<void> {
    await this.#on(c => c.run(`DELETE FROM ${this.#lease} WHERE owner = ?`, [owner]));
  }

  /** The rows wait in a file of their own, so that the database is free meanwhile. */
  async begin(version: string, _: Publication, owner: string): Promise<Draft<readonly RankedList[]>> {
    const scratch = `${this.#database}.writing`;
    const remove = () => {
      for (const suffix of ['', '.wal']) rmSync(scratch + suffix, { force: true });
    };
    remove();
    const instance = await DuckDBInstance.create(scratch, { memory_limit: '128MiB', threads: '1' });
    const connection = await instance.connect();
    let open = true;
    const close = () => {
      if (!open) return;
      open = false;
      connection.closeSync();
      instance.closeSync();
    };
    await connection.run(`CREATE TABLE lists (${listColumns})`);
    return {
      lists: { users: 0, items: 0 },
      async put(kind, lists) {
        await appendLists(connection, 'lists', kind, lists);
        return lists.length;
      },
      complete: async manifest => {
        close();
        await this.#on(async c => {
          if (!(await this.#renew(c, owner))) throw leaseLost();
          await c.run(`INSERT INTO ${this.#lists} SELECT *, ${literal(version)} FROM scratch.lists`);
          await c.run(`INSERT INTO ${this.#versions} VALUES (?, ?)`, [version, JSON.stringify(manifest)]);
        }, scratch);
        remove();
      },
      async abandon() {
        close();
        remove();
      },
    };
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
  async #manifest(c: DuckDBConnection, version: string): Promise<StoredPublication> {
    const text = await scalar(c, `SELECT manifest FROM ${this.#versions} WHERE version = ?`, [version]);
    if (text === undefined) throw notComplete(version);
    return JSON.parse(String(text)) as StoredPublication;
  }

  async point(alias: string, version: string, expected: string | null | undefined): Promise<void> {
    await this.#on(async c => {
      await this.#manifest(c, version);
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
      await c.run(`CREATE OR REPLACE TEMP TABLE fresh (${listColumns})`);
      await appendLists(c, 'fresh', kind, lists);
      await c.run(`INSERT INTO ${this.#lists} SELECT *, ${literal(version)} FROM fresh`);
      const count = await scalar(c, `SELECT count(DISTINCT id) FROM ${this.#lists} WHERE ${these}`);
      const counts = { ...manifest.lists, [kind]: Number(count) };
      const amended = { ...manifest, lists: counts, ...(change === undefined ? {} : { change }) };
      await c.run(`UPDATE ${this.#versions} SET manifest = ? WHERE version = ?`, [
        JSON.stringify(amended),
        version,
      ]);
    });
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
