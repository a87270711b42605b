/** One short round of `npm run chaos -- kafka`: shards and a standby, killed, over a broker that is bounced. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { ChaosResult } from '../../bench/kafka-chaos.js';
import { provider } from '../../support/broker.js';
import { output } from '../../support/node-process.js';

const from = await provider(true);
const missing = from.kind === 'missing' ? from.reason : undefined;
if (missing !== undefined) {
  if (process.env.REQUIRE_SERVICES === '1') throw new Error(missing);
  console.warn(`skipped: Kafka chaos: ${missing}`);
}

it.skipIf(missing !== undefined)(
  'every record is applied once, whatever dies',
  { timeout: 300_000 },
  async () => {
    const chaos = join(import.meta.dirname, '../../../dist/test/chaos/chaos.js');
    const flags = [
      '--rounds',
      '1',
      '--events',
      '40000',
      '--seconds',
      '15',
      '--kills',
      '6',
      '--seed',
      '5',
      '--json',
    ];
    const child = spawn(process.execPath, [chaos, 'kafka', ...flags], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const result = JSON.parse(await output(child)) as ChaosResult;
    expect(result).toMatchObject({
      rounds: 1,
      lost: 0,
      duplicated: 0,
      verifyDiffering: 0,
      gramianDiffering: 0,
    });
    expect(result.applied).toBe(result.produced);
    expect(result.produced).toBeGreaterThanOrEqual(40_000);
    expect(result.kills).toBeGreaterThanOrEqual(5);
  },
);
