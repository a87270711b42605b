import type { BuildSegment, FoldSummary } from '../../src/contracts/index.js';
import type { SegmentFile } from '../../src/gramian/segment.js';
import { failpoint } from '../../src/runtime/failpoint.js';
import { aliasOp, idsTogether, setLinksAside, switchPersons, takeLinks } from './aliases.js';
import { countFolded, drop, dropRepeated } from './batch.js';
import type { DuckDBConnection } from './client.js';
import { all, scalar, transaction } from './database.js';
import { foldFirst, isUnfolded } from './first-fold.js';
import { takeBack } from './leave.js';
import type { Lookups, Registered } from './lookups.js';
import { mergeRecent } from './merge.js';
import { LandmarkTooEarly, setAsideOverflow } from './overflow.js';
import { newestSeq, type Parts } from './parts.js';
import { readRows } from './rows.js';
import { createMatrix, matrixOf, newestRows, readView, type Semantics, type View } from './schema.js';
import { insertSegment } from './state/segments.js';

const newest = '(ts, channel, sequence)';

/**
 * Makes the temporary table `batch_<dictionary>` (key, id) of the `keys` of the batch, a query (key, seq). Those that the dictionary does not
 * have get ids in the order of their first event.
 */
async function extend(
  connection: DuckDBConnection,
  [lookups, files]: readonly [Lookups, Registered],
  dictionary: 'users' | 'items',
  keys: string,
  events: number,
): Promise<void> {
  await lookups.findIds(connection, files, dictionary, `SELECT DISTINCT key FROM (${keys})`, events);
  await connection.run(`CREATE OR REPLACE TEMP TABLE fresh AS
    SELECT (SELECT coalesce(max(id) + 1, 0) FROM ${dictionary}) + row_number() OVER (ORDER BY first, key) - 1 AS id, key
    FROM (SELECT key, min(seq) AS first FROM (${keys}) GROUP BY key) ANTI JOIN found USING (key)`);
  await connection.run(`INSERT INTO ${dictionary} SELECT id, key FROM fresh`);
  if (dictionary === 'items') await takeBack(connection);
  await connection.run(`CREATE OR REPLACE TEMP TABLE batch_${dictionary} AS
    SELECT key, id::INTEGER AS id FROM found UNION ALL SELECT key, id::INTEGER FROM fresh`);
  await drop(connection, 'found', 'fresh');
}

/** binary and last: the newest event of each pair replaces what is known of the pair, if it is newer. */
function replaceByNewest(semantics: Semantics): readonly string[] {
  const value = semantics.interactions === 'binary' ? 'least(weight, 1)' : 'weight';
  return [
    `CREATE OR REPLACE TEMP TABLE winners AS
     SELECT "user", item, false AS reset, (CASE op WHEN 1 THEN 0 ELSE ${value} END)::BIGINT AS value, ts, channel, sequence
     FROM coded
     QUALIFY row_number() OVER (PARTITION BY "user", item ORDER BY ts DESC, channel DESC, sequence DESC) = 1`,
    `DELETE FROM winners w USING recent x
     WHERE w."user" = x."user" AND w.item = x.item
       AND (x.ts, x.channel, x.sequence) >= (w.ts, w.channel, w.sequence)`,
    `DELETE FROM recent x USING winners w WHERE w."user" = x."user" AND w.item = x.item`,
    'INSERT INTO recent SELECT * FROM winners',
    'DROP TABLE winners',
  ];
}

/** sum: every event is kept, except those that a newer `set` of the pair has made irrelevant. */
const addUp: readonly string[] = [
  `INSERT INTO recent
   SELECT "user", item, op = 2, (CASE op WHEN 1 THEN -weight ELSE weight END)::BIGINT, ts, channel, sequence FROM coded`,
  `DELETE FROM recent x USING (
     SELECT "user", item, max(${newest}) AS newest FROM recent SEMI JOIN coded USING ("user", item)
     WHERE reset GROUP BY "user", item) s
   WHERE x."user" = s."user" AND x.item = s.item AND (x.ts, x.channel, x.sequence) < s.newest`,
];

/**
 * Reads the rows of `touched` users around `apply`, in the views before and after it, has the segment of the change built,
 * if one is wanted, and registers it.
 */
export async function changeRows(
  connection: DuckDBConnection,
  semantics: Semantics,
  [from, to]: readonly [View, View],
  touched: Int32Array,
  [build, maxHistory]: readonly [BuildSegment | undefined, number | undefined],
  apply: () => Promise<void>,
): Promise<SegmentFile | undefined> {
  if (!build) {
    await apply();
    failpoint('fold:applied');
    return undefined;
  }
  const n = Number(await scalar(connection, 'SELECT count(*) FROM items'));
  const rows = (
    view: View,
  ) => `SELECT "user", item, value FROM (${matrixOf(semantics, view, '(SELECT * FROM known SEMI JOIN touched USING ("user"))', 'SELECT * FROM recent SEMI JOIN touched USING ("user")')})
    ${newestRows(maxHistory)} ORDER BY "user", item`;
  const before = await readRows(connection, rows(from), n, { users: touched });
  await apply();
  failpoint('fold:applied');
  const after = await readRows(connection, rows(to), n, { users: touched });
  const segment = await build({ before, after });
  failpoint('fold:segment-written');
  if (segment) await insertSegment(connection, segment);
  return segment;
}

/** Notes that the histories of the `touched` users changed; the newest note of a user counts. */
export const noteChange = (connection: DuckDBConnection) =>
  connection.run(
    'INSERT INTO changes SELECT (SELECT coalesce(max(change) + 1, 1) FROM changes), key FROM touched',
  );

/** Makes the temporary table `touched` of the users with `ids`, a query, and their keys in `dictionary`. */
export const touch = (connection: DuckDBConnection, ids: string, dictionary = 'users') =>
  connection.run(`CREATE OR REPLACE TEMP TABLE touched AS
    SELECT id AS "user", key FROM ${dictionary} WHERE id IN (${ids})`);

/** A column of ids in the order of `sql`, one for each row. */
async function idsOf(connection: DuckDBConnection, sql: string): Promise<Int32Array> {
  const { users } = await readRows(connection, `SELECT *, 0::INTEGER, 1::INTEGER FROM (${sql})`, 1, {
    few: true,
  });
  return users;
}

export const touchedUsers = (connection: DuckDBConnection): Promise<Int32Array> =>
  idsOf(connection, 'SELECT "user" FROM touched ORDER BY 1');

/** The first `limit` events that wait: the number of the last, and all up to it as a relation. */
async function nextEvents(connection: DuckDBConnection, parts: Parts, limit: number) {
  const waiting = await parts.waiting(connection, limit);
  const last = Number.isFinite(limit)
    ? `max(seq) FROM (SELECT seq FROM ${waiting} ORDER BY seq LIMIT ${limit})`
    : newestSeq;
  const cut = await scalar(connection, `SELECT ${last}`);
  if (cut === null || cut === undefined) return undefined;
  return { cut: String(cut), events: `${waiting} WHERE seq <= ${cut}` };
}

/** Folds `events`, a relation, into a state that has others, and `take`s them; part of the caller's transaction. */
async function foldMore(
  connection: DuckDBConnection,
  semantics: Semantics,
  lookups: Lookups,
  [waiting, take]: readonly [string, () => Promise<void>],
  build: readonly [BuildSegment | undefined, number | undefined],
  energy: number,
): Promise<FoldSummary> {
  const run = (sql: string) => connection.run(sql);
  await run(`CREATE OR REPLACE TEMP TABLE batch AS SELECT * FROM ${waiting}`);
  const [sizes] = await all(connection, 'SELECT count(*) AS events, count(id) AS identified FROM batch');
  const events = Number(sizes!.events);
  await countFolded(connection, events, Number(sizes!.identified) > 0 ? await dropRepeated(connection) : 0);
  const files = await lookups.registered(connection);
  const linked = await setLinksAside(connection);
  const users = 'SELECT "user" AS key, seq FROM batch';
  const ids = linked ? `${users} UNION ALL SELECT unnest([alias, known]), seq FROM linked` : users;
  await extend(connection, [lookups, files], 'users', ids, events);
  await extend(connection, [lookups, files], 'items', 'SELECT item AS key, seq FROM batch', events);
  await run(`CREATE OR REPLACE TEMP TABLE coded AS
    SELECT u.id AS "user", i.id AS item, weight, op, ts, channel, sequence
    FROM batch JOIN batch_users u ON u.key = batch."user" JOIN batch_items i ON i.key = batch.item`);
  if (linked) await takeLinks(connection);
  const view = await readView(connection);
  const aliased = linked || view.aliased;
  const touchAll = () =>
    aliased
      ? touch(connection, idsTogether(linked))
      : touch(connection, 'SELECT "user" FROM coded', 'batch_users');
  await touchAll();
  let touched = await touchedUsers(connection);
  // Segments need whole histories.
  const items = build[0] ? undefined : new Set(await idsOf(connection, 'SELECT id FROM batch_items'));
  await lookups.findRows(connection, files, touched, items);
  // From here on, `recent` has all rows of the pairs in `coded`.
  await run(
    `INSERT INTO recent SELECT * FROM known SEMI JOIN coded USING ("user", item) ANTI JOIN recent USING ("user", item)`,
  );
  if ((await setAsideOverflow(connection, semantics, view.frame, energy)) > 0) {
    await touchAll();
    touched = await touchedUsers(connection);
  }
  failpoint('fold:encoded');
  const statements = semantics.interactions === 'sum' ? addUp : replaceByNewest(semantics);
  const segment = await changeRows(
    connection,
    semantics,
    [view, { ...view, aliased }],
    touched,
    build,
    async () => {
      for (const sql of statements) await run(sql);
      if (linked) await switchPersons(connection);
      if (aliased !== view.aliased) await createMatrix(connection, semantics);
    },
  );
  await noteChange(connection);
  await take();
  await drop(connection, 'batch', 'linked', 'batch_users', 'batch_items', 'coded', 'touched', 'known');
  failpoint('fold:registered');
  return { events, users: touched.length, segment };
}

/**
 * Folds up to `limit` inbox events in one transaction: dictionaries are extended, repeated event ids are
 * dropped, the semantics are applied by (ts, channel, sequence), and `build` gets the rows of all touched
 * users before and after. Without `build`, the first events of a state are folded in a way of their own. Nothing is
 * folded where the landmark has to `rise` first.
 */
export async function foldInbox(
  connection: DuckDBConnection,
  semantics: Semantics,
  [lookups, parts]: readonly [Lookups, Parts],
  limit: number,
  build: BuildSegment | undefined,
  energy: number,
  maxHistory?: number,
): Promise<FoldSummary> {
  const started = performance.now();
  let [files, isFirst]: [readonly string[], boolean] = [[], false];
  const fold = async () => {
    const next = await nextEvents(connection, parts, limit);
    if (!next) return undefined;
    const { cut, events } = next;
    const take = async (): Promise<void> => {
      files = await parts.take(connection, cut);
    };
    const links = `SELECT true FROM ${events} AND op = ${aliasOp} LIMIT 1`;
    isFirst = !build && (await isUnfolded(connection)) && (await scalar(connection, links)) === undefined;
    return isFirst
      ? foldFirst(connection, semantics, events, take, energy)
      : foldMore(connection, semantics, lookups, [events, take], [build, maxHistory], energy);
  };
  const summary = await transaction(connection, fold).catch(error => {
    if (!(error instanceof LandmarkTooEarly)) throw error;
    return { events: 0, users: 0, segment: undefined, rise: error.rise };
  });
  if (summary && 'rise' in summary) return summary;
  if (!summary) return { events: 0, users: 0, segment: undefined };
  failpoint('fold:committed');
  parts.remove(files);
  // While more is waiting, it comes first; then a merge takes no longer than the fold did, or one step.
  if (!isFirst && summary.events < limit) await mergeRecent(connection, lookups, performance.now() - started);
  return summary;
}
