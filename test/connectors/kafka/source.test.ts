import { expect, it } from 'vitest';
import { drain, json, makeTopic, produce, sourceOn } from '../../support/topic.js';
import { withBroker } from '../../support/with-broker.js';

await withBroker('the Kafka source', {}, broker => {
  it('gives every record once, and goes on behind its positions', async () => {
    const topic = await makeTopic(broker(), 3);
    const group = `g-${topic}`;
    const send = (from: number, to: number) =>
      produce(
        broker(),
        topic,
        Array.from({ length: to - from }, (_, k) =>
          json({ user: `u${(from + k) % 7}`, item: `i${from + k}` }, { key: `u${(from + k) % 7}` }),
        ),
      );
    await send(0, 100);
    const first = await drain(sourceOn(broker(), [topic], { group }));
    expect(first.rows.map(r => r.item).sort()).toEqual(Array.from({ length: 100 }, (_, k) => `i${k}`).sort());
    expect(first.warnings).toEqual([]);
    await send(100, 150);
    const second = await drain(sourceOn(broker(), [topic], { group }), first.positions);
    expect(second.rows.map(r => r.item).sort()).toEqual(
      Array.from({ length: 50 }, (_, k) => `i${100 + k}`).sort(),
    );
    const third = await drain(sourceOn(broker(), [topic], { group }), second.positions);
    expect(third.rows).toEqual([]);
  });
});
