import { randomUUID } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import {
  champion,
  type ListKind,
  type Publication,
  type Sink,
  type SinkVersion,
} from '../../src/contracts/sink.js';
import { StageError } from '../../src/errors.js';
import { checkAlias, checkVersion } from '../../src/publish/layout.js';
import { superseded } from '../../src/publish/retention.js';
import {
  assertExpected,
  limitsOf,
  refused,
  type StoredPublication,
  sinkSteps,
  sinkVersion,
} from '../../src/publish/sink-steps.js';
import { type DuckDBConnection, DuckDBInstance } from './client.js';
import { all, literal, openDatabase, scalar, transaction } from './database.js';
import { appendLists, listColumns } from './list-rows.js';
import { type DuckdbSinkOptions, duckdbSinkOptions } from './sink-options.js';
import { attachWarehouse } from './warehouse.js';

export { type DuckdbSinkOptions, duckdbSinkOptions };

/** How long a publisher that fell silent keeps others out, in milliseconds. */
const leaseMs = 30_000;

/** A version being written: its rows wait in a file of their own, so that the database is free meanwhile. */
interface Attempt {
  readonly publication: Publication;
  readonly scratch: string;
  readonly instance: DuckDBInstance;
  readonly connection: DuckDBConnection;
  readonly lists: Record<ListKind, number>;
  renewedAt: number;
}

/**
 * Lists as rows of a DuckDB table `lists(kind, id, rank, item, score, version)`, rank from 1; an empty list has no row.
 * `lists_pointers(alias, version)` names the versions to read. The database is opened for each step and let go of.
 */
export function createDuckdbSink(options: DuckdbSinkOptions): Sink {
  const { database, table } = options;
  const where = `DuckDB ${database}, table ${table}`;
  const step = sinkSteps(where);
  const [versionsTable, pointersTable, leaseTable] = [
    `${table}_versions`,
    `${table}_pointers`,
    `${table}_lease`,
  ];
  let owner: string | undefined;
  let attempt: Attempt | undefined;

  /** Runs `body` in one transaction on the database, open for that long. */
  async function on<T>(body: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    if (owner === undefined) throw new Error('a sink that is not connected');
    const { connection, release } = await attachWarehouse(database, 'write');
    try {
      return await transaction(connection, () => body(connection));
    } finally {
      await release();
    }
  }

  function begun(): Attempt {
    if (attempt === undefined) throw new Error('no version begun');
    return attempt;
  }

  async function takeLease(c: DuckDBConnection): Promise<void> {
    const [found] = await all(c, `SELECT owner, until FROM ${leaseTable}`);
    if (found && found.owner !== owner && Number(found.until) > Date.now())
      throw refused(String(found.owner));
    await c.run(`DELETE FROM ${leaseTable}`);
    await c.run(`INSERT INTO ${leaseTable} VALUES (?, ?)`, [owner!, BigInt(Date.now() + leaseMs)]);
  }

  function abandon(): void {
    const last = attempt;
    attempt = undefined;
    last?.connection.closeSync();
    last?.instance.closeSync();
    if (last) for (const suffix of ['', '.wal']) rmSync(last.scratch + suffix, { force: true });
  }

  async function held(c: DuckDBConnection): Promise<SinkVersion[]> {
    const rows = await all(c, `SELECT manifest FROM ${versionsTable} ORDER BY version`);
    return rows.map(r => sinkVersion(JSON.parse(String(r.manifest)) as StoredPublication));
  }

  const pointers = async (c: DuckDBConnection): Promise<Map<string, string>> =>
    new Map(
      (await all(c, `SELECT alias, version FROM ${pointersTable} ORDER BY alias`)).map(r => [
        String(r.alias),
        String(r.version),
      ]),
    );

  return {
    name: 'duckdb',
    ...limitsOf(options),

    connect: (named = randomUUID()) =>
      step('to open the database', async () => {
        if (!existsSync(database)) (await openDatabase(database)).closeSync();
        owner = named;
        await on(c =>
          c.run(`CREATE TABLE IF NOT EXISTS ${table} (${listColumns}, version VARCHAR);
            CREATE TABLE IF NOT EXISTS ${versionsTable} (version VARCHAR, manifest VARCHAR);
            CREATE TABLE IF NOT EXISTS ${pointersTable} (alias VARCHAR, version VARCHAR);
            CREATE TABLE IF NOT EXISTS ${leaseTable} (owner VARCHAR, until BIGINT);`),
        );
      }),

    begin: publication =>
      step(`to begin version ${publication.version}`, async () => {
        const { version } = publication;
        checkVersion(version, where);
        abandon();
        await on(async c => {
          if ((await held(c)).some(v => v.version === version))
            throw new Error('that it is complete already');
          await takeLease(c);
        });
        const scratch = `${database}.writing`;
        for (const suffix of ['', '.wal']) rmSync(scratch + suffix, { force: true });
        const instance = await DuckDBInstance.create(scratch, { memory_limit: '128MiB', threads: '1' });
        const connection = await instance.connect();
        await connection.run(`CREATE TABLE lists (${listColumns})`);
        attempt = {
          publication,
          scratch,
          instance,
          connection,
          lists: { users: 0, items: 0 },
          renewedAt: Date.now(),
        };
        return { users: 0, items: 0 };
      }),

    write: (kind, lists) =>
      step(`to write lists of ${kind}`, async () => {
        const current = begun();
        await appendLists(current.connection, 'lists', kind, lists);
        current.lists[kind] += lists.length;
        if (Date.now() - current.renewedAt > leaseMs / 3) {
          await on(takeLease);
          current.renewedAt = Date.now();
        }
        return lists.length;
      }),

    finish: () =>
      step('to finish the version', async () => {
        const { publication, scratch, connection, instance, lists } = begun();
        const { version } = publication;
        connection.closeSync();
        instance.closeSync();
        attempt = undefined;
        const { connection: c, release } = await attachWarehouse(database, 'write');
        try {
          await c.run(`ATTACH ${literal(scratch)} AS scratch (READ_ONLY)`);
          await transaction(c, async () => {
            await takeLease(c);
            await c.run(`INSERT INTO ${table} SELECT *, ${literal(version)} FROM scratch.lists`);
            await c.run(`INSERT INTO ${versionsTable} VALUES (?, ?)`, [
              version,
              JSON.stringify({ ...publication, lists }),
            ]);
          });
          await c.run('DETACH scratch');
        } finally {
          await release();
          for (const suffix of ['', '.wal']) rmSync(scratch + suffix, { force: true });
        }
      }),

    point: (version, alias = champion, expected) =>
      step(`to point ${alias} at version ${version}`, async () => {
        checkVersion(version, where);
        checkAlias(alias);
        await on(async c => {
          if (!(await held(c)).some(v => v.version === version))
            throw new Error('no such version or an unfinished one');
          assertExpected(alias, (await pointers(c)).get(alias), version, expected);
          await c.run(`DELETE FROM ${pointersTable} WHERE alias = ?`, [alias]);
          await c.run(`INSERT INTO ${pointersTable} VALUES (?, ?)`, [alias, version]);
        });
      }),

    current: (alias = champion) => step('to read the pointer', async () => (await on(pointers)).get(alias)),
    pointers: () => step('to read the pointers', () => on(pointers)),
    versions: () => step('to read the versions', () => on(held)),

    amend: (version, kind, { lists, gone, change }) =>
      step(`to amend version ${version}`, () =>
        on(async c => {
          const found = (
            await all(c, `SELECT manifest FROM ${versionsTable} WHERE version = ?`, [version])
          )[0];
          if (!found) throw new StageError('SINK_FAILED', `${where}: no version ${version}`);
          const ids = [...gone, ...lists.map(list => list.id)].map(literal).join();
          if (ids) {
            const these = `version = ${literal(version)} AND kind = ${literal(kind)}`;
            await c.run(`DELETE FROM ${table} WHERE ${these} AND id IN (${ids})`);
          }
          await c.run(`CREATE OR REPLACE TEMP TABLE fresh (${listColumns})`);
          await appendLists(c, 'fresh', kind, lists);
          await c.run(`INSERT INTO ${table} SELECT *, ${literal(version)} FROM fresh`);
          const manifest = JSON.parse(String(found.manifest)) as StoredPublication;
          const count = await scalar(
            c,
            `SELECT count(DISTINCT id) FROM ${table} WHERE version = ? AND kind = ?`,
            [version, kind],
          );
          const amended = {
            ...manifest,
            lists: { ...manifest.lists, [kind]: Number(count) },
            ...(change === undefined ? {} : { change }),
          };
          await c.run(`UPDATE ${versionsTable} SET manifest = ? WHERE version = ?`, [
            JSON.stringify(amended),
            version,
          ]);
        }),
      ),

    prune: keep =>
      step('to delete superseded versions', () =>
        on(async c => {
          for (const version of superseded(await held(c), (await pointers(c)).values(), keep)) {
            await c.run(`DELETE FROM ${table} WHERE version = ?`, [version]);
            await c.run(`DELETE FROM ${versionsTable} WHERE version = ?`, [version]);
          }
        }),
      ),

    async close() {
      abandon();
      const last = owner;
      if (last !== undefined)
        await on(c => c.run(`DELETE FROM ${leaseTable} WHERE owner = ?`, [last])).catch(() => undefined);
      owner = undefined;
    },
  };
}
