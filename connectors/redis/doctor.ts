import { examine, type Finding, lookAtSink } from '../../src/contracts/finding.js';
import { StageError } from '../../src/errors.js';
import { connectRedis } from './connection.js';
import type { RedisOptions } from './options.js';
import { createRedisSink } from './sink.js';

/** The eviction policy of every server; one that may take lists away is refused. */
async function eviction(options: RedisOptions): Promise<string> {
  const redis = await connectRedis(options);
  try {
    const found = (await redis.info('memory')).map(info => info.get('maxmemory_policy') ?? 'not told');
    const policies = [...new Set(found)].join(', ');
    if (policies !== 'noeviction')
      throw new StageError('SINK_FAILED', `expected maxmemory-policy noeviction, found ${policies}`, {
        remedy:
          'set `maxmemory-policy noeviction` and room enough: readers would miss lists that were evicted',
      });
    return policies;
  } finally {
    await redis.close();
  }
}

/** Looks at what a sink needs: a server that answers, and that keeps what it was given. Publishes nothing. */
export async function examineSink(options: RedisOptions): Promise<readonly Finding[]> {
  const reached = await examine('sink redis', () => lookAtSink(createRedisSink(options)));
  return reached.ok ? [reached, await examine('sink redis: eviction', () => eviction(options))] : [reached];
}
