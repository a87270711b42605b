import type { Kept, Outdated, StateStore } from '../../../src/contracts/index.js';
import type { DuckDBConnection } from '../client.js';
import type { StateConnections } from '../connections.js';
import { scalar } from '../database.js';
import { hourOf } from '../migrations.js';

const removed = async (connection: DuckDBConnection, sql: string): Promise<number> =>
  Number(await scalar(connection, sql));

/** Whether a row of `table`, in the order of `newest`, is too old by `at` or behind the newest that are kept. */
const outdated = (table: string, at: string, newest: string, { keep, maxAgeMs }: Kept): string =>
  `(${at} < make_timestamp(${Date.now() - maxAgeMs}::BIGINT * 1000) OR ${table}.rowid IN (
     SELECT rowid FROM ${table} ORDER BY ${newest} DESC, rowid DESC OFFSET ${keep}))`;

/**
 * A run is still needed while it is under way, and where it is the newest of its job, made a model that there is or
 * published it, or was started by a signal whose source does not know the end: such a run is not made again.
 */
const neededRuns = `SELECT r.id FROM runs r WHERE status = 'running'
  OR EXISTS (SELECT 1 FROM models m WHERE m.version = r.version OR r.trigger = 'refit:' || m.version)
  OR EXISTS (SELECT 1 FROM signals s WHERE NOT s.reported AND contains(r.trigger, s.id))
  UNION SELECT max(id) FROM runs GROUP BY job`;

/** The removal of what a state need not remember any more. */
export function openRetention({ folds, queries }: StateConnections): Pick<StateStore, 'removeOutdated'> {
  return {
    async removeOutdated({ dedupeMs, deadLetters, runs }) {
      const hour = String(hourOf(Date.now()));
      if ((await queries.scalar("SELECT value FROM settings WHERE key = 'retained'")) === hour)
        return undefined;
      const old = `hour < ${hourOf(Date.now() - dedupeMs)}`;
      const eventIds = await folds.use(async c => {
        await c.run(`DELETE FROM departed WHERE ${old}`);
        return removed(c, `DELETE FROM event_ids WHERE ${old}`);
      });
      const noted = await queries.use(async c => ({
        deadLetters: await removed(
          c,
          `DELETE FROM dead_letters WHERE ${outdated('dead_letters', 'rejected_at', 'rejected_at', deadLetters)}`,
        ),
        runs: await removed(
          c,
          `DELETE FROM runs WHERE ${outdated('runs', 'started_at', 'id', runs)} AND id NOT IN (${neededRuns})`,
        ),
        signals: await removed(
          c,
          `DELETE FROM signals WHERE reported AND ${outdated('signals', 'finished_at', 'finished_at', runs)}`,
        ),
      }));
      await queries.transaction(async c => {
        await c.run("DELETE FROM settings WHERE key = 'retained'");
        await c.run("INSERT INTO settings VALUES ('retained', ?)", [hour]);
      });
      return { eventIds, ...noted } satisfies Outdated;
    },
  };
}
