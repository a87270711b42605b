/** A short round of `npm run chaos -- publish`: readers see whole versions while publishers die. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { missing, skipped } from '../support/redis.js';

it.skipIf(skipped(missing))(
  'readers never see a missing, mixed or stale list',
  { timeout: 300_000 },
  async () => {
    const args = ['dist/test/chaos/chaos.js', 'publish', '--rounds', '7', '--seed', '3', '--json'];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const result = JSON.parse(stdout) as Record<string, number> & { failures: string[] };
    expect(result.failures).toEqual([]);
    expect(result).toMatchObject({ rounds: 7, versions: 7 });
    expect(result.kills).toBeGreaterThan(0);
    expect(result.switches).toBeGreaterThan(3);
    expect(result.reads).toBeGreaterThan(1000);
  },
);
