import type { PendingErasure, Receipt, StateStore } from '../../../src/contracts/index.js';
import { StageError } from '../../../src/errors.js';
import { failpoint } from '../../../src/runtime/failpoint.js';
import { keysOf } from '../aliases.js';
import type { StateConnections } from '../connections.js';
import { all, type SerialConnection, scalar } from '../database.js';
import { type Erased, eraseUser } from '../erase.js';
import { userHash } from '../erased-ids.js';
import type { Parts } from '../parts.js';

/**
 * Erasures, by the steps `asked`, `erased` (the state has forgotten the user), `gone` (so have the sinks; free pages of the
 * file may still have the id) and `done`. The id goes when `gone` is reached.
 */
export const openErasures = (connections: StateConnections, parts: Parts) => ({
  ...openSteps(connections, parts),
  ...openReceipts(connections.queries),
});

function openSteps(
  { ingest, folds, queries, rewrite }: StateConnections,
  parts: Parts,
): Pick<StateStore, 'beginErasure' | 'eraseUser' | 'finishErasure' | 'rewrite'> {
  async function leaveFreePages(): Promise<void> {
    await rewrite();
    await queries.run("UPDATE erasures SET step = 'done' WHERE step = 'gone'");
    failpoint('forget:rewritten');
  }

  return {
    beginErasure: user =>
      queries.transaction(async c => {
        const askedAt = BigInt(Date.now());
        for (const key of await keysOf(c, user)) {
          const hash = await userHash(c, key);
          // Events that came since the state forgot her go too.
          await c.run("UPDATE erasures SET step = 'asked' WHERE hash = ? AND step = 'erased'", [hash]);
          const pending = `SELECT 1 FROM erasures WHERE hash = ? AND step IN ('asked', 'erased')`;
          if ((await scalar(c, pending, [hash])) === undefined)
            await c.run(
              "INSERT INTO erasures VALUES (?, make_timestamp(?::BIGINT * 1000), ?, 'asked', NULL)",
              [hash, askedAt, key],
            );
        }
        return userHash(c, user);
      }),

    // Also alone among what is taken in: events of hers would come back.
    eraseUser: (hash, build, maxHistory) =>
      ingest.use(() =>
        folds.use(async c => {
          const sql = `SELECT "user", detail FROM erasures WHERE hash = ? AND step = 'asked'`;
          const [row] = await all<{ user: string; detail: string | null }>(c, sql, [hash]);
          if (!row)
            throw new StageError('INTERNAL', `erasure ${hash}: expected one that was begun, found none`);
          const erased = await eraseUser(c, hash, row.user, parts, build, maxHistory);
          failpoint('forget:erased');
          return erased;
        }),
      ),

    async finishErasure(receipt) {
      await queries.run(
        `UPDATE erasures SET "user" = NULL, step = 'gone', detail = ? WHERE hash = ? AND step = 'erased'`,
        [JSON.stringify(receipt), receipt.hash],
      );
      await leaveFreePages();
    },

    rewrite: leaveFreePages,
  };
}

/** Erasures that have not ended, and receipts of those that have. */
function openReceipts(queries: SerialConnection): Pick<StateStore, 'pendingErasures' | 'receipts'> {
  return {
    async pendingErasures() {
      const sql = `SELECT hash, epoch_ms(asked_at) AS asked, "user", step, detail FROM erasures
        WHERE step <> 'done' ORDER BY asked_at, rowid`;
      return (await queries.all(sql)).map(
        (r): PendingErasure => ({
          hash: String(r.hash),
          askedAt: Number(r.asked),
          user: r.user === null ? undefined : String(r.user),
          erased: r.step === 'erased' ? (JSON.parse(String(r.detail)) as Erased) : undefined,
        }),
      );
    },

    receipts: user =>
      queries.use(async c => {
        const key = await scalar(c, "SELECT value FROM settings WHERE key = 'erasureKey'");
        if (key === undefined) return [];
        const hash = await userHash(c, user);
        const sql = `SELECT detail FROM erasures WHERE hash = ? AND step IN ('gone', 'done') ORDER BY asked_at`;
        return (await all(c, sql, [hash])).map(r => JSON.parse(String(r.detail)) as Receipt);
      }),
  };
}
