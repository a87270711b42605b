import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { StageError } from '../../src/errors.js';
import { maxFixedPoint } from '../../src/stages/events.js';
import type { DuckDBConnection } from './client.js';
import { all, transaction } from './database.js';
import { format, type Migration, migrate, migrations, stepsFrom } from './migrations.js';

/** What an event means for the interaction of its user and item; fixed when a state is made. */
export const semanticsOptions = z
  .strictObject({
    interactions: z
      .enum(['binary', 'last', 'sum'])
      .default('binary')
      .describe('binary: present or not; last: the newest weight; sum: weights add up, `remove` subtracts'),
    weightScale: z
      .int()
      .min(1)
      .max(65536)
      .optional()
      .describe('fixed-point units in a weight of 1; default 1 for binary, 100 otherwise'),
    maxWeight: z.number().positive().optional().describe('sums are clamped to this weight (sum only)'),
  })
  .transform(o => ({ ...o, weightScale: o.weightScale ?? (o.interactions === 'binary' ? 1 : 100) }));
export type Semantics = z.output<typeof semanticsOptions>;

const tables = `
CREATE TABLE IF NOT EXISTS settings (key VARCHAR, value VARCHAR);
CREATE TABLE IF NOT EXISTS positions (channel INTEGER, source VARCHAR, part VARCHAR, sequence BIGINT, token VARCHAR);
CREATE TABLE IF NOT EXISTS inbox (seq BIGINT, channel INTEGER, sequence BIGINT, "user" VARCHAR, item VARCHAR,
  weight INTEGER, op UTINYINT, ts BIGINT, id VARCHAR);
CREATE TABLE IF NOT EXISTS dead_letters (source VARCHAR, part VARCHAR, sequence BIGINT, code VARCHAR, reason VARCHAR,
  "user" VARCHAR, raw VARCHAR, rejected_at TIMESTAMP);
CREATE TABLE IF NOT EXISTS users (id INTEGER, key VARCHAR);
CREATE TABLE IF NOT EXISTS items (id INTEGER, key VARCHAR);
CREATE TABLE IF NOT EXISTS interactions ("user" INTEGER, item INTEGER, reset BOOLEAN, value BIGINT, ts BIGINT,
  channel INTEGER, sequence BIGINT);
CREATE TABLE IF NOT EXISTS changes (change BIGINT, key VARCHAR);
CREATE TABLE IF NOT EXISTS marks (channel INTEGER, mark UBIGINT);
CREATE TABLE IF NOT EXISTS event_ids (id VARCHAR, source VARCHAR, stream VARCHAR);
CREATE TABLE IF NOT EXISTS folded (events BIGINT, repeated BIGINT);
CREATE TABLE IF NOT EXISTS segments (ordinal BIGINT, id VARCHAR, file VARCHAR, n INTEGER, nnz BIGINT, bytes BIGINT,
  created_at TIMESTAMP);
CREATE TABLE IF NOT EXISTS models (version VARCHAR, created_at TIMESTAMP, parent VARCHAR, manifest VARCHAR,
  published BOOLEAN, ordinal BIGINT);
CREATE TABLE IF NOT EXISTS retired (file VARCHAR);
CREATE TABLE IF NOT EXISTS publications (version VARCHAR, content VARCHAR);
CREATE TABLE IF NOT EXISTS runs (id BIGINT, job VARCHAR, trigger VARCHAR, status VARCHAR, started_at TIMESTAMP,
  finished_at TIMESTAMP, detail VARCHAR, version VARCHAR, code VARCHAR);
CREATE TABLE IF NOT EXISTS schedules (job VARCHAR, expression VARCHAR, due TIMESTAMP);
CREATE TABLE IF NOT EXISTS signals (source VARCHAR, id VARCHAR, type VARCHAR, options VARCHAR, requested_at TIMESTAMP,
  status VARCHAR, version VARCHAR, message VARCHAR, finished_at TIMESTAMP, reported BOOLEAN);
`;

/**
 * X as a view (user, item, value > 0, ts of the newest event of the pair). `interactions` holds, for binary and last, the newest event of each
 * pair, removals included as value 0, so that a late older event stays without effect; for sum, every
 * event since the newest `set` of the pair, so that a late `set` finds what came after it.
 */
function matrixView({ interactions, weightScale, maxWeight }: Semantics): string {
  if (interactions !== 'sum') {
    return `SELECT "user", item, value::INTEGER AS value, ts FROM interactions WHERE value > 0`;
  }
  const most = Math.min(maxFixedPoint, Math.max(1, Math.round((maxWeight ?? maxFixedPoint) * weightScale)));
  return `SELECT "user", item, least(sum(value), ${most})::INTEGER AS value, max(ts) AS ts
    FROM interactions
    GROUP BY "user", item HAVING sum(value) > 0`;
}

/** The semantics as settings: what a state is made with, and refuses to be opened without. */
const settingsOf = ({ interactions, weightScale, maxWeight }: Semantics) =>
  ({ interactions, weightScale: String(weightScale), maxWeight: String(maxWeight ?? '') }) as const;

async function storedSettings(connection: DuckDBConnection): Promise<ReadonlyMap<string, string>> {
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

/** Makes tables, view and settings, all or nothing. Returns the id of the new state. */
async function createSchema(connection: DuckDBConnection, semantics: Semantics): Promise<string> {
  const id = randomUUID();
  await transaction(connection, async () => {
    await connection.run(tables);
    await connection.run(`CREATE OR REPLACE VIEW matrix AS ${matrixView(semantics)}`);
    for (const [key, value] of Object.entries({ format: String(format), ...settingsOf(semantics), id }))
      await connection.run('INSERT INTO settings VALUES (?, ?)', [key, value]);
  });
  return id;
}

/**
 * Makes the schema of a new state, or checks that an existing one was made with the same semantics and brings it to the
 * newest format. A state that is refused is not changed. Returns the id of the state; `path` is its file.
 *
 * @throws StageError `STATE_MISMATCH` for other semantics, and for the format of a newer program.
 */
export async function ensureSchema(
  connection: DuckDBConnection,
  path: string,
  semantics: Semantics,
  steps: readonly Migration[] = migrations,
): Promise<string> {
  const stored = await storedSettings(connection);
  if (stored.size === 0) return createSchema(connection, semantics);
  const [from, id] = [stored.get('format') ?? 'none', stored.get('id')!];
  const wanted = stepsFrom(from, steps);
  assertSameSemantics(stored, semantics);
  await migrate(connection, path, from, wanted);
  return id;
}
