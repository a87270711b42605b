/**
 * Topics as they are: the changes of a table end in the state of the table however often the process dies, and of a
 * tracker's events none is lost and none becomes a dead letter.
 */
import { expect, it } from 'vitest';
import { createPipeline, type PipelineOptions } from '#jobs/index.js';
import { status } from '#jobs/operations/status.js';
import { silent } from '#src/index.js';
import { temporaryDirectory } from '../../support/directory.js';
import { seeded } from '../../support/random.js';
import { matrixOf } from '../../support/service.js';
import { json, makeTopic, produce } from '../../support/topic.js';
import { withBroker } from '../../support/with-broker.js';

interface Row {
  readonly id: number;
  readonly user: string;
  readonly item: string;
  readonly qty: number;
  readonly live: boolean;
}

/** A table of pairs under random changes, with snapshots in between; its changes as Debezium says them. */
function randomTable(count: number) {
  const random = seeded(17);
  const pick = (n: number) => Math.floor(random() * n);
  const rows = new Map<number, Row>();
  const changes: { key: string; value: string | null }[] = [];
  let at = 1_777_629_600_000;
  const say = (op: string, before: Row | undefined, after: Row | undefined) => {
    at += pick(3);
    const { id } = (after ?? before)!;
    const change = { before: before ?? null, after: after ?? null, op, source: { ts_ms: at }, ts_ms: at + 1 };
    const wrapped = pick(2) ? { schema: { type: 'struct' }, payload: change } : change;
    changes.push({ key: String(id), value: JSON.stringify(wrapped) });
    if (op === 'd') changes.push({ key: String(id), value: null });
  };
  const free = (): Row => {
    for (;;) {
      const row = {
        id: pick(40),
        user: `u${pick(6)}`,
        item: `i${pick(12)}`,
        qty: 1 + pick(5),
        live: pick(5) > 0,
      };
      if (![...rows.values()].some(r => r.user === row.user && r.item === row.item)) return row;
    }
  };
  while (changes.length < count) {
    const next = free();
    const known = rows.get(next.id);
    if (!known) {
      say('c', undefined, next);
      rows.set(next.id, next);
    } else if (pick(4) === 0) {
      say('d', known, undefined);
      rows.delete(next.id);
    } else {
      const changed = pick(3) ? { ...known, qty: next.qty, live: next.live } : next;
      say('u', known, changed);
      rows.set(next.id, changed);
    }
    if (pick(100) === 0) for (const row of rows.values()) say('r', undefined, row);
  }
  return { changes, rows: [...rows.values()] };
}

/** Ingests and folds; the process is said to die after some batches, and another one goes on. */
async function takeIn(options: PipelineOptions, deaths: number): Promise<void> {
  for (let life = 0; ; life++) {
    const pipeline = await createPipeline(options, { log: silent });
    try {
      let batches = 0;
      const stop = new AbortController();
      await pipeline.ingest(stop.signal, () => {
        if (life < deaths && ++batches === 2) stop.abort();
      });
      await pipeline.fold();
      return;
    } catch (error) {
      if (life >= deaths) throw error;
    } finally {
      await pipeline.close();
    }
  }
}

await withBroker('mapped topics', {}, broker => {
  const source = (topic: string) => ({
    type: 'kafka' as const,
    brokers: [...broker().brokers],
    topics: [topic],
    group: topic,
    sessionTimeoutMs: 6000,
    batch: { waitMs: 50, records: 150 },
  });

  it.each(['last', 'sum'] as const)(
    'Debezium ends in the state of the table (%s)',
    async interactions => {
      const state = temporaryDirectory();
      const topic = await makeTopic(broker());
      const { changes, rows } = randomTable(1500);
      await produce(broker(), topic, changes);
      const options: PipelineOptions = {
        state,
        semantics: { interactions, weightScale: 1 },
        sources: [
          {
            ...source(topic),
            envelope: 'debezium',
            where: { live: 'value.live' },
            fields: { weight: 'qty' },
          },
        ],
        gramian: { mode: 'stored' },
        deadLetters: { tolerance: 0 },
      };
      await takeIn(options, 4);
      const pipeline = await createPipeline(options, { log: silent });
      try {
        const expected = rows
          .filter(r => r.live)
          .map((r): [string, number] => [`${r.user} ${r.item}`, r.qty]);
        expect(await matrixOf(pipeline)).toEqual(new Map(expected));
        expect(await pipeline.verify()).toMatchObject({ differing: 0 });
        const skipped = await pipeline.parts.store.skippedCounts();
        const tombstones = changes.filter(c => c.value === null).length;
        expect(skipped).toContainEqual({ source: 'kafka', reason: 'tombstone', count: tombstones });
      } finally {
        await pipeline.close();
      }
    },
    120_000,
  );

  it('a tracker loses nothing: three of seven types are events, an order of three lines is three', async () => {
    const topic = await makeTopic(broker());
    const types = [
      'Product Viewed',
      'Product Added',
      'Order Completed',
      'Product Removed',
      'Signed In',
      'Products Searched',
      'Coupon Entered',
    ];
    const messages = Array.from({ length: 2100 }, (_, n) => {
      const event = types[n % types.length]!;
      const product = { product_id: `p${n % 11}` };
      const properties =
        event === 'Order Completed' ? { products: [1, 2, 3].map(k => ({ product_id: `o${k}` })) } : product;
      return json({
        type: 'track',
        event,
        userId: `u${n % 50}`,
        properties,
        timestamp: '2026-05-01T10:00:00Z',
        messageId: `m${n}`,
      });
    });
    await produce(broker(), topic, messages);
    const options: PipelineOptions = {
      state: temporaryDirectory(),
      semantics: { interactions: 'sum' },
      sources: [{ ...source(topic), envelope: 'segment' }],
      deadLetters: { tolerance: 0 },
    };
    const pipeline = await createPipeline(options, { log: silent });
    try {
      expect(await pipeline.ingest()).toEqual({
        events: 300 + 300 + 900,
        deadLetters: 0,
        skipped: { weight: 1200 },
      });
      const { skipped, inbox, deadLetters } = await status.run({ pipeline } as never, {});
      expect({ skipped, inbox, deadLetters }).toEqual({
        skipped: [{ source: 'kafka', reason: 'weight', count: 1200 }],
        inbox: 1500,
        deadLetters: 0,
      });
    } finally {
      await pipeline.close();
    }
  }, 60_000);
});
