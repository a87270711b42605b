import { randomUUID } from 'node:crypto';
import { StageError } from '../../src/errors.js';
import type { Frame } from '../../src/gramian/frame.js';
import { isAliased, rowsOfPersons } from './aliases.js';
import type { DuckDBConnection } from './client.js';
import { all, transaction } from './database.js';
import { agedValue, readFrame } from './frame.js';
import { format, type Migration, migrate, migrations, stepsFrom } from './migrations.js';
import { largestSum, type Semantics } from './options.js';

export { largestSum, type Semantics, semanticsOptions, weightRules } from './options.js';

const tables = `
CREATE TABLE settings (key VARCHAR, value VARCHAR);
CREATE TABLE positions (channel INTEGER, source VARCHAR, part VARCHAR, sequence BIGINT, token VARCHAR);
CREATE TABLE inbox (seq BIGINT, channel INTEGER, sequence BIGINT, "user" VARCHAR, item VARCHAR,
  weight INTEGER, op UTINYINT, ts BIGINT, id VARCHAR);
CREATE TABLE parts (file VARCHAR, channel INTEGER, seq BIGINT, sequence BIGINT, first BIGINT, below BIGINT);
CREATE TABLE dead_letters (source VARCHAR, part VARCHAR, sequence BIGINT, code VARCHAR, reason VARCHAR,
  "user" VARCHAR, raw VARCHAR, rejected_at TIMESTAMP);
CREATE TABLE users (id INTEGER, key VARCHAR);
CREATE TABLE items (id INTEGER, key VARCHAR);
CREATE TABLE interactions ("user" INTEGER, item INTEGER, reset BOOLEAN, value BIGINT, ts BIGINT,
  channel INTEGER, sequence BIGINT);
CREATE TABLE recent ("user" INTEGER, item INTEGER, reset BOOLEAN, value BIGINT, ts BIGINT,
  channel INTEGER, sequence BIGINT);
CREATE TABLE departed (item VARCHAR, "user" INTEGER, reset BOOLEAN, value BIGINT, ts BIGINT, channel INTEGER,
  sequence BIGINT, hour INTEGER);
CREATE TABLE lookups (name VARCHAR, file VARCHAR, first BIGINT, below BIGINT, blocks BIGINT, entries BIGINT);
CREATE TABLE aliases (alias INTEGER, known INTEGER, ts BIGINT, channel INTEGER, sequence BIGINT);
CREATE TABLE persons ("user" INTEGER, person INTEGER);
CREATE TABLE changes (change BIGINT, key VARCHAR);
CREATE TABLE marks (channel INTEGER, mark UBIGINT);
CREATE TABLE event_ids (id VARCHAR, source VARCHAR, stream VARCHAR, hour INTEGER);
CREATE TABLE folded (events BIGINT, repeated BIGINT);
CREATE TABLE segments (ordinal BIGINT, id VARCHAR, file VARCHAR, n INTEGER, nnz BIGINT, bytes BIGINT,
  created_at TIMESTAMP);
CREATE TABLE models (version VARCHAR, created_at TIMESTAMP, parent VARCHAR, manifest VARCHAR,
  published BOOLEAN, ordinal BIGINT);
CREATE TABLE retired (file VARCHAR);
CREATE TABLE publications (version VARCHAR, content VARCHAR);
CREATE TABLE runs (id BIGINT, job VARCHAR, trigger VARCHAR, status VARCHAR, started_at TIMESTAMP,
  finished_at TIMESTAMP, detail VARCHAR, version VARCHAR, code VARCHAR);
CREATE TABLE schedules (job VARCHAR, expression VARCHAR, due TIMESTAMP);
CREATE TABLE signals (source VARCHAR, id VARCHAR, type VARCHAR, options VARCHAR, requested_at TIMESTAMP,
  status VARCHAR, version VARCHAR, message VARCHAR, finished_at TIMESTAMP, reported BOOLEAN);
CREATE TABLE erasures (hash VARCHAR, asked_at TIMESTAMP, "user" VARCHAR, step VARCHAR, detail VARCHAR);
`;

/**
 * X as a query (user, item, value > 0, ts of the newest event of the pair). The pairs that changed since the last merge
 * have all their rows in `recent`; the other pairs have them in `settled`. There are, for binary and last, the newest
 * event of each pair, removals included as value 0, so that a late older event stays without effect; for sum, every
 * event since the newest `set` of the pair, so that a late `set` finds what came after it. Rows keep what the
 * events said; `frame` says what of that counts.
 */
export function matrixOf(
  semantics: Semantics,
  { frame, aliased }: View,
  settled = 'interactions',
  recent = 'SELECT * FROM recent',
): string {
  const rowsOfIds = `(${recent} UNION ALL SELECT * FROM ${settled} ANTI JOIN recent USING ("user", item))`;
  const rows = aliased ? rowsOfPersons(rowsOfIds, semantics.interactions === 'sum') : rowsOfIds;
  const value = agedValue(frame, 'value');
  const aged = value === 'value' ? rows : `(SELECT * REPLACE (${value} AS value) FROM ${rows})`;
  if (semantics.interactions !== 'sum') {
    return `SELECT "user", item, value::INTEGER AS value, ts FROM ${aged} WHERE value > 0`;
  }
  const sums = `SELECT "user", item, ${summed(semantics, frame)} AS value, max(ts) AS ts FROM ${aged} GROUP BY "user", item`;
  return `SELECT "user", item, value::INTEGER AS value, ts FROM (${sums}) WHERE value > 0`;
}

/** The value of a pair of `sum` over aged rows: what it is clamped to ages with its newest event. */
export const summed = (semantics: Semantics, frame: Frame): string =>
  `least(sum(value), ${agedValue({ ...frame, edge: undefined }, `${largestSum(semantics)}`, 'max(ts)')})`;

/**
 * Leaves of each user the newest `maxHistory` rows, which the Gramian has; all without. The second key makes it certain
 * which, and items keep their order when they are renumbered.
 */
export const newestRows = (maxHistory: number | undefined): string =>
  maxHistory === undefined
    ? ''
    : `QUALIFY row_number() OVER (PARTITION BY "user" ORDER BY ts DESC, item DESC) <= ${maxHistory}`;

/** How X is seen in its rows. */
export interface View {
  readonly frame: Frame;
  /** Whether users are known by several ids: rows are those of ids. */
  readonly aliased: boolean;
}

export const readView = async (connection: DuckDBConnection): Promise<View> => ({
  frame: await readFrame(connection),
  aliased: await isAliased(connection),
});

/** Makes the view `matrix` of X in the state's frame. */
export const createMatrix = async (connection: DuckDBConnection, semantics: Semantics) =>
  connection.run(`CREATE OR REPLACE VIEW matrix AS ${matrixOf(semantics, await readView(connection))}`);

/** The semantics as settings: what a state is made with, and refuses to be opened without. */
const settingsOf = ({ interactions, weightScale, maxWeight }: Semantics) =>
  ({ interactions, weightScale: String(weightScale), maxWeight: String(maxWeight ?? '') }) as const;

/** The settings of a state; none where there is no state yet. */
export async function storedSettings(connection: DuckDBConnection): Promise<ReadonlyMap<string, string>> {
  const [table] = await all(connection, "SELECT 1 FROM duckdb_tables() WHERE table_name = 'settings'");
  if (!table) return new Map();
  const rows = await all<{ key: string; value: string }>(connection, 'SELECT key, value FROM settings');
  return new Map(rows.map(r => [r.key, r.value]));
}

/** Refuses other semantics than those that the state was made with. */
function assertSameSemantics(stored: ReadonlyMap<string, string>, semantics: Semantics): void {
  for (const [key, value] of Object.entries(settingsOf(semantics))) {
    if ((stored.get(key) ?? '') === value) continue;
    throw new StageError(
      'STATE_MISMATCH',
      `semantics.${key}: this state was made with ${stored.get(key) || 'none'}, the configuration says ${value || 'none'}`,
    );
  }
}

/** Drops the tables of a state that was never finished; refuses a database of somebody else. */
async function dropUnfinished(connection: DuckDBConnection): Promise<void> {
  const ours = new Set([...tables.matchAll(/TABLE (\w+) /g)].map(m => m[1]));
  const found = await all(connection, 'SELECT table_name AS name FROM duckdb_tables()');
  const foreign = found.map(r => String(r.name)).filter(name => !ours.has(name));
  if (foreign.length > 0) {
    throw new StageError(
      'STATE_MISMATCH',
      `state.duckdb: expected a state, found a database with the table ${foreign[0]}; name another directory`,
    );
  }
  await connection.run('DROP VIEW IF EXISTS matrix');
  for (const { name } of found) await connection.run(`DROP TABLE "${name}"`);
}

/**
 * Makes tables, view and settings, all or nothing, in place of what a process that died has left of them. Returns the id
 * of the new state.
 */
export async function createSchema(connection: DuckDBConnection, semantics: Semantics): Promise<string> {
  const id = randomUUID();
  await transaction(connection, async () => {
    await dropUnfinished(connection);
    await connection.run(tables);
    await createMatrix(connection, semantics);
    for (const [key, value] of Object.entries({ format: String(format), ...settingsOf(semantics), id }))
      await connection.run('INSERT INTO settings VALUES (?, ?)', [key, value]);
  });
  return id;
}

/**
 * Makes the schema of a new state, or checks that an existing one was made with the same semantics and brings it to the
 * newest format. A state that is refused is not changed. Returns the id of the state; `path` is its file, if it has one
 * of its own to copy before.
 *
 * @throws StageError `STATE_MISMATCH` for other semantics, and for the format of a newer program.
 */
export async function ensureSchema(
  connection: DuckDBConnection,
  path: string | undefined,
  semantics: Semantics,
  steps: readonly Migration[] = migrations,
): Promise<string> {
  const stored = await storedSettings(connection);
  // The id is set last by programs that made the schema in steps.
  if (!stored.has('id')) return createSchema(connection, semantics);
  const [from, id] = [stored.get('format') ?? 'none', stored.get('id')!];
  const wanted = stepsFrom(from, steps);
  assertSameSemantics(stored, semantics);
  await migrate(connection, path, from, wanted, () => createMatrix(connection, semantics));
  return id;
}
