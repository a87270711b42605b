import type { BuildSegment, FoldSummary } from '../../src/contracts/index.js';
import type { SegmentFile } from '../../src/gramian/segment.js';
import { failpoint } from '../../src/runtime/failpoint.js';
import type { DuckDBConnection } from './client.js';
import { all, scalar, transaction } from './database.js';
import { useErasedIds } from './erased-ids.js';
import { streamOf } from './migrations.js';
import { setAsideOverflow } from './overflow.js';
import { readRows } from './rows.js';
import type { Semantics } from './schema.js';
import { insertSegment } from './state/segments.js';

const newest = '(ts, channel, sequence)';

/** Ids for keys that the dictionary does not have, in the order of their first event. */
const extend = (dictionary: 'users' | 'items', field: '"user"' | 'item'): string => `
  INSERT INTO ${dictionary}
  SELECT (SELECT coalesce(max(id) + 1, 0) FROM ${dictionary}) + row_number() OVER (ORDER BY first) - 1, key
  FROM (SELECT ${field} AS key, min(seq) AS first FROM batch GROUP BY ${field}) ANTI JOIN ${dictionary} USING (key)`;

/** binary and last: the newest event of each pair replaces what is known of the pair, if it is newer. */
function replaceByNewest(semantics: Semantics): readonly string[] {
  const value = semantics.interactions === 'binary' ? 'least(weight, 1)' : 'weight';
  return [
    `CREATE OR REPLACE TEMP TABLE winners AS
     SELECT "user", item, false AS reset, (CASE op WHEN 1 THEN 0 ELSE ${value} END)::BIGINT AS value, ts, channel, sequence
     FROM coded
     QUALIFY row_number() OVER (PARTITION BY "user", item ORDER BY ts DESC, channel DESC, sequence DESC) = 1`,
    `DELETE FROM winners w USING interactions x
     WHERE w."user" = x."user" AND w.item = x.item
       AND (x.ts, x.channel, x.sequence) >= (w.ts, w.channel, w.sequence)`,
    `DELETE FROM interactions x USING winners w WHERE w."user" = x."user" AND w.item = x.item`,
    'INSERT INTO interactions SELECT * FROM winners',
    'DROP TABLE winners',
  ];
}

/** sum: every event is kept, except those that a newer `set` of the pair has made irrelevant. */
const addUp: readonly string[] = [
  `INSERT INTO interactions
   SELECT "user", item, op = 2, (CASE op WHEN 1 THEN -weight ELSE weight END)::BIGINT, ts, channel, sequence FROM coded`,
  `DELETE FROM interactions x USING (
     SELECT "user", item, max(${newest}) AS newest FROM interactions SEMI JOIN coded USING ("user", item)
     WHERE reset GROUP BY "user", item) s
   WHERE x."user" = s."user" AND x.item = s.item AND (x.ts, x.channel, x.sequence) < s.newest`,
];

/** Reads the rows of `touched` users around `apply`, has the segment of the change built and registers it. */
async function changeRows(
  connection: DuckDBConnection,
  touched: Int32Array,
  build: BuildSegment,
  apply: () => Promise<void>,
): Promise<SegmentFile | undefined> {
  const n = Number(await scalar(connection, 'SELECT count(*) FROM items'));
  const rows =
    'SELECT "user", item, value FROM matrix SEMI JOIN touched USING ("user") ORDER BY "user", item';
  const before = await readRows(connection, rows, n, { users: touched });
  await apply();
  failpoint('fold:applied');
  const after = await readRows(connection, rows, n, { users: touched });
  const segment = await build({ before, after });
  failpoint('fold:segment-written');
  if (segment) await insertSegment(connection, segment);
  return segment;
}

/** Notes that the histories of the `touched` users changed; a user has one such note, the newest. */
async function noteChange(connection: DuckDBConnection): Promise<void> {
  const change = Number(await scalar(connection, 'SELECT coalesce(max(change) + 1, 1) FROM changes'));
  const keys = 'SELECT key FROM users JOIN touched ON touched."user" = users.id';
  await connection.run(`DELETE FROM changes WHERE key IN (${keys})`);
  await connection.run(`INSERT INTO changes SELECT ${change}, key FROM (${keys})`);
}

async function touchedUsers(connection: DuckDBConnection): Promise<Int32Array> {
  const { users } = await readRows(
    connection,
    'SELECT "user", 0::INTEGER, 1::INTEGER FROM touched ORDER BY 1',
    1,
  );
  return users;
}

/**
 * Drops the events of the batch whose id their stream has brought before, and notes the ids of the others. Returns how
 * many were dropped.
 */
async function dropRepeated(connection: DuckDBConnection): Promise<number> {
  await connection.run(`CREATE OR REPLACE TEMP TABLE identified AS
    SELECT seq, id, source, ${streamOf('part')} AS stream FROM batch JOIN positions USING (channel) WHERE id IS NOT NULL`);
  await useErasedIds(connection);
  const dropped = await all(
    connection,
    `DELETE FROM batch WHERE seq IN (
       SELECT i.seq FROM identified i JOIN event_ids e ON e.id = i.id AND e.source = i.source AND e.stream = i.stream
       UNION SELECT i.seq FROM identified i JOIN event_ids e ON e.id = i.id AND e.source IS NULL
       UNION SELECT seq FROM identified
         QUALIFY row_number() OVER (PARTITION BY id, source, stream ORDER BY seq) > 1) RETURNING seq`,
  );
  await connection.run(
    'INSERT INTO event_ids SELECT id, source, stream FROM identified SEMI JOIN batch USING (seq)',
  );
  await connection.run('DROP TABLE identified');
  return dropped.length;
}

/**
 * Folds up to `limit` inbox events in one transaction: dictionaries are extended, repeated event ids are
 * dropped, the semantics are applied by (ts, channel, sequence), and `build` gets the rows of all touched
 * users before and after.
 */
export async function foldInbox(
  connection: DuckDBConnection,
  semantics: Semantics,
  limit: number,
  build: BuildSegment,
  energy: number,
): Promise<FoldSummary> {
  const cut = await scalar(connection, 'SELECT max(seq) FROM (SELECT seq FROM inbox ORDER BY seq LIMIT ?)', [
    limit,
  ]);
  if (cut === null || cut === undefined) return { events: 0, users: 0, segment: undefined };
  const summary = await transaction(connection, async () => {
    const run = (sql: string) => connection.run(sql);
    await run(`CREATE OR REPLACE TEMP TABLE batch AS SELECT * FROM inbox WHERE seq <= ${cut}`);
    const [sizes] = await all(connection, 'SELECT count(*) AS events, count(id) AS identified FROM batch');
    const repeated = Number(sizes!.identified) > 0 ? await dropRepeated(connection) : 0;
    const [before] = await all(
      connection,
      'SELECT max(events) AS events, max(repeated) AS repeated FROM folded',
    );
    await run('DELETE FROM folded');
    const counts = [
      Number(before?.events ?? 0) + Number(sizes!.events),
      Number(before?.repeated ?? 0) + repeated,
    ];
    await run(`INSERT INTO folded VALUES (${counts.join()})`);
    await run(extend('users', '"user"'));
    await run(extend('items', 'item'));
    await run(`CREATE OR REPLACE TEMP TABLE coded AS
      SELECT u.id AS "user", i.id AS item, weight, op, ts, channel, sequence
      FROM batch JOIN users u ON u.key = batch."user" JOIN items i ON i.key = batch.item`);
    await setAsideOverflow(connection, semantics, energy);
    await run('CREATE OR REPLACE TEMP TABLE touched AS SELECT DISTINCT "user" FROM coded');
    failpoint('fold:encoded');
    const users = await touchedUsers(connection);
    const statements = semantics.interactions === 'sum' ? addUp : replaceByNewest(semantics);
    const segment = await changeRows(connection, users, build, async () => {
      for (const sql of statements) await run(sql);
    });
    await noteChange(connection);
    await run(`DELETE FROM inbox WHERE seq <= ${cut}`);
    for (const t of ['batch', 'coded', 'touched']) await run(`DROP TABLE ${t}`);
    failpoint('fold:registered');
    return { events: Number(sizes!.events), users: users.length, segment };
  });
  failpoint('fold:committed');
  return summary;
}
