/** What people see of events that grow old, and of users with several ids, in a pipeline with a query as its source. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, expect, it } from 'vitest';
import { openShard } from '#connectors/duckdb/shard.js';
import { createPipeline, foldStep, type Pipeline, type PipelineOptions, refitStep } from '#jobs/index.js';

const root = mkdtempSync(join(tmpdir(), 'ages-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function warehouse(directory: string, ...statements: readonly string[]): Promise<void> {
  const instance = await DuckDBInstance.create(join(directory, 'warehouse.duckdb'));
  const connection = await instance.connect();
  for (const sql of statements) await connection.run(sql);
  connection.closeSync();
  instance.closeSync();
}

const optionsOf = (semantics: PipelineOptions['semantics']): PipelineOptions => ({
  semantics,
  sources: [{ type: 'duckdb', database: 'warehouse.duckdb', query: 'SELECT * FROM events', cursor: 'n' }],
  gramian: { mode: 'stored' },
  fit: { solver: 'exact', l2: 1, userWeighting: 0 },
  database: { threads: 1 },
});

async function using<T>(
  directory: string,
  semantics: PipelineOptions['semantics'],
  body: (p: Pipeline) => Promise<T>,
) {
  const p = await createPipeline(optionsOf(semantics), { baseDirectory: directory });
  try {
    return await body(p);
  } finally {
    await p.close();
  }
}

/** The interactions of a state, as people see them. */
const seen = async ({ parts: { store } }: Pipeline) =>
  (
    await store.query('SELECT "user", item, weight FROM interactions ORDER BY ALL', {
      rows: 100,
      timeoutMs: 10_000,
    })
  ).rows;

it('a window, a half-life and none of them are moved to by the next fold, and refits see it', async () => {
  const directory = mkdtempSync(join(root, 'ages-'));
  await warehouse(
    directory,
    `CREATE TABLE events AS SELECT * FROM (VALUES ('u', 'a', TIMESTAMP '2026-03-01', 1), ('u', 'b', TIMESTAMP '2026-02-01', 2),
       ('v', 'a', TIMESTAMP '2025-03-01', 3), ('v', 'b', TIMESTAMP '2026-03-01', 4)) e("user", item, ts, n)`,
  );
  const whole = [
    ['u', 'a', 1],
    ['u', 'b', 1],
    ['v', 'a', 1],
    ['v', 'b', 1],
  ];
  const first = await using(directory, {}, async p => {
    await p.ingest();
    const version = await refitStep(p, { trigger: 'cli' });
    expect(await seen(p)).toEqual(whole);
    expect((await p.manifestOf(version)).ageing).toBeUndefined();
    return version;
  });
  await using(directory, { window: '30d', halfLife: '28d' }, async p => {
    expect(await foldStep(p, { trigger: 'settings' })).toBe(0);
    expect(await seen(p)).toEqual([
      ['u', 'a', 1],
      ['u', 'b', 0.5],
      ['v', 'b', 1],
    ]);
    expect(await p.verify()).toMatchObject({ differing: 0, mode: 'stored' });
    const version = await refitStep(p, { trigger: 'cli' });
    expect(version).not.toBe(first);
    const { ageing } = await p.manifestOf(version);
    expect(ageing).toMatchObject({ halfLifeMs: 28 * 86_400_000, halfLives: 8 });
    expect(Date.parse(ageing!.since!)).toBeLessThanOrEqual(Date.parse('2026-01-30'));
    expect(await p.parts.store.counts()).toMatchObject({ aged: 1, interactions: 3 });
    const G = await p.gramianEntries(directory);
    expect([...G.blocks()].flatMap(({ values }) => [...values])).toEqual([1, 0.5, 0.5, 1.25]);
    G.close();
    expect(await refitStep(p, { trigger: 'cli' })).toBe(version);
  });
  await expect(openShard(join(directory, 'state'), 2 ** 28)).rejects.toMatchObject({
    code: 'STATE_MISMATCH',
    message: expect.stringMatching(/semantics\.halfLife: expected none/),
  });
  await using(directory, {}, async p => {
    await foldStep(p, { trigger: 'back' });
    expect(await seen(p)).toEqual(whole);
    expect(await p.verify()).toMatchObject({ differing: 0, mode: 'stored' });
  });
});

it('a visitor who logs in is the user, whom either id names and forgets', async () => {
  const directory = mkdtempSync(join(root, 'ids-'));
  await warehouse(
    directory,
    `CREATE TABLE events AS SELECT * FROM (VALUES ('visitor', 'a', 'add', 1), ('ann', 'b', 'add', 2), ('bob', 'a', 'add', 3),
       ('bob', 'b', 'add', 4), ('bob', 'c', 'add', 5), ('visitor', 'ann', 'alias', 6)) e("user", item, op, n)`,
  );
  await using(directory, {}, async p => {
    await p.ingest();
    await refitStep(p, { trigger: 'cli' });
    expect(await seen(p)).toEqual([
      ['ann', 'a', 1],
      ['ann', 'b', 1],
      ['bob', 'a', 1],
      ['bob', 'b', 1],
      ['bob', 'c', 1],
    ]);
    expect((await p.recommend('visitor', 3)).items).toEqual((await p.recommend('ann', 3)).items);
    expect((await p.recommend('visitor', 3)).items).toEqual(['c']);
    const users: string[] = [];
    for await (const { keys } of p.parts.store.histories(10)) users.push(...keys);
    expect(users.sort()).toEqual(['ann', 'bob']);
    const { rows } = await p.parts.store.query('SELECT alias, known, "user" FROM aliases', {
      rows: 10,
      timeoutMs: 10_000,
    });
    expect(rows).toEqual([['visitor', 'ann', 'ann']]);
    await p.forget('visitor');
    expect((await seen(p)).map(([user]) => user)).toEqual(['bob', 'bob', 'bob']);
    expect([await p.receipts('ann'), await p.receipts('visitor')].map(r => r.length)).toEqual([1, 1]);
    expect(await p.verify()).toMatchObject({ differing: 0, mode: 'stored' });
  });
});
