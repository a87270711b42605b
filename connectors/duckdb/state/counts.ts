import type { StateCounts, StateStore } from '../../../src/contracts/index.js';
import type { DuckDBConnection } from '../client.js';
import { all, type Row, type SerialConnection, scalar } from '../database.js';
import { agedValue, readFrame } from '../frame.js';
import type { Connecting } from '../histories.js';
import type { Parts } from '../parts.js';

/** The figures of a state that take a pass over X. */
type MatrixCounts = Pick<StateCounts, 'interactions' | 'valued' | 'pairs' | 'newestEvent' | 'aged'>;

/** Rows of X that would count if nothing grew old. */
async function countAged(connection: DuckDBConnection): Promise<number> {
  const value = agedValue(await readFrame(connection), 'value');
  if (value === 'value') return 0;
  const rows = `(FROM recent UNION ALL FROM interactions ANTI JOIN recent USING ("user", item))`;
  return Number(await scalar(connection, `SELECT count(*) FROM ${rows} WHERE value > 0 AND ${value} = 0`));
}

/** Sizes of a state. */
export function openCounts(
  database: Connecting,
  queries: SerialConnection,
  parts: Parts,
): Pick<StateStore, 'counts' | 'userCount' | 'pending' | 'folded'> {
  const number = (sql: string): Promise<number> => queries.scalar(sql).then(Number);
  /** How many events wait, and the time of the newest. */
  const waiting = () =>
    queries.use(async c => {
      const sql = `SELECT count(*) AS events, max(ts)::DOUBLE AS newest FROM ${await parts.waiting(c)}`;
      const [row] = await all(c, sql);
      return { events: Number(row!.events), newest: row!.newest === null ? undefined : Number(row!.newest) };
    });
  /** The figures of X by `maxHistory`, and the state of X that they are of. */
  const known = new Map<number | undefined, { readonly of: string; readonly counts: MatrixCounts }>();

  /** Counts on a connection of its own, so that ingest does not wait for it, and only if X has changed. */
  async function matrixCounts(of: string, maxHistory: number | undefined): Promise<MatrixCounts> {
    const last = known.get(maxHistory);
    if (last?.of === of) return last.counts;
    const kept = maxHistory === undefined ? 'd' : `least(d, ${maxHistory})`;
    const connection = await database.connect();
    let rows: Row[];
    let aged: number;
    try {
      aged = await countAged(connection);
      rows = await all(
        connection,
        `SELECT coalesce(sum(d), 0)::DOUBLE AS interactions, coalesce(sum(${kept} * ${kept}), 0)::DOUBLE AS pairs,
           coalesce(max(most), 1) AS most, max(newest)::DOUBLE AS newest
         FROM (SELECT count(*) AS d, max(value) AS most, max(ts) AS newest FROM matrix GROUP BY "user")`,
      );
    } finally {
      connection.closeSync();
    }
    const { interactions, pairs, most, newest } = rows[0]!;
    const counts = {
      interactions: Number(interactions),
      valued: Number(most) !== 1,
      pairs: Number(pairs),
      newestEvent: newest === null ? undefined : Number(newest),
      aged,
    };
    known.set(maxHistory, { of, counts });
    return counts;
  }

  return {
    async counts(maxHistory) {
      const [row] = await queries.all(
        `SELECT (SELECT count(*) FROM dead_letters) AS dead,
           (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM items) AS items,
           (SELECT coalesce(max(repeated), 0) FROM folded) AS repeated,
           (SELECT coalesce(max(events), 0) FROM folded) AS folded,
           (SELECT coalesce(max(change), 0) FROM changes) AS change,
           (SELECT value FROM settings WHERE key = 'frame') AS frame,
           (SELECT count(*) FROM interactions) AS settled, (SELECT count(*) FROM recent) AS recent`,
      );
      const r = row!;
      // Each fold, each erasure and each move of the frame changes one of these.
      const of = [r.frame, r.folded, r.change, r.settled, r.recent, r.users, r.items].join();
      const matrix = await matrixCounts(of, maxHistory);
      const { events, newest } = await waiting();
      const times = [newest, matrix.newestEvent];
      const known = times.filter(time => time !== undefined);
      return {
        inbox: events,
        deadLetters: Number(r.dead),
        repeated: Number(r.repeated),
        users: Number(r.users),
        items: Number(r.items),
        ...matrix,
        newestEvent: known.length > 0 ? Math.max(...known) : undefined,
      };
    },

    userCount: () => number('SELECT count(*) FROM users'),
    pending: () =>
      queries.use(async c => Number(await scalar(c, `SELECT count(*) FROM ${await parts.waiting(c)}`))),
    folded: () => number('SELECT coalesce(max(events), 0) FROM folded'),
  };
}
