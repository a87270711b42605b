import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { StateStore } from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import type { GramianMode } from '../../src/gramian/plan.js';
import type { SegmentFile } from '../../src/gramian/segment.js';
import { failpoint } from '../../src/runtime/failpoint.js';
import type { TunedOptions } from '../../src/tune/tune.js';
import type { DuckDBConnection } from './client.js';
import {
  all,
  type DatabaseOptions,
  openDatabase,
  releaseResults,
  SerialConnection,
  scalar,
  transaction,
} from './database.js';
import { foldInbox, forgetUser, insertSegment } from './fold.js';
import { readChanged, readHistories } from './histories.js';
import { openInbox } from './inbox.js';
import { markInterrupted, openLedger } from './ledger.js';
import { readKeys, readRows, readTimedRows } from './rows.js';
import { ensureSchema, type Semantics } from './schema.js';

const erased = 'changes ANTI JOIN users USING (key) WHERE key IS NOT NULL';
const allRows = 'SELECT "user", item, value FROM matrix ORDER BY "user", item';

/** The segments of a state, oldest first. */
export async function readSegments(connection: DuckDBConnection): Promise<SegmentFile[]> {
  const rows = await all(connection, 'SELECT id, file, n, nnz, bytes FROM segments ORDER BY ordinal');
  return rows.map(r => ({
    id: String(r.id),
    file: String(r.file),
    n: Number(r.n),
    nnz: Number(r.nnz),
    bytes: Number(r.bytes),
  }));
}

/**
 * Opens, or makes, the state in `directory/state.duckdb`. One process at a time: `STATE_LOCKED` otherwise.
 * Ingest, fold and queries have connections of their own, so that a long fold does not hold up ingest.
 */
export async function openState(
  directory: string,
  semantics: Semantics,
  limits: Partial<DatabaseOptions> = {},
): Promise<StateStore> {
  mkdirSync(directory, { recursive: true });
  const database = await openDatabase(join(directory, 'state.duckdb'), {
    ...limits,
    tempDirectory: limits.tempDirectory ?? join(directory, 'tmp'),
  });
  const connect = async () => new SerialConnection(await database.connect());
  const [ingest, folds, queries] = await Promise.all([connect(), connect(), connect()]);
  let id: string;
  try {
    // What passes through the inbox is soon deleted: most of it never needs to be written out of the log.
    await queries.connection.run("SET wal_autocheckpoint = '128MB'");
    id = await ensureSchema(queries.connection, semantics);
    await markInterrupted(queries.connection);
  } catch (error) {
    for (const c of [ingest, folds, queries]) await c.close();
    database.closeSync();
    throw error;
  }
  const inbox = await openInbox(ingest.connection);
  const items = async (): Promise<number> =>
    Number(await scalar(queries.connection, 'SELECT count(*) FROM items'));
  const setting = (key: string): Promise<string | undefined> =>
    queries.use(async c => {
      const value = await scalar(c, 'SELECT value FROM settings WHERE key = ?', [key]);
      return value === undefined ? undefined : String(value);
    });
  const set = (key: string, value: string | undefined): Promise<void> =>
    queries.use(c =>
      transaction(c, async () => {
        await c.run('DELETE FROM settings WHERE key = ?', [key]);
        if (value !== undefined) await c.run('INSERT INTO settings VALUES (?, ?)', [key, value]);
      }),
    );

  return {
    id,
    ...openLedger(queries),
    positions: source => ingest.use(() => inbox.positions(source)),
    append: (source, batches) => ingest.use(() => inbox.append(source, batches)),
    fold: (limit, build) => folds.use(c => foldInbox(c, semantics, limit, build)),
    forget: (user, build) => ingest.use(() => folds.use(c => forgetUser(c, user, build))),

    interactions: () =>
      folds.use(async c => readRows(c, allRows, Number(await scalar(c, 'SELECT count(*) FROM items')))),

    withTimes: use =>
      folds.use(async c => {
        const [n, entries] = [
          Number(await scalar(c, 'SELECT count(*) FROM items')),
          Number(await scalar(c, 'SELECT count(*) FROM matrix')),
        ];
        const sql = 'SELECT "user", item, value, ts::DOUBLE FROM matrix ORDER BY "user", item';
        const result = await use(await readTimedRows(c, sql, n, entries));
        await releaseResults();
        return result;
      }),

    // Connections of their own: a stream would block the others for as long as its reader takes.
    histories: size => readHistories(database, size),
    changedUsers: (since, size) => readChanged(database, since, size),
    userCount: () => queries.use(async c => Number(await scalar(c, 'SELECT count(*) FROM users'))),
    newestChange: () =>
      queries.use(async c => Number(await scalar(c, 'SELECT coalesce(max(change), 0) FROM changes'))),
    popularItems: limit =>
      queries.use(async c => {
        const popular = `SELECT item FROM matrix GROUP BY item ORDER BY count(*) DESC, item LIMIT ${limit}`;
        return Int32Array.from((await all(c, popular)).map(r => Number(r.item)));
      }),
    erasedUsers: () =>
      queries.use(async c => (await all(c, `SELECT key FROM ${erased}`)).map(r => String(r.key))),
    dropErased: change =>
      folds.use(async c => {
        // A note without a key stays for the number, from which the next ones go on.
        await c.run(`INSERT INTO changes SELECT max(change), NULL FROM changes`);
        await c.run(`DELETE FROM changes WHERE key IN (SELECT key FROM ${erased} AND change <= ${change})`);
      }),

    history: user =>
      queries.use(async c => {
        const id = await scalar(c, 'SELECT id FROM users WHERE key = ?', [user]);
        if (id === undefined) return undefined;
        const sql = `SELECT "user", item, value FROM matrix WHERE "user" = ${Number(id)} ORDER BY item`;
        return readRows(c, sql, await items(), { users: Int32Array.of(Number(id)), few: true });
      }),

    itemKeys: n => queries.use(async c => (await readKeys(c, 'items', 0, n)).keys),

    segments: () => folds.use(readSegments),

    replaceSegments: (old, segment) =>
      folds.use(async c => {
        await transaction(c, async () => {
          for (const s of old) {
            const gone = await all(c, 'DELETE FROM segments WHERE id = ? RETURNING id', [s.id]);
            if (gone.length === 0)
              throw new StageError('INTERNAL', `segment ${s.id} has been replaced already`);
          }
          if (segment) await insertSegment(c, segment);
        });
        failpoint('compact:committed');
      }),

    gramian: () =>
      queries.use(async c => {
        const [row] = await all(
          c,
          `SELECT max(value) FILTER (key = 'gramian') AS mode, max(value) FILTER (key = 'userWeighting') AS weighting FROM settings`,
        );
        if (typeof row?.mode !== 'string') return undefined;
        return { mode: row.mode as GramianMode, userWeighting: Number(row.weighting ?? 0) };
      }),

    setGramian: ({ mode, userWeighting }) =>
      queries.use(c =>
        transaction(c, async () => {
          await c.run("DELETE FROM settings WHERE key IN ('gramian', 'userWeighting')");
          await c.run("INSERT INTO settings VALUES ('gramian', ?), ('userWeighting', ?)", [
            mode,
            String(userWeighting),
          ]);
        }),
      ),

    async tuned() {
      const text = await setting('tuned');
      return text === undefined ? undefined : (JSON.parse(text) as TunedOptions);
    },
    setTuned: tuned => set('tuned', tuned && JSON.stringify(tuned)),

    counts: () =>
      queries.use(async c => {
        const [row] = await all(
          c,
          `SELECT (SELECT count(*) FROM inbox) AS inbox, (SELECT count(*) FROM dead_letters) AS dead,
             (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM items) AS items,
             coalesce(sum(d), 0)::DOUBLE AS interactions, coalesce(sum(d * d), 0)::DOUBLE AS pairs,
             coalesce(max(most), 1) AS most
           FROM (SELECT count(*) AS d, max(value) AS most FROM matrix GROUP BY "user")`,
        );
        const r = row!;
        return {
          inbox: Number(r.inbox),
          deadLetters: Number(r.dead),
          users: Number(r.users),
          items: Number(r.items),
          interactions: Number(r.interactions),
          valued: Number(r.most) !== 1,
          pairs: Number(r.pairs),
        };
      }),

    pending: () => queries.use(async c => Number(await scalar(c, 'SELECT count(*) FROM inbox'))),

    folded: () =>
      queries.use(async c => Number(await scalar(c, 'SELECT coalesce(max(events), 0) FROM folded'))),

    deadLetters: limit =>
      queries.use(async c => {
        const rows = await all(c, `SELECT * FROM dead_letters ORDER BY rejected_at DESC LIMIT ${limit}`);
        return rows.map(r => ({
          source: String(r.source),
          partition: String(r.part),
          sequence: Number(r.sequence),
          code: String(r.code),
          reason: String(r.reason),
          user: r.user === null ? undefined : String(r.user),
          raw: String(r.raw),
        }));
      }),

    async close() {
      for (const c of [ingest, folds, queries]) await c.close();
      database.closeSync();
      await releaseResults();
    },
  };
}
