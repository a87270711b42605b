import { type Frame, halfLivesOf } from '../../../src/gramian/frame.js';
import type { Semantics } from '../schema.js';

/**
 * The views of a state that anybody may query, by name, as queries over its tables; `waiting` are the events that wait for a
 * fold, as a relation. Their columns are a promise.
 */
export const viewsOf = (
  { weightScale }: Semantics,
  waiting = 'inbox',
  frame: Frame = {},
): Readonly<Record<string, string>> => ({
  runs: 'SELECT id, job, trigger, status, started_at, finished_at, detail, version, code FROM runs',
  models: `SELECT version, created_at, parent, published, manifest->>'solver' AS solver,
      (manifest->>'$.items.count')::BIGINT AS items, (manifest->>'users')::BIGINT AS users,
      (manifest->>'interactions')::BIGINT AS interactions, (manifest->>'events')::BIGINT AS events,
      (manifest->>'parameters')::BIGINT AS parameters, (manifest->>'weightsBytes')::BIGINT AS bytes, manifest
    FROM (SELECT * REPLACE (manifest::JSON AS manifest) FROM models)`,
  dead_letters: `SELECT source, part AS partition, sequence, code, reason, "user", raw, rejected_at FROM dead_letters`,
  inbox: `SELECT p.source, p.part AS partition, e.sequence, e."user", e.item, e.weight / ${weightScale} AS weight,
      CASE e.op WHEN 0 THEN 'add' WHEN 1 THEN 'remove' WHEN 2 THEN 'set' ELSE 'alias' END AS op, make_timestamp(e.ts * 1000) AS occurred_at, e.id
    FROM ${waiting} e JOIN positions p USING (channel)`,
  interactions: `SELECT u.key AS "user", i.key AS item, m.value / ${weightScale * 2 ** halfLivesOf(frame)} AS weight, make_timestamp(m.ts * 1000) AS occurred_at
    FROM matrix m JOIN users u ON m."user" = u.id JOIN items i ON m.item = i.id`,
  users: `SELECT u.key AS "user", coalesce(m.items, 0) AS items
    FROM users u LEFT JOIN (SELECT "user", count(*) AS items FROM matrix GROUP BY "user") m ON m."user" = u.id`,
  aliases: `SELECT a.key AS alias, k.key AS known, p.key AS "user", make_timestamp(l.ts * 1000) AS occurred_at
    FROM aliases l JOIN users a ON a.id = l.alias JOIN users k ON k.id = l.known
      LEFT JOIN persons s ON s."user" = l.alias LEFT JOIN users p ON p.id = coalesce(s.person, l.alias)`,
  items: `SELECT i.key AS item, coalesce(m.users, 0) AS users
    FROM items i LEFT JOIN (SELECT item, count(*) AS users FROM matrix GROUP BY item) m ON m.item = i.id`,
  positions: 'SELECT source, part AS partition, sequence FROM positions',
  segments: 'SELECT file, n AS items, nnz AS entries, bytes, created_at FROM segments',
  schedules: 'SELECT job, expression, due FROM schedules',
  signals: `SELECT source, id, type, options, requested_at, status, version, message, finished_at FROM signals`,
});
