/** One short round of `npm run chaos -- kafka`: shards and a standby, killed, over a broker that is bounced. */
import { expect, it } from 'vitest';
import { kafkaChaos } from '../../bench/kafka-chaos.js';
import { provider } from '../../support/broker.js';
import { seeded } from '../../support/random.js';

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
    const options = { rounds: 1, events: 40_000, seconds: 15, kills: 6, random: seeded(5), log: () => {} };
    const result = await kafkaChaos(options);
    expect(result).toMatchObject({ lost: 0, duplicated: 0, verifyDiffering: 0, gramianDiffering: 0 });
    expect(result.applied).toBe(result.produced);
    expect(result.produced).toBeGreaterThanOrEqual(40_000);
    expect(result.kills).toBeGreaterThanOrEqual(5);
  },
);
