/** The first fold of a state, all at once, against the same events folded step by step; and a process that dies in it. */
import { createHash } from 'node:crypto';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { semanticsOptions } from '#connectors/duckdb/schema.js';
import { openState } from '#connectors/duckdb/state.js';
import { runCli } from '../../support/cli.js';
import { temporaryDirectory } from '../../support/directory.js';
import { columnsOf, type TestEvent } from '../../support/events.js';
import { purchasesPipeline } from '../../support/purchases.js';

type Semantics = Parameters<typeof semanticsOptions.parse>[0];

/** Tables of a state after its events were folded: at once without a segment, or with one. */
async function folded(
  semantics: Semantics,
  parts: readonly (readonly TestEvent[])[],
  way: 'first' | 'steps',
  energy: number,
) {
  const directory = temporaryDirectory();
  const state = await openState(directory, semanticsOptions.parse(semantics), { threads: 1 });
  for (const [k, events] of parts.entries()) {
    const position = { partition: `events/${k}`, sequence: events.length - 1 };
    await state.append('s', [{ events: columnsOf(events, 0), dead: [], position }]);
  }
  const summary = await state.fold(1000, way === 'first' ? undefined : async () => undefined, energy);
  expect((await state.fold(1000, undefined, energy)).events).toBe(0);
  // Folds go on from either.
  const [late] = parts;
  const position = { partition: 'later', sequence: late!.length - 1 };
  await state.append('s', [{ events: columnsOf(late!, 0), dead: [], position }]);
  await state.fold(1000, async () => undefined, energy);
  const counts = await state.counts();
  await state.close();
  return { ...(await tablesOf(directory)), counts, events: summary.events, users: summary.users };
}

async function tablesOf(directory: string) {
  const instance = await DuckDBInstance.create(join(directory, 'state.duckdb'));
  const connection = await instance.connect();
  const rows = async (sql: string) => (await connection.runAndReadAll(`${sql} ORDER BY ALL`)).getRowsJS();
  const pairs =
    'SELECT * FROM recent UNION ALL SELECT * FROM interactions ANTI JOIN recent USING ("user", item)';
  const found = {
    userKeys: await rows('SELECT id, key FROM users'),
    itemKeys: await rows('SELECT id, key FROM items'),
    pairs: await rows(pairs),
    matrix: await rows('SELECT * FROM matrix'),
    ids: await rows('SELECT * FROM event_ids'),
    dead: await rows('SELECT * EXCLUDE (rejected_at) FROM dead_letters'),
    changed: await rows('SELECT DISTINCT change, key FROM changes'),
    inbox: await rows('SELECT * FROM inbox'),
  };
  connection.closeSync();
  instance.closeSync();
  return found;
}

const event = fc.record({
  user: fc.constantFrom('a', 'b', 'c', 'd'),
  item: fc.constantFrom('x', 'y', 'z'),
  weight: fc.constantFrom(0, 1, 2, 3, 500),
  op: fc.constantFrom('add', 'add', 'remove', 'set'),
  ts: fc.nat(3),
  id: fc.option(fc.constantFrom('1', '2', '3', '4'), { nil: undefined }),
}) as fc.Arbitrary<TestEvent>;

it('the same keys, rows, changes, ids and dead letters', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom<Semantics>(
        {},
        { interactions: 'last', weightScale: 1 },
        { interactions: 'sum', weightScale: 1, maxWeight: 600 },
      ),
      fc.array(fc.array(event, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 3 }),
      fc.constantFrom(2 ** 38, 250_000),
      async (semantics, parts, energy) => {
        const first = await folded(semantics, parts, 'first', energy);
        expect(first).toEqual(await folded(semantics, parts, 'steps', energy));
        expect(first.inbox).toEqual([]);
      },
    ),
    { numRuns: 20 },
  );
}, 120_000);

it('keys that are grouped in shares are numbered the same', { timeout: 120_000 }, async () => {
  const events = Array.from({ length: 400_000 }, (_, k) => ({
    user: `${createHash('sha1')
      .update(String(k >> 1))
      .digest('hex')}-${k}`,
    item: `item-${k % 7}`,
  }));
  const directory = temporaryDirectory();
  const state = await openState(directory, semanticsOptions.parse({}), { threads: 1, memoryLimit: '48MiB' });
  const position = { partition: 'events', sequence: events.length - 1 };
  await state.append('s', [{ events: columnsOf(events, 0), dead: [], position }]);
  expect((await state.fold(Number.POSITIVE_INFINITY, undefined, 2 ** 38)).users).toBe(events.length);
  await state.close();
  const { userKeys, itemKeys } = await tablesOf(directory);
  expect(userKeys.map(([, key]) => key)).toEqual(events.map(e => e.user));
  expect(itemKeys.map(([, key]) => key)).toEqual(events.slice(0, 7).map(e => e.item));
});

it('happens whole or not at all', { timeout: 240_000 }, async () => {
  const whole = temporaryDirectory();
  const config = await purchasesPipeline(whole, { gramian: { mode: 'implicit' } });
  await runCli(['ingest', '-c', config]);
  const died = temporaryDirectory();
  cpSync(whole, died, { recursive: true });
  expect((await runCli(['fold', '-c', config])).code).toBe(0);
  const again = join(died, 'pipeline.yaml');
  for (const point of ['fold:encoded', 'fold:applied', 'fold:registered', 'fold:committed']) {
    const dead = await runCli(['fold', '-c', again], { env: { SANSA_STREAM_CRASH_AT: point } });
    expect(dead.code).toBeNull();
    const { inbox, userKeys } = await tablesOf(join(died, 'state'));
    const committed = point === 'fold:committed';
    expect([inbox.length, userKeys.length]).toEqual(committed ? [0, 120] : [1080, 0]);
  }
  expect((await runCli(['fold', '-c', again])).code).toBe(0);
  expect(await tablesOf(join(died, 'state'))).toEqual(await tablesOf(join(whole, 'state')));
});
