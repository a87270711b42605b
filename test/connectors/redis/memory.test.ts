/** What a Redis holds does not grow with the number of publications. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { createRedisSink, redisOptions } from '#connectors/redis/sink.js';
import { manifestOf } from '../../support/manifest.js';
import { missingOwn, onRedis, skipped, startRedis } from '../../support/redis.js';
import { ranked } from '../../support/sink-suite.js';

const lists = 20_000;
const atOnce = 1000;

describe.skipIf(skipped(missingOwn))('the memory of a Redis', () => {
  it('is after 20 publications what it was after 2', { timeout: 120_000 }, async () => {
    const server = await startRedis();
    onTestFinished(() => server.remove());
    const options = { type: 'redis', url: server.url, graceMs: 0, keep: 1 };
    const sink = createRedisSink(redisOptions.parse(options));
    await sink.connect();
    onTestFinished(() => sink.close());
    const used = () =>
      onRedis(server.url, async send => {
        // Keys are unlinked in the background; the answer comes when they are gone.
        await expect
          .poll(async () => /lazyfree_pending_objects:0\r/.test(String(await send('INFO', 'memory'))))
          .toBe(true);
        return Number(/used_memory:(\d+)/.exec(String(await send('INFO', 'memory')))![1]);
      });
    const empty = await used();
    const after: number[] = [];
    for (let n = 1; n <= 20; n++) {
      const items = Array.from({ length: 10 }, (_, k) => `item-${n}-${k}`);
      await sink.begin(manifestOf(`v${n}`, n));
      for (let from = 0; from < lists; from += atOnce)
        await sink.write(
          'users',
          Array.from({ length: atOnce }, (_, k) => ranked(`u${from + k}`, items)),
        );
      await sink.finish();
      await sink.point(`v${n}`);
      await sink.prune!(1);
      after.push((await used()) - empty);
    }
    expect(after[1]).toBeGreaterThan(lists * 100);
    expect(Math.abs(after[19]! / after[1]! - 1)).toBeLessThan(0.05);
  });
});
