/**
 * Folds that find rows and ids in lookup files against one fold of all events, which scans: the same X, the same ids,
 * also with files that are damaged or gone, after an erasure, and after the state was opened again.
 */
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Semantics, semanticsOptions } from '#connectors/duckdb/schema.js';
import { openState } from '#connectors/duckdb/state.js';
import type { StateStore } from '#src/contracts/index.js';
import { temporaryDirectory } from '../../support/directory.js';
import { columnsOf, type TestEvent } from '../../support/events.js';
import { random } from '../../support/rows.js';

const none = async () => undefined;
const [bulk, few] = [110_000, 300];

function events(count: number, seed: number): TestEvent[] {
  const next = random(seed);
  return Array.from({ length: count }, () => ({
    user: `u${Math.floor(next() * 6000)}`,
    item: `item ${Math.floor(next() ** 2 * 400)}`,
    weight: 1 + Math.floor(next() * 3),
    op: (['add', 'add', 'add', 'remove', 'set'] as const)[Math.floor(next() * 5)]!,
    ts: Math.floor(next() * 50),
  }));
}

async function append(state: StateStore, batch: readonly TestEvent[], first: number): Promise<void> {
  const position = { partition: 'rows', sequence: first + batch.length - 1 };
  await state.append('s', [{ events: columnsOf(batch, first), dead: [], position }]);
}

const lookups = (directory: string) => {
  const path = join(directory, 'lookups');
  return existsSync(path) ? readdirSync(path).map(name => join(path, name)) : [];
};

const cases: readonly [string, Semantics, (files: readonly string[]) => void][] = [
  ['binary', semanticsOptions.parse({}), () => {}],
  ['last', semanticsOptions.parse({ interactions: 'last' }), () => {}],
  ['sum', semanticsOptions.parse({ interactions: 'sum' }), () => {}],
  [
    'last, files gone',
    semanticsOptions.parse({ interactions: 'last' }),
    files => files.forEach(f => void rmSync(f)),
  ],
  [
    'sum, files damaged',
    semanticsOptions.parse({ interactions: 'sum' }),
    files => files.forEach(f => void writeFileSync(f, Buffer.alloc(5000, 7), { flag: 'r+' })),
  ],
];

it.each(cases)(
  '%s: folds of few events give what one fold of all events gives',
  async (_, semantics, harm) => {
    const [directory, plain] = [temporaryDirectory(), temporaryDirectory()];
    const batches = [events(bulk, 1), ...[2, 3, 4, 5].map(seed => events(few, seed))];
    let state = await openState(directory, semantics);
    let first = 0;
    for (const [k, batch] of batches.entries()) {
      await append(state, batch, first);
      first += batch.length;
      await state.fold(batch.length + 1, none, 2 ** 38);
      // A short fold makes one file only, a longer one may make several.
      if (k === 0) expect(lookups(directory).length).toBeGreaterThan(0);
      if (k === 2) expect(lookups(directory)).toHaveLength(3);
      if (k === 3) {
        await state.close();
        harm(lookups(directory));
        state = await openState(directory, semantics);
      }
    }
    const oracle = await openState(plain, semantics);
    await append(oracle, batches.flat(), 0);
    await oracle.fold(first, none, 2 ** 38);
    try {
      expect(await state.itemKeys()).toEqual(await oracle.itemKeys());
      expect(await state.interactions()).toEqual(await oracle.interactions());
      expect(await state.history('u17')).toEqual(await oracle.history('u17'));
      expect(await state.counts()).toEqual(await oracle.counts());

      for (const s of [state, oracle]) {
        const hash = await s.beginErasure('u17');
        await s.eraseUser(hash, async () => ({ segment: undefined, models: [] }));
        await s.rewrite();
        if (s === state) expect(lookups(directory)).toEqual([]);
        await append(s, [{ user: 'u17', item: 'item 3' }], first);
        await s.fold(10, none, 2 ** 38);
      }
      expect((await state.history('u17'))!.indices).toHaveLength(1);
      expect(await state.interactions()).toEqual(await oracle.interactions());
    } finally {
      await state.close();
      await oracle.close();
    }
  },
  60_000,
);
