/** Signals from a topic over a real broker: each is given until it is answered, once, whatever is restarted. */
import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { kafkaSignalOptions } from '#connectors/kafka/signal-options.js';
import { createKafkaSignals } from '#connectors/kafka/signals.js';
import { client, produce, readTopic } from '../../support/topic.js';
import { withBroker } from '../../support/with-broker.js';

await withBroker('Kafka signals', {}, broker => {
  const signalsOn = (prefix: string) =>
    createKafkaSignals(kafkaSignalOptions.parse({ type: 'kafka', brokers: [...broker().brokers], prefix }));
  const done = (id: string) => ({
    id,
    status: 'done' as const,
    version: 'v1',
    message: 'fitted',
    finishedAt: 5,
  });
  const command = (value: unknown, key?: string) => ({
    value: JSON.stringify(value),
    ...(key ? { key } : {}),
  });

  it('gives each command until it is answered in the models topic, over restarts', async () => {
    const prefix = `s-${randomUUID()}`;
    const topic = `${prefix}.signals`;
    const first = signalsOn(prefix);
    expect(await first.pending()).toEqual([]);
    await produce(broker(), topic, [
      command({ id: 'a', type: 'refit', options: { l2: 10 } }),
      command({ type: 'publish' }, 'b'),
      command({ id: 'a', type: 'forget', options: { user: 'u' } }),
      { value: 'refit!' },
    ]);
    await expect
      .poll(() => first.pending(), { timeout: 10_000 })
      .toMatchObject([
        { id: 'a', type: 'refit', options: { l2: 10 } },
        { id: 'b', type: 'publish', options: {} },
        { id: `${topic}/0@3`, problem: expect.stringContaining('found "refit!"') },
      ]);
    await first.resolve(done('a'));
    await first.resolve(done('a'));
    expect((await first.pending()).map(s => s.id)).toEqual(['b', `${topic}/0@3`]);
    await first.close();

    const second = signalsOn(prefix);
    expect((await second.pending()).map(s => s.id)).toEqual(['b', `${topic}/0@3`]);
    await second.resolve(done('a'));
    await produce(broker(), topic, [command({ id: 'a', type: 'refit' })]);
    await second.resolve({ ...done('b'), status: 'failed' });
    await expect.poll(async () => (await second.pending()).map(s => s.id)).toEqual([`${topic}/0@3`]);
    await second.close();
    const answers = (await readTopic(broker(), `${prefix}.models`)).map(m => [m.key, JSON.parse(m.value!)]);
    expect(answers).toMatchObject([
      ['signal/a', done('a')],
      ['signal/b', { id: 'b', status: 'failed' }],
    ]);
  });

  it('makes its topics so that answers last', async () => {
    const prefix = `s-${randomUUID()}`;
    const signals = signalsOn(prefix);
    await signals.pending();
    await signals.close();
    const admin = client(broker()).admin();
    await admin.connect();
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: 2, name: `${prefix}.models`, configNames: ['cleanup.policy'] }],
    });
    await admin.disconnect();
    expect(resources[0]!.configEntries[0]!.configValue).toBe('compact');
  });
});
