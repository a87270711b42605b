import type { StateStore } from '../../../src/contracts/index.js';
import { type SerialConnection, scalar } from '../database.js';
import type { Parts } from '../parts.js';

/** Sizes of a state. */
export function openCounts(
  queries: SerialConnection,
  parts: Parts,
): Pick<StateStore, 'counts' | 'userCount' | 'pending' | 'folded' | 'deadLetters'> {
  const number = (sql: string): Promise<number> => queries.scalar(sql).then(Number);
  const pending = (): Promise<number> =>
    queries.use(async c => Number(await scalar(c, `SELECT count(*) FROM ${await parts.waiting(c)}`)));
  return {
    async counts(maxHistory) {
      const kept = maxHistory === undefined ? 'd' : `least(d, ${maxHistory})`;
      const [row] = await queries.all(
        `SELECT (SELECT count(*) FROM dead_letters) AS dead,
             (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM items) AS items,
             (SELECT coalesce(max(repeated), 0) FROM folded) AS repeated,
             coalesce(sum(d), 0)::DOUBLE AS interactions, coalesce(sum(${kept} * ${kept}), 0)::DOUBLE AS pairs,
             coalesce(max(most), 1) AS most
           FROM (SELECT count(*) AS d, max(value) AS most FROM matrix GROUP BY "user")`,
      );
      const r = row!;
      return {
        inbox: await pending(),
        deadLetters: Number(r.dead),
        repeated: Number(r.repeated),
        users: Number(r.users),
        items: Number(r.items),
        interactions: Number(r.interactions),
        valued: Number(r.most) !== 1,
        pairs: Number(r.pairs),
      };
    },

    userCount: () => number('SELECT count(*) FROM users'),
    pending,
    folded: () => number('SELECT coalesce(max(events), 0) FROM folded'),

    async deadLetters(limit) {
      const rows = await queries.all(`SELECT * FROM dead_letters ORDER BY rejected_at DESC LIMIT ${limit}`);
      return rows.map(r => ({
        source: String(r.source),
        partition: String(r.part),
        sequence: Number(r.sequence),
        code: String(r.code),
        reason: String(r.reason),
        user: r.user === null ? undefined : String(r.user),
        raw: String(r.raw),
      }));
    },
  };
}
