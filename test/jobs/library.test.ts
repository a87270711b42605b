/** The library end to end: `createPipeline` on options, from rows of a table to published lists. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createPipeline, type PipelineOptions, refitStep, StageError } from '#jobs/index.js';
import { temporaryDirectory } from '../support/directory.js';
import { runSql } from '../support/duckdb.js';
import { withPipeline } from '../support/with-pipeline.js';

const table = `CREATE TABLE events AS SELECT range AS line, 'u' || range % 31 AS "user",
  'i' || (range * 7 + range // 31) % 23 AS item, 1 + range % 3 AS weight, range AS ts FROM range(400)`;

const optionsOf = (mode: 'stored' | 'implicit' | 'auto'): PipelineOptions => ({
  semantics: { interactions: 'last' },
  gramian: { mode },
  sources: [
    { type: 'duckdb', database: 'w.duckdb', query: 'SELECT * FROM events', cursor: 'line', batchSize: 64 },
  ],
  sinks: [
    { type: 'files', path: 'feeds' },
    { type: 'lmdb', path: 'feeds.lmdb' },
  ],
  fit: { density: 0.5 },
  publish: { k: 5 },
});

it('ingests, folds, fits, recommends, publishes, evaluates, verifies and forgets', async () => {
  const directory = temporaryDirectory();
  await runSql(join(directory, 'w.duckdb'), table);
  await withPipeline(directory, optionsOf('stored'), async p => {
    expect(await p.ingest()).toEqual({ events: 400, deadLetters: 0 });
    expect(await p.ingest()).toEqual({ events: 0, deadLetters: 0 });
    expect(await p.fold()).toMatchObject({ events: 400 });
    const { items, users } = await p.parts.store.counts();
    expect([items, users]).toEqual([23, 31]);
    const version = await refitStep(p, { trigger: 'test' });
    expect((await p.manifestOf()).version).toBe(version);
    expect(await p.verify()).toMatchObject({ differing: 0, broken: [], mode: 'stored' });

    const list = await p.recommend('u3', 5);
    const history = (await p.parts.store.history('u3'))!;
    const keys = await p.parts.store.itemKeys();
    const own = Array.from(history.indices, i => keys[i]!);
    expect(list.items.length).toBeGreaterThan(0);
    expect(list.items.filter(item => own.includes(item))).toEqual([]);
    const scores = Array.from(list.scores);
    expect(scores).toEqual([...scores].sort((a, b) => b - a));
    expect((await p.similar('i4', 3)).items).not.toContain('i4');

    expect(await p.publish()).toMatchObject({ version, users: 31, items: 23 });
    for (const sink of p.parts.sinks) {
      await sink.connect();
      expect(await sink.current()).toBe(version);
      await sink.close();
    }
    const lmdb = p.parts.sinks.find(s => s.get)!;
    await lmdb.connect();
    expect((await lmdb.get!('users', 'u3'))!.items).toEqual(list.items);
    await lmdb.close();

    const metrics = await p.evaluate(
      [
        { user: 'u3', item: list.items[0]! },
        { user: 'nobody', item: 'i1' },
      ],
      5,
    );
    expect(metrics).toMatchObject({ recall: 0.5, ndcg: 0.5, users: 2 });

    expect(await p.forget('u3')).toMatchObject({ users: 1 });
    expect(await p.forget('u3')).toMatchObject({ users: 0, events: 0 });
    await expect(p.recommend('u3', 5)).rejects.toMatchObject({ code: 'UNKNOWN_ID' });
    expect(await p.verify()).toMatchObject({ differing: 0 });
    await p.compact();
    expect(await p.verify()).toMatchObject({ differing: 0 });
    expect(readdirSync(join(directory, 'state', 'gramian'))).toHaveLength(1);
  });
  // Another process finds all of it again.
  await withPipeline(directory, optionsOf('stored'), async p => {
    expect((await p.recommend('u4', 5)).items.length).toBeGreaterThan(0);
    expect(await p.verify()).toMatchObject({ differing: 0, mode: 'stored' });
  });
});

it('verifies through every change of the Gramian mode, and fits the same model', async () => {
  const directory = temporaryDirectory();
  const warehouse = join(directory, 'w.duckdb');
  await runSql(warehouse, table);
  let line = 400;
  for (const mode of ['stored', 'implicit', 'stored', 'auto', 'stored'] as const) {
    await runSql(
      warehouse,
      `INSERT INTO events SELECT ${line} + range, 'u' || range % 37, 'i' || (range * 5 + ${line}) % 29, 2, ${line} + range FROM range(40)`,
    );
    line += 40;
    await withPipeline(directory, optionsOf(mode), async p => {
      await p.ingest();
      await p.fold();
      const found = await p.verify();
      expect(found).toMatchObject({ differing: 0, broken: [] });
      if (mode !== 'auto') expect(found.mode).toBe(mode);
      if (found.mode === 'stored') expect(found.entries).toBeGreaterThan(0);
      else expect(readdirSync(join(directory, 'state', 'gramian'))).toEqual([]);
      await refitStep(p, { trigger: `test:${line}` });
      expect((await p.manifestOf()).gramian).toBe(found.mode);
      expect((await p.recommend('u1', 5)).items.length).toBeGreaterThan(0);
    });
  }
});

it('follows a change of mode although nothing new came in', async () => {
  const directory = temporaryDirectory();
  await runSql(join(directory, 'w.duckdb'), table);
  const verified = async (mode: 'stored' | 'implicit') =>
    withPipeline(directory, optionsOf(mode), async p => {
      await p.ingest();
      await p.fold();
      return p.verify();
    });
  expect(await verified('stored')).toMatchObject({ mode: 'stored', differing: 0 });
  expect(await verified('implicit')).toMatchObject({ mode: 'implicit', differing: 0 });
  const back = await verified('stored');
  expect(back).toMatchObject({ mode: 'stored', differing: 0 });
  expect(back.entries).toBeGreaterThan(0);
});

it('refuses wrong options before it makes anything', async () => {
  const directory = temporaryDirectory();
  const wrong = createPipeline({ state: 'state', publish: { k: 0 } }, { baseDirectory: directory });
  await expect(wrong).rejects.toBeInstanceOf(StageError);
  await expect(wrong).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: 'options: publish.k: expected number to be >=1, found 0',
  });
  expect(existsSync(join(directory, 'state'))).toBe(false);
});
