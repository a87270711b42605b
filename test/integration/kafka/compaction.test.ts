/** A broker that compacts topics while they are read: what it removed is missing without a complaint, and nothing else. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { followLists } from '#connectors/kafka/follow.js';
import { createKafkaSink } from '#connectors/kafka/sink.js';
import { kafkaSinkOptions } from '#connectors/kafka/sink-options.js';
import type { Broker } from '../../support/broker.js';
import { manifestOf } from '../../support/manifest.js';
import { ranked } from '../../support/sink-suite.js';
import { client, drain, json, makeTopic, produce, readTopic, sourceOn } from '../../support/topic.js';
import { withBroker } from '../../support/with-broker.js';

/** Settings of a topic that is compacted as soon as there is anything to compact. */
const compacting = {
  'cleanup.policy': 'compact',
  'segment.ms': '100',
  'min.cleanable.dirty.ratio': '0.001',
  'min.compaction.lag.ms': '0',
  'max.compaction.lag.ms': '100',
};

/**
 * Adds a record at a time, which begins a new segment, until the broker has left only so many of the others; returns
 * the items of those.
 */
async function compacted(broker: Broker, topic: string, most: number): Promise<string[]> {
  for (let n = 0; n < 100; n++) {
    await produce(broker, topic, [json({ user: 'last', item: `roll-${n}` }, { key: 'last' })]);
    await sleep(250);
    const left = (await readTopic(broker, topic)).filter(r => r.key !== 'last');
    if (left.length <= most) return left.map(r => (JSON.parse(r.value!) as { item: string }).item);
  }
  throw new Error(`${topic} was not compacted`);
}

await withBroker('a compacted topic', { properties: { 'log.cleaner.backoff.ms': '100' } }, broker => {
  it('is read over its holes, in the middle and where reading begins', { timeout: 90_000 }, async () => {
    const topic = await makeTopic(broker(), 1, compacting);
    const events = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, k) =>
        json({ user: `u${k % 20}`, item: `i${from + k}` }, { key: `u${k % 20}` }),
      );
    await produce(broker(), topic, events(0, 100));
    const state = randomUUID();
    const group = randomUUID();
    const before = await drain(sourceOn(broker(), [topic], { group }), [], state);
    expect(before.rows).toHaveLength(100);

    // The records behind the position are overwritten, so the one that is read next is not there any more.
    await produce(broker(), topic, events(100, 200));
    await produce(broker(), topic, events(200, 300));
    const left = await compacted(broker(), topic, 20);
    const { rows, positions, warnings } = await drain(
      sourceOn(broker(), [topic], { group }),
      before.positions,
      state,
    );
    expect(left).toEqual(Array.from({ length: 20 }, (_, k) => `i${280 + k}`));
    expect(rows.filter(r => r.user !== 'last').map(r => r.item)).toEqual(left);
    expect(rows.at(-1)!.user).toBe('last');
    expect(warnings).toEqual([]);
    expect(positions[0]!.sequence).toBeGreaterThanOrEqual(300);
  });

  it('is followed while lists are compacted under the reader', { timeout: 90_000 }, async () => {
    const users = await makeTopic(broker(), 1, compacting);
    const names = { prefix: `p-${randomUUID()}`, topics: { users } };
    const sink = createKafkaSink(
      kafkaSinkOptions.parse({ type: 'kafka', brokers: [...broker().brokers], ...names }),
    );
    const ids = Array.from({ length: 50 }, (_, k) => `u${k}`);
    async function publish(version: string, minute: number): Promise<void> {
      await sink.begin(manifestOf(version, minute));
      await sink.write(
        'users',
        ids.map(id => ranked(id, [`${version}-${id}`])),
      );
      await sink.finish();
      await sink.point(version);
    }
    await sink.connect();
    await publish('v0', 0);
    const following = await followLists(client(broker()), 'champion', names);
    try {
      let published = 0;
      while ((await readTopic(broker(), users)).length === (published + 1) * ids.length) {
        if (++published === 60) throw new Error(`${users} was not compacted`);
        await publish(`v${published}`, published);
        await sleep(250);
      }
      const last = `v${published}`;
      await expect.poll(() => following.version, { timeout: 20_000 }).toBe(last);
      const late = await followLists(client(broker()), 'champion', names);
      await expect.poll(() => late.version, { timeout: 20_000 }).toBe(last);
      for (const lists of [following, late])
        expect(ids.map(id => lists.get('users', id)!.items[0])).toEqual(ids.map(id => `${last}-${id}`));
      await late.close();
    } finally {
      await following.close();
      await sink.close();
    }
  });
});
