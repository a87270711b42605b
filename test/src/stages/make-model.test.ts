/** A model that is fitted in ranges is the one that is fitted in memory, and so are its items, however many keys it has. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { fsaiOptions } from '#src/solvers/fsai/options.js';
import { makeModel } from '#src/stages/make-model.js';
import { temporaryDirectory } from '../../support/directory.js';
import { randomRows } from '../../support/rows.js';

it('makes the same model in ranges, with its items', async () => {
  const directory = temporaryDirectory();
  const items = 70_000;
  const rows = randomRows({ users: 500, items, density: 10 / items, seed: 3 });
  const keys = Array.from({ length: items }, (_, i) => `item "${i}"`);
  const input = {
    gramian: { mode: 'implicit', rows, scale: 1 },
    keys: async () => keys,
    options: fsaiOptions.parse({ neighbours: 5, serving: 10 }),
    threads: 1,
    memoryBytes: 2 ** 29,
    events: 0,
    users: rows.users.length,
    interactions: rows.indices.length,
  } as const;
  const ranges = { kernelBytes: 2 ** 29, factorBytes: 2 ** 24, itemBytes: 2 ** 23, serving: 10 };
  const whole = await makeModel(directory, input);
  const ranged = await makeModel(directory, { ...input, ranges });
  expect(ranged.fit).toMatchObject({ ranges: expect.toSatisfy(count => count > 1) });
  expect(ranged.weightsChecksum).toBe(whole.weightsChecksum);
  expect(ranged.parameters).toBe(whole.parameters);
  const checksum = createHash('sha256').update(keys.join('\n')).digest('hex');
  for (const { version, items: counted } of [whole, ranged]) {
    expect(counted).toEqual({ count: items, checksum });
    expect(readFileSync(join(directory, version, 'items.json'), 'utf8')).toBe(JSON.stringify(keys));
  }
});
