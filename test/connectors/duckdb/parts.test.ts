/**
 * History that waits for its fold in files beside the database, against the same rows in the inbox's table:
 * - folds, whole or a few events at a time, make the same state, and leave no file;
 * - an erasure, a process that dies and a directory with any name are no exceptions;
 * - a file that is not there is said, and none that nobody registered stays.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { all, openDatabase } from '#connectors/duckdb/database.js';
import { semanticsOptions, weightRules } from '#connectors/duckdb/schema.js';
import { createDuckdbSource } from '#connectors/duckdb/source.js';
import { duckdbSourceOptions } from '#connectors/duckdb/source-options.js';
import { openState } from '#connectors/duckdb/state.js';
import type { StateStore } from '#src/contracts/index.js';
import { decodeEvents } from '#src/stages/events.js';
import { runCli } from '../../support/cli.js';
import { temporaryDirectory } from '../../support/directory.js';
import { runSql } from '../../support/duckdb.js';

const semantics = semanticsOptions.parse({ interactions: 'last', weightScale: 1 });
const rows = 400;
/** Some rows are no events, and some pairs and ids come again; some weights only JavaScript reads. */
const query = `SELECT 'u' || (range * 7 % 23) AS "user", CASE WHEN range % 50 <> 9 THEN 'i' || (range * 5 % 31) END AS item,
    CASE WHEN range % 60 = 1 THEN '1e1' ELSE (range % 4)::VARCHAR END AS weight, 1e12 + range % 97 AS ts,
    CASE WHEN range % 3 = 0 THEN 'e' || range % 80 END AS id
  FROM range(${rows}) ORDER BY range`;

const files = (directory: string): string[] => {
  const path = join(directory, 'inbox');
  return existsSync(path) ? readdirSync(path) : [];
};

const open: StateStore[] = [];
afterEach(async () => {
  for (const state of open.splice(0)) await state.close();
});

async function opened(directory: string): Promise<StateStore> {
  const state = await openState(directory, semantics);
  open.push(state);
  return state;
}

/** Takes all rows in; more than `many` of them at once. */
async function taken(directory: string, many?: number): Promise<StateStore> {
  const state = await opened(directory);
  const weights = weightRules(semantics);
  const options = duckdbSourceOptions.parse({ type: 'duckdb', name: 's', query, batchSize: 90 });
  const source = createDuckdbSource(options, '.', undefined, many);
  source.decodeFor!({ ...state.takes!, weights });
  await source.connect(await state.positions('s'));
  for (let read = await source.read(); read; ) {
    // The next rows are read before these are stored.
    const next = await source.read();
    await state.append(
      's',
      read.batches.map(({ records, ...batch }) => ({ ...batch, ...decodeEvents(records, weights) })),
    );
    await read.ack();
    read = next;
  }
  await source.close();
  return state;
}

const none = async () => undefined;

async function stateOf(state: StateStore) {
  const dead = (await state.deadLetters(100)).map(d => [d.sequence, d.code]).sort();
  return {
    counts: await state.counts(),
    rows: await state.interactions(),
    items: await state.itemKeys(),
    folded: await state.folded(),
    dead,
  };
}

/** Folds all, `limit` events at a time; returns how many each fold took. */
async function folded(state: StateStore, limit: number, build: typeof none | undefined) {
  const steps: number[] = [];
  for (;;) {
    const { events } = await state.fold(limit, build, 2 ** 38);
    if (events === 0) return steps;
    steps.push(events);
  }
}

describe('a file makes the same state as the table', () => {
  it.each([
    ['at once, the first fold', Number.POSITIVE_INFINITY, undefined],
    ['at once', Number.POSITIVE_INFINITY, none],
    ['a few at a time', 37, none],
    ['one by one at first', 1, undefined],
  ])('%s', { timeout: 120_000 }, async (_, limit, build) => {
    const [directory, plain] = [temporaryDirectory(), temporaryDirectory()];
    const [state, oracle] = [await taken(directory, 100), await taken(plain)];
    expect([files(directory).length, files(plain).length]).toEqual([1, 0]);
    expect(await state.pending()).toBe(rows - 8);
    expect(await state.counts()).toEqual(await oracle.counts());
    expect(await state.positions('s')).toMatchObject([{ sequence: rows - 1 }]);
    const few = limit === 1 ? 5 : 0;
    for (let k = 0; k < few; k++)
      for (const s of [state, oracle])
        expect(await s.fold(limit, build, 2 ** 38)).toMatchObject({ events: 1 });
    expect(await state.pending()).toBe(rows - 8 - few);
    const rest = Math.max(limit, 37);
    expect(await folded(state, rest, build)).toEqual(await folded(oracle, rest, build));
    expect(await stateOf(state)).toEqual(await stateOf(oracle));
    expect(files(directory)).toEqual([]);
    // What comes later has later numbers.
    const again = await taken(directory, 100);
    expect(await again.pending()).toBe(0);
  });
});

it('a registered file stays when the state is opened again, another goes', async () => {
  const directory = join(temporaryDirectory(), `it's [1] * of 'many'`);
  await (await taken(directory, 100)).close();
  open.pop();
  const [file] = files(directory);
  writeFileSync(join(directory, 'inbox', 'left.parquet'), 'of a process that died');
  const state = await opened(directory);
  expect(files(directory)).toEqual([file]);
  const { events } = await state.fold(Number.POSITIVE_INFINITY, undefined, 2 ** 38);
  expect(events).toBe(rows - 8);
});

it('an erased user is in no file', async () => {
  const [directory, plain] = [temporaryDirectory(), temporaryDirectory()];
  const states = [await taken(directory, 100), await taken(plain)];
  const erased = [];
  for (const s of states) {
    const hash = await s.beginErasure('u7');
    erased.push(await s.eraseUser(hash, async () => ({ segment: undefined, models: [] })));
    expect(await s.pending()).toBeLessThan(rows - 8);
    await s.fold(Number.POSITIVE_INFINITY, undefined, 2 ** 38);
    expect(await s.history('u7')).toBeUndefined();
  }
  expect(files(directory)).toEqual([]);
  expect(erased[0]).toEqual(erased[1]);
  expect(await stateOf(states[0]!)).toEqual(await stateOf(states[1]!));
});

it('says that a file is missing', async () => {
  const directory = temporaryDirectory();
  const state = await taken(directory, 100);
  rmSync(join(directory, 'inbox', files(directory)[0]!));
  await expect(state.fold(10, undefined, 2 ** 38)).rejects.toMatchObject({
    code: 'STATE_CORRUPT',
    message: expect.stringMatching(/inbox\/.*\.parquet: expected a file of events.*put back/),
  });
});

it('a process that dies loses nothing and counts nothing twice', { timeout: 240_000 }, async () => {
  const directory = temporaryDirectory();
  const state = join(directory, 'state');
  mkdirSync(directory, { recursive: true });
  const many = 201_000;
  await runSql(
    ':memory:',
    `COPY (SELECT 'u' || range % 1000 AS "user", 'i' || range % 97 AS item, 1 AS weight, range AS ts FROM range(${many}))
     TO '${join(directory, 'events.parquet')}' (FORMAT parquet)`,
  );
  const config = join(directory, 'pipeline.yaml');
  const settings = {
    semantics: { interactions: 'sum' },
    sources: [{ type: 'duckdb', query: "SELECT * FROM 'events.parquet'", timeUnit: 'counter' }],
    gramian: { mode: 'implicit' },
  };
  writeFileSync(config, JSON.stringify(settings));
  const dies = async (command: string, point: string) =>
    expect(
      (await runCli([command, '-c', config], { env: { SANSA_STREAM_CRASH_AT: point } })).code,
    ).toBeNull();
  const ingests = async () => JSON.parse((await runCli(['ingest', '-c', config, '--json'])).stdout);
  await dies('ingest', 'ingest:appended');
  expect(files(state)).toHaveLength(1);
  await dies('ingest', 'ingest:committed');
  expect(files(state)).toHaveLength(1);
  expect(await ingests()).toMatchObject({ events: 0 });
  for (const point of ['fold:registered', 'fold:committed']) {
    await dies('fold', point);
    expect(files(state)).toHaveLength(1);
  }
  expect((await runCli(['fold', '-c', config])).code).toBe(0);
  expect(files(state)).toEqual([]);
  const database = await openDatabase(join(state, 'state.duckdb'));
  const connection = await database.connect();
  const [row] = await all(
    connection,
    `SELECT (SELECT max(events) FROM folded) AS events, (SELECT sum(value) FROM interactions) AS total,
       (SELECT count(*) FROM inbox) AS waiting`,
  );
  connection.closeSync();
  database.closeSync();
  expect(row).toEqual({ events: BigInt(many), total: BigInt(100 * many), waiting: 0n });
});
