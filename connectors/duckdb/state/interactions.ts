import type { StateStore } from '../../../src/contracts/index.js';
import { personOf } from '../aliases.js';
import { releaseResults, type SerialConnection, scalar, streamRows } from '../database.js';
import { type Connecting, readChanged, readHistories } from '../histories.js';
import { integersIn, readKeys, readRows, readTimedRows } from '../rows.js';
import { newestRows } from '../schema.js';

/** X by user and item. Only users with more than `maxHistory` are sorted by time. */
function allRows(maxHistory: number | undefined): string {
  const columns = 'SELECT "user", item, value FROM matrix';
  if (maxHistory === undefined) return `${columns} ORDER BY "user", item`;
  return `WITH long AS (SELECT "user" FROM matrix GROUP BY "user" HAVING count(*) > ${maxHistory})
    FROM (${columns} ANTI JOIN long USING ("user")
      UNION ALL (${columns} SEMI JOIN long USING ("user") ${newestRows(maxHistory)})) ORDER BY "user", item`;
}

/** The reads of X. Long ones run on the connection of the folds, so that X does not change meanwhile. */
export function openInteractions(
  database: Connecting,
  folds: SerialConnection,
  queries: SerialConnection,
): Pick<
  StateStore,
  'interactions' | 'withTimes' | 'histories' | 'history' | 'popularItems' | 'itemUsers' | 'itemKeys'
> {
  const items = 'SELECT count(*) FROM items';
  return {
    interactions: maxHistory =>
      folds.use(async c => {
        const n = Number(await scalar(c, items));
        const kept = maxHistory === undefined ? 'd' : `least(d, ${maxHistory})`;
        const lengths = '(SELECT count(*) AS d FROM matrix GROUP BY "user")';
        const expected = Number(await scalar(c, `SELECT coalesce(sum(${kept}), 0)::BIGINT FROM ${lengths}`));
        const rows = await readRows(c, allRows(maxHistory), n, { expected, shared: true });
        await releaseResults();
        return rows;
      }),

    withTimes: use =>
      folds.use(async c => {
        const n = Number(await scalar(c, items));
        const entries = Number(await scalar(c, 'SELECT count(*) FROM matrix'));
        const sql = 'SELECT "user", item, value, ts::DOUBLE FROM matrix ORDER BY "user", item';
        const result = await use(await readTimedRows(c, sql, n, entries));
        await releaseResults();
        return result;
      }),

    // On a connection of its own: a stream blocks its connection for as long as its reader takes.
    histories: size => readHistories(database, size),

    history: user =>
      queries.use(async c => {
        const id = await personOf(c, user);
        if (id === undefined) return undefined;
        const sql = `SELECT "user", item, value FROM matrix WHERE "user" = ${Number(id)} ORDER BY item`;
        const n = Number(await scalar(c, items));
        return readRows(c, sql, n, { users: Int32Array.of(Number(id)), few: true });
      }),

    popularItems: limit =>
      queries
        .all(`SELECT item FROM matrix GROUP BY item ORDER BY count(*) DESC, item LIMIT ${limit}`)
        .then(rows => Int32Array.from(rows.map(r => Number(r.item)))),

    // On a connection of its own, so that ingest does not wait for the pass.
    async itemUsers() {
      const connection = await database.connect();
      try {
        const users = new Int32Array(Number(await scalar(connection, items)));
        const sql = 'SELECT item, count(*)::INTEGER FROM matrix WHERE item < ? GROUP BY item';
        for await (const part of streamRows(connection, sql, 2, [users.length])) {
          const [item, count] = [integersIn(part, 0), integersIn(part, 1)];
          item.forEach((i, r) => {
            users[i] = count[r]!;
          });
        }
        return users;
      } finally {
        connection.closeSync();
      }
    },

    itemKeys: n =>
      queries.use(async c => (await readKeys(c, 'items', 0, n ?? Number(await scalar(c, items)))).keys),
  };
}

/** The notes of whose history changed when. */
export function openChanges(
  database: Connecting,
  queries: SerialConnection,
): Pick<StateStore, 'newestChange' | 'changedUsers'> {
  return {
    newestChange: () => queries.scalar('SELECT coalesce(max(change), 0) FROM changes').then(Number),

    // On a connection of its own, like `histories`.
    changedUsers: (since, size) => readChanged(database, since, size),
  };
}
