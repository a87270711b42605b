/** SELECT over the views of a state: what it sees, and that it reaches nothing else and stays within its bounds. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { semanticsOptions } from '#connectors/duckdb/schema.js';
import { viewsOf } from '#connectors/duckdb/state/views.js';
import { openState } from '#connectors/duckdb/state.js';
import type { StateStore } from '#src/contracts/index.js';

const semantics = semanticsOptions.parse({ interactions: 'sum', weightScale: 4 });
const bounds = { rows: 100, timeoutMs: 30_000 };
const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-query-'));
let store: StateStore;

beforeAll(async () => {
  store = await openState(directory, semantics);
  const events = {
    length: 3,
    user: ['ann', 'ann', 'bob'],
    item: ['tea', 'jam', 'tea'],
    weight: Int32Array.of(4, 6, 8),
    op: Uint8Array.of(0, 0, 0),
    ts: Float64Array.of(1000, 2000, 3000),
    id: ['secret-1', null, null],
    sequence: Float64Array.of(0, 1, 2),
  };
  const dead = [{ partition: 'p', sequence: 3, code: 'user', reason: 'no user', raw: '{}' }];
  await store.append('s', [{ events, dead, position: { partition: 'p', sequence: 3 } }]);
  await store.fold(100, undefined, 1e9);
  const late = { ...events, sequence: Float64Array.of(4, 5, 6) };
  await store.append('s', [{ events: late, dead: [], position: { partition: 'p', sequence: 6 } }]);
  await store.endRun((await store.startRun('fold', 'cli')).id, { status: 'done', detail: 'well' });
});
afterAll(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

const ask = (sql: string, more: object = {}) => store.query(sql, { ...bounds, ...more });

describe('views', () => {
  it('have what the state has, in the words of the configuration', async () => {
    const interactions = await ask('FROM interactions ORDER BY ALL');
    expect(interactions.columns).toEqual(['user', 'item', 'weight', 'occurred_at']);
    expect(interactions.rows).toEqual([
      ['ann', 'jam', 1.5, '1970-01-01 00:00:02'],
      ['ann', 'tea', 1, '1970-01-01 00:00:01'],
      ['bob', 'tea', 2, '1970-01-01 00:00:03'],
    ]);
    expect((await ask('FROM items ORDER BY ALL')).rows).toEqual([
      ['jam', '1'],
      ['tea', '2'],
    ]);
    expect((await ask('SELECT job, status, detail FROM runs')).rows).toEqual([['fold', 'done', 'well']]);
    expect((await ask('SELECT source, code FROM dead_letters')).rows).toEqual([['s', 'user']]);
    expect((await ask('SELECT source, sequence FROM positions')).rows).toEqual([['s', '6']]);
    expect((await ask('SELECT op, weight FROM inbox ORDER BY sequence')).rows[0]).toEqual(['add', 1]);
  });

  it('can all be read, joined and listed', async () => {
    const names = Object.keys(viewsOf(semantics));
    for (const name of names) await expect(ask(`SELECT count(*) FROM ${name}`)).resolves.toBeDefined();
    expect((await ask('SHOW TABLES')).rows.flat().sort()).toEqual([...names].sort());
    const joined = 'WITH x AS (FROM Users) SELECT count(*) FROM x JOIN "interactions" USING ("user");';
    expect((await ask(joined)).rows).toEqual([['3']]);
  });

  it('keep their order and say when there is more', async () => {
    expect(await ask('SELECT range FROM range(10) ORDER BY range DESC', { rows: 2 })).toMatchObject({
      rows: [['9'], ['8']],
      truncated: true,
    });
    expect(await ask('SELECT 1', { rows: 1 })).toMatchObject({ truncated: false });
  });
});

it.each([
  ['a file', "FROM read_text('/etc/passwd')", /file system operations are disabled/],
  ['a file by its name', "FROM '/etc/passwd'", /does not exist|disabled/],
  ['a directory', "FROM glob('/*')", /file system operations are disabled/],
  ['a file to write', "COPY runs TO '/tmp/sansa-stream-query.csv'", /expected one SELECT|disabled/],
  ['another database', "ATTACH 'x.duckdb'", /expected one SELECT|disabled/],
  ['an extension', 'LOAD httpfs', /expected one SELECT/],
  ['a setting', 'SET enable_external_access = true', /expected one SELECT/],
  ['a change', 'DELETE FROM runs', /expected one SELECT/],
  ['two statements', 'SELECT 1; DROP TABLE runs', /expected one SELECT, found 2 statements/],
  ['none', ' ', /expected one SELECT, found nothing/],
  ['a closing bracket', 'SELECT 1) UNION ALL (SELECT 2', /syntax error/],
  ['another table', 'FROM settings', /settings does not exist/],
  ['ids of events', 'FROM event_ids', /event_ids does not exist/],
  ['too much memory', 'SELECT list(range) FROM range(100000000)', /takes more than the 64MiB/],
  ['a large answer', "SELECT repeat('x', 17000000)", /answer is larger than 16 MiB/],
])('refuses %s', async (_, sql, message) => {
  await expect(ask(sql)).rejects.toMatchObject({ code: 'USAGE', message: expect.stringMatching(message) });
  expect(existsSync('/tmp/sansa-stream-query.csv')).toBe(false);
  expect((await ask('SELECT count(*) FROM runs')).rows).toEqual([['1']]);
});

const endless = 'SELECT sum(hash(a.range + b.range)) FROM range(1000000) a, range(1000000) b';

it('cuts off a query after its time, and one that nobody waits for', async () => {
  const started = Date.now();
  await expect(ask(endless, { timeoutMs: 200 })).rejects.toMatchObject({ code: 'INTERRUPTED' });
  const left = AbortSignal.timeout(200);
  await expect(store.query(endless, bounds, left)).rejects.toMatchObject({ code: 'INTERRUPTED' });
  expect(Date.now() - started).toBeLessThan(20_000);
});
