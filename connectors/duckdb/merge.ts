import { failpoint } from '../../src/runtime/failpoint.js';
import type { DuckDBConnection } from './client.js';
import { all, scalar, transaction } from './database.js';
import type { LookupRange, Lookups } from './lookups.js';

/** States below this many rows are read as fast without files. */
const smallRows = 100_000;
/** Rows are merged while `recent` has more than this share of the others. */
const share = 16;
/** The file of keys is made anew when so many more of them came: this share of those it has. */
const keyShare = 4;
/** Ranges begin at multiples of this many users. */
const blockUsers = 1024;
const everyUser = 2 ** 31;

/** Leaves the newest note of each user. */
const newestChanges = `DELETE FROM changes WHERE rowid NOT IN (
  SELECT rowid FROM changes QUALIFY row_number() OVER (PARTITION BY key ORDER BY change DESC) = 1)`;

/** A piece of a merge: a transaction of its own. */
type Step = () => Promise<void>;

const count = async (connection: DuckDBConnection, from: string): Promise<number> =>
  Number(await scalar(connection, `SELECT count(*) FROM ${from}`));

/** A condition on rows: those of the users in [first, below). */
const usersIn = (first: number, below: number): string => `"user" >= ${first} AND "user" < ${below}`;

/** Rows by blocks of users, for users in [first, below). */
async function rowsByBlock(
  connection: DuckDBConnection,
  table: 'recent' | 'interactions',
  first = 0,
  below = everyUser,
): Promise<Map<number, number>> {
  const rows = await all<{ block: number; rows: bigint }>(
    connection,
    `SELECT "user" // ${blockUsers} AS block, count(*) AS rows FROM ${table}
     WHERE ${usersIn(first, below)} GROUP BY 1`,
  );
  return new Map(rows.map(r => [r.block, Number(r.rows)]));
}

/** Ranges of users that have files, and those between and behind them that have none, by ascending user. */
function allRanges(
  files: readonly LookupRange[],
): (readonly [first: number, below: number, covered: boolean])[] {
  const ranges: (readonly [number, number, boolean])[] = [];
  let next = 0;
  for (const { first, below } of files) {
    if (first > next) ranges.push([next, first, false]);
    ranges.push([first, below, true]);
    next = below;
  }
  return [...ranges, [next, everyUser, false]];
}

/** The end of the leading part of [first, below) that has some `rangeRows` rows; short rests belong to it. */
async function leadingPart(
  connection: DuckDBConnection,
  rangeRows: number,
  first: number,
  below: number,
): Promise<number> {
  const blocks = await rowsByBlock(connection, 'interactions', first, below);
  for (const [block, rows] of await rowsByBlock(connection, 'recent', first, below))
    blocks.set(block, (blocks.get(block) ?? 0) + rows);
  const ascending = [...blocks].sort(([a], [b]) => a - b);
  const total = ascending.reduce((sum, [, rows]) => sum + rows, 0);
  const end = ((ascending.at(-1)?.[0] ?? 0) + 1) * blockUsers;
  if (total <= 1.5 * rangeRows) return Math.min(below, end);
  let taken = 0;
  for (const [block, rows] of ascending) {
    if (taken > 0 && taken + rows > rangeRows) return block * blockUsers;
    taken += rows;
  }
  return Math.min(below, end);
}

/**
 * Makes the lookup file of the leading users of [first, below), in one transaction. With `merges`, `recent` is merged into
 * `interactions` for them before that.
 */
async function buildRange(
  connection: DuckDBConnection,
  lookups: Lookups,
  [first, below]: readonly [number, number],
  merges: boolean,
): Promise<void> {
  const end = await leadingPart(connection, lookups.rangeRows, first, below);
  const own = usersIn(first, end);
  await transaction(connection, async () => {
    if (merges) {
      await mergeRows(connection, own);
      await lookups.buildRows(connection, 'merged', first, end);
      await connection.run('DROP TABLE merged');
    } else {
      const rows = `(SELECT * FROM interactions WHERE ${own} ORDER BY "user", item)`;
      await lookups.buildRows(connection, rows, first, end);
    }
    failpoint('merge:built');
  });
}

/** Merges `recent` into `interactions` for users; their rows, in order, stay as the table `merged`. */
async function mergeRows(connection: DuckDBConnection, own: string): Promise<void> {
  const part = (table: string) => `(SELECT * FROM ${table} WHERE ${own})`;
  await connection.run(`CREATE OR REPLACE TEMP TABLE merged AS
    SELECT * FROM (SELECT * FROM ${part('recent')} UNION ALL
      SELECT * FROM ${part('interactions')} ANTI JOIN ${part('recent')} USING ("user", item)) ORDER BY "user", item`);
  await connection.run(`DELETE FROM interactions WHERE ${own}`);
  await connection.run(`DELETE FROM recent WHERE ${own}`);
  await connection.run('INSERT INTO interactions SELECT * FROM merged');
}

/** The first range that has settled rows and no file. */
async function nextUncovered(
  connection: DuckDBConnection,
  files: readonly LookupRange[],
): Promise<readonly [first: number, below: number] | undefined> {
  for (const [first, below, covered] of allRanges(files)) {
    if (covered) continue;
    const user = await scalar(
      connection,
      `SELECT min("user") FROM interactions WHERE ${usersIn(first, below)}`,
    );
    if (user !== null && user !== undefined)
      return [Math.max(first, Math.floor(Number(user) / blockUsers) * blockUsers), below];
  }
  return undefined;
}

/** The range to merge next, if there are enough recent rows: the one that has most of them. */
async function nextToMerge(
  connection: DuckDBConnection,
  files: readonly LookupRange[],
  recent: number,
  rangeRows: number,
): Promise<readonly [first: number, below: number] | undefined> {
  const ranges = allRanges(files);
  const settled = files.reduce((sum, f) => sum + f.entries, 0);
  if (recent * share <= settled) return undefined;
  const rows = ranges.map(() => 0);
  let at = 0;
  for (const [block, n] of [...(await rowsByBlock(connection, 'recent'))].sort(([a], [b]) => a - b)) {
    while (ranges[at]![1] <= block * blockUsers) at++;
    rows[at]! += n;
  }
  const [first, below] = ranges[rows.indexOf(Math.max(...rows))]!;
  // New users come to those of the last file while it is short.
  const last = files.at(-1);
  return [last?.below === first && last.entries < rangeRows / 2 ? last.first : first, below];
}

/** What is to be done next so that folds stay fast, if anything is. */
async function nextStep(connection: DuckDBConnection, lookups: Lookups): Promise<Step | undefined> {
  const files = await lookups.registered(connection);
  const [sizes] = await all<Record<'users' | 'items' | 'changes' | 'recent', bigint>>(
    connection,
    `SELECT (SELECT coalesce(max(id) + 1, 0) FROM users) AS users, (SELECT coalesce(max(id) + 1, 0) FROM items) AS items,
       (SELECT count(*) FROM changes) AS changes, (SELECT count(*) FROM recent) AS recent`,
  );
  const [users, recent] = [Number(sizes!.users), Number(sizes!.recent)];
  if (sizes!.changes > 2 * users) return async () => void (await connection.run(newestChanges));
  if (files.users.length === 0 && recent + (await count(connection, 'interactions')) < smallRows)
    return undefined;
  for (const name of ['users', 'items'] as const) {
    const [keys, file] = [Number(sizes![name]), files[name][0]];
    if (!file || (keys - file.below) * keyShare > file.below)
      return () => transaction(connection, () => lookups.buildKeys(connection, name));
  }
  const uncovered = await nextUncovered(connection, files.interactions);
  if (uncovered) return () => buildRange(connection, lookups, uncovered, false);
  const range = await nextToMerge(connection, files.interactions, recent, lookups.rangeRows);
  return range && (() => buildRange(connection, lookups, range, true));
}

/**
 * Merges ranges of users, each in a transaction of its own, until nothing is left to do or `milliseconds` are over; a
 * first step is always made.
 */
export async function mergeRecent(
  connection: DuckDBConnection,
  lookups: Lookups,
  milliseconds: number,
): Promise<void> {
  const started = performance.now();
  let made = false;
  do {
    const step = await nextStep(connection, lookups);
    if (!step) break;
    await step();
    made = true;
  } while (performance.now() - started < milliseconds);
  if (made) await lookups.tidy(connection);
}
