import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { bodyKind } from '#connectors/push/bodies.js';
import { pushSourceOptions } from '#connectors/push/options.js';
import { createPushSource } from '#connectors/push/source.js';
import { sourceSuite } from '../../support/source-suite.js';

const lines = 'application/x-ndjson';
const sourceOf = (more: object = {}) => createPushSource(pushSourceOptions.parse({ type: 'push', ...more }));
const textOf = (events: readonly object[]): Buffer =>
  Buffer.from(events.map(e => `${JSON.stringify(e)}\n`).join(''));

sourceSuite('push', () => {
  const source = sourceOf();
  let sent: Promise<unknown> = Promise.resolve();
  let stopped = false;
  /** As senders do: again until it is taken. */
  const persist = async (events: readonly object[]) => {
    for (const event of events)
      while (!stopped && (await source.intake!.take(lines, textOf([event]))).kind !== 'taken') await sleep(2);
  };
  return {
    passing: true,
    makeSource: () => source,
    async send(events) {
      sent = sent.then(() => persist(events));
    },
    async remove() {
      stopped = true;
      await sent;
    },
  };
});

describe('a request', () => {
  const event = { user: 'u', item: 'i' };

  it('is answered when the state has it, with its dead letters', async () => {
    const source = sourceOf();
    await source.connect([], 's');
    let answered = false;
    const answer = source.intake!.take(lines, textOf([event, { user: 'u' }])).finally(() => {
      answered = true;
    });
    const read = (await source.read())!;
    const { position } = read.batches[0]!;
    expect(position).toEqual({ partition: 'requests', sequence: 1 });
    const reason = 'item: expected an id';
    await source.reject!([{ partition: 'requests', sequence: 1, code: 'x', reason, raw: '' }]);
    await sleep(20);
    expect(answered).toBe(false);
    await read.ack();
    expect(await answer).toEqual({ kind: 'taken', records: 2, deadLetters: 1, reason });
    await source.close();
  });

  it('is in one read with others, whole', async () => {
    const source = sourceOf();
    await source.connect([{ partition: 'requests', sequence: 9 }], 's');
    const take = (items: readonly string[]) =>
      source.intake!.take(lines, textOf(items.map(item => ({ user: 'u', item }))));
    const answers = [take(['a', 'b']), take([]), take(['c']), take(['d', 'e'])];
    const read = (await source.read())!;
    const { records, position } = read.batches[0]!;
    expect(Array.from(records.item)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(Array.from(records.sequence)).toEqual([10, 11, 12, 13, 14]);
    expect(records.raw(3)).toBe('{"user":"u","item":"d"}');
    expect(position.sequence).toBe(14);
    await read.ack();
    expect((await Promise.all(answers)).map(a => a.kind)).toEqual(Array(4).fill('taken'));
    await source.close();
  });

  it('with a fault is refused whole, and names its line', async () => {
    const source = sourceOf();
    await source.connect([], 's');
    const body = Buffer.from(`\n${JSON.stringify(event)}\n{"user":\n`);
    expect(await source.intake!.take(lines, body)).toMatchObject({
      kind: 'faulty',
      reason: expect.stringMatching(/^line 3: record: expected JSON/),
    });
    expect(await source.intake!.take('application/json', Buffer.from('[{"user":"u"},{]'))).toMatchObject({
      kind: 'faulty',
    });
    expect(await source.intake!.take('text/html', body)).toMatchObject({ kind: 'foreign' });
    expect(await source.read(AbortSignal.timeout(50))).toBeUndefined();
    await source.close();
  });

  it('is sent away while too much waits, and when nobody reads', async () => {
    const source = sourceOf({ maxWaitingBytes: 100 });
    expect(await source.intake!.take(lines, textOf([event]))).toEqual({ kind: 'closed' });
    await source.connect([]);
    expect(await source.intake!.take(lines, textOf([event]))).toEqual({ kind: 'closed' });
    await source.connect([], 's');
    const first = source.intake!.take(lines, textOf(Array(9).fill(event)));
    expect(await source.intake!.take(lines, textOf([event]))).toEqual({ kind: 'busy' });
    const read = await source.read();
    expect(await source.intake!.take(lines, textOf([event]))).toEqual({ kind: 'busy' });
    await read!.ack();
    expect((await first).kind).toBe('taken');
    const second = source.intake!.take(lines, textOf([event]));
    await source.close();
    expect(await second).toEqual({ kind: 'closed' });
  });

  it('may have CloudEvents, whose source and id together are the id', async () => {
    const source = sourceOf({ fields: { user: 'customer' } });
    await source.connect([], 's');
    const cloudEvent = (id: string) => ({
      specversion: '1.0',
      type: 'purchase',
      source: '/shop',
      id,
      time: '2026-01-02T03:04:05Z',
      data: { customer: 'u', item: `i${id}` },
    });
    const body = Buffer.from(JSON.stringify([cloudEvent('1'), cloudEvent('2')]));
    const answer = source.intake!.take('application/cloudevents-batch+json; charset=utf-8', body);
    const read = (await source.read())!;
    const { records } = read.batches[0]!;
    expect(Array.from(records.id!)).toEqual(['/shop#1', '/shop#2']);
    expect(Array.from(records.item)).toEqual(['i1', 'i2']);
    expect(records.ts![0]).toBe('2026-01-02T03:04:05Z');
    await read.ack();
    expect((await answer).kind).toBe('taken');
    const other = sourceOf({ envelope: 'debezium' });
    await other.connect([], 's');
    expect(await other.intake!.take('application/cloudevents+json', body)).toMatchObject({ kind: 'foreign' });
    for (const s of [source, other]) await s.close();
  });
});

describe('a list', () => {
  const cut = (text: string) =>
    bodyKind('application/json')!
      .cut(Buffer.from(text))
      .map(r => r.bytes.toString());

  it.each([
    ['[]', []],
    [' [ 1 , "a,]\\"" ,{"b":[1,2,{"c":"]"}]}, [] ] ', ['1', '"a,]\\""', '{"b":[1,2,{"c":"]"}]}', '[]']],
    ['{"a":[1,2]}', ['{"a":[1,2]}']],
    ['', []],
  ])('%s is cut into its elements', (text, elements) => {
    expect(cut(text)).toEqual(elements);
  });

  it.each(['[', '[1', '[1]]', '[1] 2', '["a]'])('%s is refused', text => {
    expect(() => cut(text)).toThrow(/without an end/);
  });
});
