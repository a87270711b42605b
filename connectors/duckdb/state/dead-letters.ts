import type { DeadLetterFilter, StateStore } from '../../../src/contracts/index.js';
import { type SerialConnection, scalar } from '../database.js';

/** The rows that a filter asks for, with its values as parameters 1 to 3. */
const asked = `($1 IS NULL OR source = $1) AND ($2 IS NULL OR code = $2)
  AND ($3 IS NULL OR rejected_at >= make_timestamp($3::BIGINT * 1000))`;
const valuesOf = ({ source, code, since }: DeadLetterFilter) => [
  source ?? null,
  code ?? null,
  since === undefined ? null : BigInt(Math.ceil(since)),
];

/** Records that could not become events. */
export function openDeadLetters(
  queries: SerialConnection,
): Pick<StateStore, 'deadLetters' | 'deadLetterCounts' | 'dropDeadLetters'> {
  return {
    async deadLetters(limit, filter = {}) {
      const sql = `SELECT *, epoch_ms(rejected_at) AS rejected FROM dead_letters WHERE ${asked}
        ORDER BY rejected_at DESC LIMIT ${limit}`;
      return (await queries.all(sql, valuesOf(filter))).map(r => ({
        source: String(r.source),
        partition: String(r.part),
        sequence: Number(r.sequence),
        code: String(r.code),
        reason: String(r.reason),
        user: r.user === null ? undefined : String(r.user),
        raw: String(r.raw),
        rejectedAt: Number(r.rejected),
      }));
    },

    async deadLetterCounts(filter = {}) {
      const sql = `SELECT source, code, count(*) AS n, epoch_ms(min(rejected_at)) AS first, epoch_ms(max(rejected_at)) AS last
        FROM dead_letters WHERE ${asked} GROUP BY source, code ORDER BY n DESC, source, code`;
      return (await queries.all(sql, valuesOf(filter))).map(r => ({
        source: String(r.source),
        code: String(r.code),
        count: Number(r.n),
        first: Number(r.first),
        last: Number(r.last),
      }));
    },

    dropDeadLetters: filter =>
      queries.use(async c =>
        Number((await scalar(c, `DELETE FROM dead_letters WHERE ${asked}`, valuesOf(filter))) ?? 0),
      ),
  };
}
