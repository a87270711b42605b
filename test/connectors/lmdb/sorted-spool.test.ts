/** Lists wait in memory and in files, and come out by key. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { SortedSpool } from '#connectors/lmdb/sorted-spool.js';

// Runs of 16 KiB: 8,000 values are merged in several levels, 300 in one, and 10 stay in memory.
it.each([8000, 300, 10])('gives %i entries by ascending key, of equal keys the earlier first', count => {
  const directory = mkdtempSync(join(tmpdir(), 'sorted-spool-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const spool = new SortedSpool(join(directory, 'lists'), 2 ** 14);
  // Keys of several lengths, and with text beyond ASCII, in no order; each tenth is there twice; a few values are large.
  const key = (k: number) =>
    `p:v:u:${((k - (k % 10 === 9 ? 1 : 0)) * 7919) % count}${k % 3 === 0 ? 'é' : ''}`;
  const value = (k: number) => Buffer.alloc(k % 1000 === 7 ? 400_000 : 100 + (k % 300), `${k};`);
  for (let round = 0; round < 2; round++) {
    for (let k = 0; k < count; k++) spool.add(key(k), value(k));
    expect(spool.entries).toBe(count);
    const expected = Array.from({ length: count }, (_, k) => [Buffer.from(key(k)), k] as const);
    expected.sort(([a, j], [b, k]) => Buffer.compare(a, b) || j - k);
    let at = 0;
    for (const [found, bytes] of spool.sorted()) {
      const [wanted, k] = expected[at++]!;
      if (!found.equals(wanted) || !bytes.equals(value(k)))
        expect({ at, found: String(found) }).toEqual({ at, found: String(wanted) });
    }
    expect(at).toBe(count);
    // Files have no names: nothing is left of them when the process dies.
    expect(readdirSync(directory)).toEqual([]);
    spool.clear();
    expect(spool.entries + spool.bytes).toBe(0);
  }
});
