import type { DuckDBConnection } from './client.js';
import { all, scalar } from './database.js';

/** The number of an event's operation that says that two ids are one user. */
export const aliasOp = 3;

/** Whether users are known by several ids. */
export const isAliased = async (connection: DuckDBConnection): Promise<boolean> =>
  (await scalar(connection, 'SELECT true FROM persons LIMIT 1')) !== undefined;

/**
 * Who is meant by an id, for ids that are linked: where its links lead. `links` are ids by alias, the oldest link first; of
 * links that go in a circle the oldest does not count.
 */
export function personsOf(links: ReadonlyMap<number, number>): Map<number, number> {
  const age = new Map([...links.keys()].map((alias, k) => [alias, k]));
  const persons = new Map<number, number>();
  for (const start of links.keys()) {
    const path: number[] = [];
    const place = new Map<number, number>();
    let at = start;
    while (!persons.has(at) && !place.has(at) && links.has(at)) {
      place.set(at, path.length);
      path.push(at);
      at = links.get(at)!;
    }
    const circle = path.slice(place.get(at) ?? path.length);
    const root = circle.reduce((oldest, id) => (age.get(id)! < age.get(oldest)! ? id : oldest), at);
    const person = persons.get(root) ?? root;
    for (const id of [...path, person]) persons.set(id, person);
  }
  return persons;
}

/** Rows of ids as rows of persons: of each pair those that count are left, by the rules of `matrixOf`. */
export function rowsOfPersons(rows: string, adds: boolean): string {
  const counting = adds
    ? `(ts, channel, sequence) >= coalesce(max(CASE WHEN reset THEN (ts, channel, sequence) END) OVER pair, (ts, channel, sequence))`
    : 'row_number() OVER (pair ORDER BY ts DESC, channel DESC, sequence DESC, value DESC) = 1';
  return `(SELECT * FROM ${rows} ANTI JOIN persons USING ("user") UNION ALL
    SELECT person AS "user", item, reset, value, ts, channel, sequence FROM ${rows} JOIN persons USING ("user")
    WINDOW pair AS (PARTITION BY person, item) QUALIFY ${counting})`;
}

/** Moves the links of the batch from it into the table `linked`, by keys; returns whether there are any. */
export async function setLinksAside(connection: DuckDBConnection): Promise<boolean> {
  await connection.run(`CREATE OR REPLACE TEMP TABLE linked AS
    SELECT seq, "user" AS alias, item AS known, ts, channel, sequence FROM batch WHERE op = ${aliasOp}`);
  const some = (await scalar(connection, 'SELECT true FROM linked LIMIT 1')) !== undefined;
  if (some) await connection.run(`DELETE FROM batch WHERE op = ${aliasOp}`);
  return some;
}

/** Keeps the newest link of each alias, and makes the table `persons_next` of whom ids stand for then. */
export async function takeLinks(connection: DuckDBConnection): Promise<void> {
  await connection.run(`INSERT INTO aliases
    SELECT a.id, k.id, ts, channel, sequence FROM linked JOIN batch_users a ON a.key = alias JOIN batch_users k ON k.key = known`);
  await connection.run(`CREATE OR REPLACE TEMP TABLE newest AS SELECT * FROM aliases
    QUALIFY row_number() OVER (PARTITION BY alias ORDER BY ts DESC, channel DESC, sequence DESC, known) = 1`);
  await connection.run('DELETE FROM aliases; INSERT INTO aliases FROM newest; DROP TABLE newest');
  await makePersons(connection, 'persons_next');
}

/** Makes a temporary table of whom ids stand for, of the table `aliases`. */
async function makePersons(connection: DuckDBConnection, table: string): Promise<void> {
  const rows = await all<{ alias: number; known: number }>(
    connection,
    'SELECT alias, known FROM aliases ORDER BY ts, channel, sequence, alias',
  );
  const persons = personsOf(new Map(rows.map(r => [r.alias, r.known])));
  const size = new Map<number, number>();
  for (const person of persons.values()) size.set(person, (size.get(person) ?? 0) + 1);
  await connection.run(`CREATE OR REPLACE TEMP TABLE ${table} ("user" INTEGER, person INTEGER)`);
  const appender = await connection.createAppender(table, undefined, 'temp');
  try {
    for (const [id, person] of persons) {
      if (size.get(person)! < 2) continue;
      appender.appendInteger(id);
      appender.appendInteger(person);
      appender.endRow();
    }
  } finally {
    appender.closeSync();
  }
}

/** Lets ids stand for whom `persons_next` says. */
export const switchPersons = (connection: DuckDBConnection) =>
  connection.run('DELETE FROM persons; INSERT INTO persons FROM persons_next; DROP TABLE persons_next');

const together = (seeds: string, persons: string): string =>
  `SELECT "user" FROM ${persons} WHERE person IN (SELECT person FROM ${persons} WHERE "user" IN (${seeds}))`;

/** As a query: the ids of the users of `coded` and of the links, with all that stand for the same persons, before and after. */
export function idsTogether(linked: boolean): string {
  const links = `UNION SELECT unnest([a.id, k.id]) FROM linked JOIN batch_users a ON a.key = alias JOIN batch_users k ON k.key = known`;
  const seeds = `SELECT "user" FROM coded ${linked ? links : ''}`;
  const after = linked ? `UNION ${together(seeds, 'persons_next')}` : '';
  return `${seeds} UNION ${together(seeds, 'persons')} ${after}`;
}

/** The keys by which a user is known: the given one first, and those that stand for the same person. */
export async function keysOf(connection: DuckDBConnection, user: string): Promise<readonly string[]> {
  const ids = together('SELECT id FROM users WHERE key = ?', 'persons');
  const rows = await all(connection, `SELECT key FROM users WHERE id IN (${ids})`, [user]);
  return [...new Set([user, ...rows.map(r => String(r.key))])];
}

/** The number of the person that a key stands for. */
export const personOf = (connection: DuckDBConnection, user: string): Promise<unknown> =>
  scalar(
    connection,
    `SELECT coalesce(person, id) FROM users LEFT JOIN persons ON persons."user" = users.id WHERE key = ?`,
    [user],
  );

/** Forgets the links of ids, a query; none of others is left that leads to them. Part of the caller's transaction. */
export async function dropLinks(connection: DuckDBConnection, ids: string, keys: readonly string[]) {
  await connection.run(`DELETE FROM aliases WHERE alias IN ${ids} OR known IN ${ids}`, [...keys, ...keys]);
  await connection.run(`DELETE FROM persons WHERE "user" IN ${ids}`, [...keys]);
}
