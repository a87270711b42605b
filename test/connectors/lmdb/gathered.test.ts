/** Lists wait in memory and in a file, and come out by key. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Gathered, transactionBytes } from '#connectors/lmdb/gathered.js';

it('gives values by ascending key, those of a file and those of memory, and again after it was cleared', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gathered-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const gathered = new Gathered(join(directory, 'lists'));
  const value = (k: number) => Buffer.alloc(1000 + (k % 300), `${k};`);
  for (const count of [8000, 10]) {
    // Keys of several lengths, and with text beyond ASCII, in no order.
    const key = (k: number) => `p:v:u:${(k * 7919) % count}${k % 3 === 0 ? 'é' : ''}`;
    for (let k = 0; k < count; k++) {
      const start = gathered.take(new Uint8Array(new SharedArrayBuffer(value(k).length)).fill(0));
      const more = gathered.take(value(k));
      expect(more).toBe(start + value(k).length);
      gathered.add(key(k), more, more + value(k).length);
    }
    expect(gathered.entries).toBe(count);
    if (count === 8000) expect(gathered.length).toBeGreaterThan(4 * transactionBytes);
    const expected = Array.from({ length: count }, (_, k) => [Buffer.from(key(k)), value(k)] as const);
    expected.sort(([a], [b]) => Buffer.compare(a, b));
    let at = 0;
    const visit = (found: Buffer, bytes: Buffer) => {
      expect(found.equals(expected[at]![0])).toBe(true);
      expect(bytes.equals(expected[at++]![1])).toBe(true);
    };
    const half = gathered.each(visit, 0, Math.floor(count / 2));
    expect(gathered.each(visit, half, count + 5)).toBe(count);
    expect(at).toBe(count);
    // The file has no name: nothing is left of it when the process dies.
    expect(readdirSync(directory)).toEqual([]);
    gathered.clear();
    expect(gathered.entries + gathered.length + gathered.keyBytes).toBe(0);
  }
});
