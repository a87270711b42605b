/** Rows that come too late for the cursor, and a query that is another one than before: nothing is lost or counted twice. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createPipeline, type Pipeline, type PipelineOptions } from '#jobs/index.js';
import { silent } from '#src/index.js';
import { temporaryDirectory } from '../../support/directory.js';
import { runSql } from '../../support/duckdb.js';
import { matrixOf } from '../../support/matrix.js';

const at = (minute: number) => `TIMESTAMP '2026-03-01 12:00:00' + INTERVAL ${minute} MINUTE`;
const row = (k: number, minute: number, id = `'e${k}'`) =>
  `INSERT INTO events VALUES ('u', 'i${k}', ${at(minute)}, ${id}, ${minute})`;

interface Settings {
  readonly query?: string;
  readonly [setting: string]: unknown;
}

async function shop() {
  const directory = temporaryDirectory();
  const database = join(directory, 'w.duckdb');
  const write = (...statements: string[]) => runSql(database, ...statements);
  await write('CREATE TABLE events ("user" VARCHAR, item VARCHAR, ts TIMESTAMP, id VARCHAR, n BIGINT)');
  /** Takes in what there is, in a process of its own, as it were. */
  const taken = async (
    settings: Settings,
    body: (pipeline: Pipeline) => Promise<void> = async () => undefined,
  ) => {
    const source = {
      type: 'duckdb',
      database,
      query: 'SELECT * FROM events',
      cursor: 'ts',
      checkMs: 0,
      ...settings,
    };
    const options = {
      state: join(directory, 'state'),
      semantics: { interactions: 'sum', weightScale: 1 },
      sources: [source],
    } as PipelineOptions;
    const pipeline = await createPipeline(options, { log: silent });
    try {
      await pipeline.ingest();
      await body(pipeline);
      await pipeline.ingest();
      await pipeline.fold();
      return Object.fromEntries(await matrixOf(pipeline));
    } finally {
      await pipeline.close();
    }
  };
  return { write, taken };
}

it.each<[string, Settings]>([
  ['a time', { lookBack: '10m' }],
  ['a number', { lookBack: 10, cursor: 'n' }],
])('takes late rows within %s, and those it has once', async (_, settings) => {
  const { write, taken } = await shop();
  await write(row(1, 0), row(2, 20), row(3, 30));
  expect(await taken(settings)).toEqual({ 'u i1': 1, 'u i2': 1, 'u i3': 1 });
  await write(row(4, 21), row(5, 30), row(6, 5));
  const late = { 'u i1': 1, 'u i2': 1, 'u i3': 1, 'u i4': 1, 'u i5': 1 };
  expect(await taken(settings, () => write(row(7, 29)))).toEqual({ ...late, 'u i7': 1 });
  expect(await taken(settings)).toEqual({ ...late, 'u i7': 1 }); // the sixth came earlier still
});

it('needs ids to look back', async () => {
  const { write, taken } = await shop();
  await write(row(1, 0));
  await expect(taken({ lookBack: '10m', query: 'SELECT * EXCLUDE (id) FROM events' })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('lookBack: expected the query to give an `id`'),
  });
});

it.each([
  [{ lookBack: 5 }, 'expected a duration such as 1h for the cursor ts'],
  [{ lookBack: '1h', cursor: 'n' }, 'expected a number for the cursor n'],
  [{ lookBack: 5, cursor: 'item' }, 'expected a cursor that is a number or a time, found item'],
  [{ lookBack: '1h', cursor: undefined }, 'expected a cursor'],
])('refuses %j before a row comes late', async (settings, message) => {
  const { write, taken } = await shop();
  await write(row(1, 0));
  await expect(taken(settings)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining(message),
  });
});

it('keeps the place of the same cursor only', async () => {
  const { write, taken } = await shop();
  await write(row(1, 0), row(2, 1));
  await taken({ cursor: 'n' });
  for (const cursor of ['ts', undefined])
    await expect(taken({ cursor, onChangedQuery: 'keep' })).rejects.toMatchObject({
      code: 'STATE_MISMATCH',
      message: expect.stringContaining('the cursor is not the one'),
    });
});

it('refuses another query, keeps the place, or reads all again', async () => {
  const { write, taken } = await shop();
  const query = 'SELECT * FROM events WHERE n <> 1';
  await write(row(1, 0), row(2, 1), row(3, 2));
  expect(await taken({ query })).toEqual({ 'u i1': 1, 'u i3': 1 });
  await write(row(4, 3));
  expect(await taken({ query: `${query} \n` })).toEqual({ 'u i1': 1, 'u i3': 1, 'u i4': 1 });
  // What is a comment, or a text, depends on white space.
  await expect(taken({ query: `SELECT * FROM events WHERE n <>\n1` })).rejects.toMatchObject({
    code: 'STATE_MISMATCH',
  });
  const another = { query: 'SELECT * FROM events' };
  await expect(taken(another)).rejects.toMatchObject({
    code: 'STATE_MISMATCH',
    remedy: expect.stringContaining('onChangedQuery: keep'),
  });
  await write(row(5, 4));
  expect(await taken({ ...another, onChangedQuery: 'reread' })).toEqual(
    Object.fromEntries([1, 2, 3, 4, 5].map(k => [`u i${k}`, 1])),
  );
  await write(row(6, 5));
  expect(await taken({ query, onChangedQuery: 'keep' })).toMatchObject({ 'u i6': 1, 'u i2': 1 });
});
