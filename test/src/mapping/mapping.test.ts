/**
 * Records become what a naive reader of the mapping makes of them, flat or nested; simple conditions say what CEL says; and
 * the events of Debezium, Kafka Connect, Segment and Snowplow are those that their tables and trackers mean.
 */
import fc from 'fast-check';
import type { KafkaMessage } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { createDecoder } from '#connectors/kafka/decoder.js';
import { kafkaSourceOptions } from '#connectors/kafka/options.js';
import { parseCondition } from '#src/mapping/condition.js';
import { getterOf } from '#src/mapping/path.js';
import { Records } from '#src/mapping/records.js';
import { decodeEvents, operations } from '#src/stages/events.js';

type Json = Record<string, unknown>;
interface Sent {
  readonly value: unknown;
  readonly key?: string;
}

/** What values become: events as short texts, skips by reason, dead letters by code. */
function become(settings: object, sent: readonly Sent[], interactions: 'last' | 'sum' = 'sum') {
  const options = kafkaSourceOptions.parse({ type: 'kafka', brokers: 'x:1', topics: ['t'], ...settings });
  const decoder = createDecoder(options);
  const records = new Records();
  sent.forEach(({ value, key }, k) => {
    decoder.decode(
      {
        offset: String(k),
        timestamp: '1700000000000',
        value: value === null ? null : Buffer.from(JSON.stringify(value)),
        key: key === undefined ? null : Buffer.from(key),
        headers: {},
      } as unknown as KafkaMessage,
      records,
    );
  });
  const batch = records.batch('t/0');
  const { events, dead } = decodeEvents(batch, { interactions, scale: 100 });
  return {
    events: Array.from({ length: events.length }, (_, k) =>
      [
        events.sequence[k],
        events.user[k],
        events.item[k],
        operations[events.op[k]!],
        events.weight[k]! / 100,
        events.id[k],
      ].join(' '),
    ),
    skipped: Object.fromEntries([...batch.skipped!].filter(([, n]) => n > 0)),
    dead: dead.map(d => `${d.sequence} ${d.code}`),
  };
}
const of = (settings: object, ...values: readonly unknown[]) =>
  become(
    settings,
    values.map(value => ({ value })),
  );

describe('a mapping', () => {
  const types = ['view', 'cart', 'buy', 'dislike', 'page'] as const;
  const table = { view: 1, cart: 3, buy: 5.5, dislike: 'remove', page: 'skip' } as const;
  const record = fc.record(
    {
      type: fc.constantFrom(...types, 'other', 7, 'a.b'),
      account: fc.constantFrom('u1', 'u2', '', 12),
      visitor: fc.constantFrom('v1', 'v2'),
      item: fc.constantFrom('a', 'b', 3),
      'shop.id': fc.constantFrom('s', 't'),
      n: fc.nat(3),
      note: fc.constantFrom('plain', 'ä "quoted"', { deep: true }, null),
    },
    { requiredKeys: [] },
  );
  const lines = fc.array(
    fc.record({ sku: fc.constantFrom('x', 'y', 'z'), quantity: fc.integer({ min: 1, max: 4 }) }),
    {
      maxLength: 4,
    },
  );
  const otherwise = fc.constantFrom('skip', 'reject', 2, 'set') as fc.Arbitrary<string | number>;

  /** The same, read naively. */
  function oracle(values: readonly Json[], other: string | number, each: boolean) {
    const out = { events: [] as string[], skipped: {} as Record<string, number>, dead: [] as string[] };
    const skip = (name: string) => {
      out.skipped[name] = (out.skipped[name] ?? 0) + 1;
    };
    for (const [k, v] of values.entries()) {
      const wanted = types.slice(0, 4).some(t => t === v.type) || v.n === 3;
      const found = Object.hasOwn(table, String(v.type)) ? table[v.type as 'view'] : other;
      const [op, weight] = typeof found === 'number' ? ['add', found] : [found, 1];
      const user = v.account !== undefined && v.account !== '' ? v.account : v.visitor;
      const rows = each ? (v.lines as Json[] | undefined) : [v];
      if (!wanted) skip('kinds');
      else if (v['shop.id'] !== 's') skip('shop');
      else if (found === 'skip') skip('weight');
      else if (found === 'reject') out.dead.push(`${k} weight-unmapped`);
      else if (rows === undefined) out.dead.push(`${k} each-missing`);
      else if (rows.length === 0) skip('each');
      else if (user === undefined) out.dead.push(`${k} user-missing`);
      else if (!each && v.item === undefined) out.dead.push(`${k} item-missing`);
      else
        for (const [index, row] of rows.entries()) {
          const id = `e${v.n ?? ''}${each ? `#${index}` : ''}`;
          out.events.push([k, user, each ? row.sku : v.item, op, weight, id].join(' '));
        }
    }
    return out;
  }

  it.each([false, true])('is what a naive reader makes of the records (elements: %s)', each => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(record, fc.option(lines, { nil: undefined })), { maxLength: 30 }),
        otherwise,
        (given, other) => {
          const values = given.map(([r, l]) => ({
            ...r,
            uid: `e${r.n ?? ''}`,
            ...(each && l ? { lines: l } : {}),
          }));
          const settings = {
            where: {
              kinds: "value.type in ['view', 'cart', 'buy', 'dislike'] || value.n == 3",
              shop: "value['shop.id'] == 's'",
            },
            ...(each ? { each: 'lines' } : {}),
            fields: {
              user: ['account', 'visitor'],
              item: each ? '$each.sku' : 'item',
              weight: { from: 'type', map: table, otherwise: other },
              id: 'uid',
            },
          };
          expect(of(settings, ...values)).toEqual(oracle(values, other, each));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('asks simple conditions as CEL does', () => {
    const literal = fc.constantFrom("'a'", "'3'", '3', '0', 'true');
    const leaf = fc.oneof(
      fc.tuple(fc.constantFrom('x', 'y', 'z'), literal).map(([f, l]) => `value.${f} == ${l}`),
      fc
        .tuple(fc.constantFrom('x', 'y', 'z'), fc.array(literal, { minLength: 1, maxLength: 3 }))
        .map(([f, l]) => `value.${f} in [${l}]`),
    );
    const { text } = fc.letrec<{ text: string }>(tie => ({
      text: fc.oneof(
        { depthSize: 'small' },
        leaf,
        fc
          .tuple(tie('text'), fc.constantFrom('&&', '||'), tie('text'))
          .map(([a, op, b]) => `(${a}) ${op} (${b})`),
      ),
    }));
    const given = fc.record(
      {
        x: fc.constantFrom('a', '3', 3, 0, true, null),
        y: fc.constantFrom('a', 3),
        z: fc.constantFrom('b', false),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(text, given, (condition, value) => {
        const simple = parseCondition(condition);
        const whole = parseCondition(`(${condition}) && true`);
        expect([simple.paths !== undefined, whole.paths]).toEqual([true, undefined]);
        const parts = { value } as Parameters<ReturnType<typeof simple.over>>[0];
        expect(simple.over(getterOf)(parts), condition).toBe(whole.over(getterOf)(parts));
      }),
      { numRuns: 500 },
    );
  });

  it('has names with dots, constants, tables of operations, and conditions of elements', () => {
    const settings = {
      each: ["order['lines.v2']", 'order.lines'],
      where: { order: "value.kind == 'order'", many: 'each.quantity > 1' },
      fields: {
        user: { constant: 'everybody' },
        item: "$each['sku.id']",
        weight: '$each.quantity',
        op: { from: 'status', map: { paid: 'add', returned: 'remove' }, otherwise: 'skip' },
      },
    };
    const line = (sku: string, quantity: number) => ({ 'sku.id': sku, quantity });
    const order = (status: string, ...l: object[]) => ({
      kind: 'order',
      id: 7,
      status,
      order: { 'lines.v2': l },
    });
    const given = [
      order('paid', line('a', 2), line('b', 1), line('c', 4)),
      order('open', line('a', 2)),
      order('returned', line('a', 3)),
      { kind: 'order', status: 'paid', order: { lines: line('d', 2) } },
      { kind: 'visit' },
    ];
    expect(of(settings, ...given)).toEqual({
      events: [
        '0 everybody a add 2 7#0',
        '0 everybody c add 4 7#2',
        '2 everybody a remove 3 7#0',
        '3 everybody d add 2 ',
      ],
      skipped: { many: 1, op: 1, order: 1 },
      dead: [],
    });
  });

  it('makes all events of a record or a dead letter, and of a pair that comes twice the last one, or the sum', () => {
    const settings = { each: 'lines', fields: { item: '$each.sku', weight: '$each.quantity' } };
    const order = (...quantities: unknown[]) => ({
      user: 'u',
      lines: quantities.map(quantity => ({ sku: 'a', quantity })),
    });
    const given = [order(1, 3), order(2, 'many', 4), order(5)].map(value => ({ value }));
    const dead = ['1 weight-type'];
    expect(become(settings, given, 'last')).toMatchObject({ events: ['0 u a add 3 ', '2 u a add 5 '], dead });
    expect(become(settings, given)).toMatchObject({
      events: ['0 u a add 1 ', '0 u a add 3 ', '2 u a add 5 '],
      dead,
    });
  });

  it.each([
    [{ where: 'value.type ==' }, /Unexpected token/],
    [{ where: "type == 'x'" }, /where/],
    [{ where: 'size(value.x)' }, /expected a truth value/],
    [{ fields: { user: 'a[' } }, /expected a path/],
    [{ fields: { weight: { from: 'x', map: { a: -1 } } } }, /weight/],
    [{ envelope: 'debezium', cloudEvents: true }, /expected cloudevents/],
  ])('refuses %j', (settings, message) => {
    expect(() => of(settings)).toThrow(message);
  });
});

describe('presets', () => {
  const row = (id: number, user: string, item: string, more: Json = {}) => ({ id, user, item, ...more });
  const change = (op: string, before: Json | null, after: Json | null, ms = 1_777_629_600_000) => ({
    before,
    after,
    op,
    source: { ts_ms: ms },
    ts_ms: ms + 5,
  });

  it('debezium: rows are set to what they are, and to nothing where they are no more', () => {
    const given = [
      change('r', null, row(1, 'ann', 'A', { qty: 2 })),
      change('c', null, row(2, 'bob', 'B', { qty: 1 })),
      { schema: {}, payload: change('u', row(1, 'ann', 'A', { qty: 2 }), row(1, 'ann', 'C', { qty: 3 })) },
      change('d', row(2, 'bob', 'B', { qty: 1 }), null),
      null,
      change('m', null, null),
      { op: 't', source: {} },
      { user: 'eve', item: 'E', __deleted: 'false', __op: 'c' },
      { user: 'eve', item: 'E', __deleted: 'true', __op: 'd' },
    ];
    expect(of({ envelope: 'debezium', fields: { weight: 'qty' } }, ...given)).toEqual({
      events: [
        '0 ann A set 2 ',
        '1 bob B set 1 ',
        '2 ann A set 0 ',
        '2 ann C set 3 ',
        '3 bob B set 0 ',
        '7 eve E set 1 ',
        '8 eve E set 0 ',
      ],
      skipped: { tombstone: 1, message: 1 },
      dead: ['6 truncate-unmapped'],
    });
  });

  it('debezium: an update takes out a row that the condition leaves out, and a deletion is not asked', () => {
    const settings = {
      envelope: 'debezium',
      where: { live: 'value.live', shop: "envelope.source.table != 'logs'" },
    };
    const [on, off] = [row(1, 'ann', 'A', { live: true }), row(1, 'ann', 'A', { live: false })];
    const logs = { ...change('c', null, on), source: { table: 'logs' } };
    const given = [
      change('c', null, off),
      change('u', off, on),
      change('u', on, off),
      change('d', { user: 'ann', item: 'A' }, null),
      logs,
    ];
    const shop = { source: { table: 'saved' } };
    expect(
      of(settings, ...given.map(g => ({ ...shop, ...g, source: { ...shop.source, ...g.source } }))),
    ).toEqual({
      events: ['1 ann A set 1 ', '2 ann A set 0 ', '3 ann A set 0 '],
      skipped: { live: 1, shop: 1 },
      dead: [],
    });
  });

  it('debezium: `op` of the configuration comes first', () => {
    const op = { from: '$envelope.op', map: { c: 'add', r: 'add', d: 'remove' }, otherwise: 'skip' };
    const one = row(1, 'ann', 'A', { weight: 4 });
    expect(
      of(
        { envelope: 'debezium', fields: { op } },
        change('c', null, one),
        change('u', one, one),
        change('d', one, null),
      ),
    ).toEqual({
      events: ['0 ann A add 4 ', '2 ann A remove 4 '],
      skipped: { op: 1 },
      dead: [],
    });
  });

  it('connect: the payload with its decimals; a row’s key is no id of an event', () => {
    const field = (name: string, more: Json) => ({ field: name, ...more });
    const decimal = {
      type: 'bytes',
      name: 'org.apache.kafka.connect.data.Decimal',
      parameters: { scale: '2' },
    };
    const schema = { type: 'struct', fields: [field('user', { type: 'string' }), field('weight', decimal)] };
    const payload = { id: 1, user: 'ann', item: 'A', weight: Buffer.from([0x04, 0xe2]).toString('base64') };
    expect(
      of({ envelope: 'connect' }, { schema, payload }, { schema, payload: null }, { user: 'bob', item: 'B' }),
    ).toEqual({
      events: ['0 ann A add 12.5 ', '2 bob B add 1 '],
      skipped: { tombstone: 1 },
      dead: [],
    });
  });

  it('segment: products of orders and of single events, of users and visitors', () => {
    const track = (event: string, properties: Json, more: Json = {}) => ({
      type: 'track',
      event,
      properties,
      messageId: 'm',
      ...more,
    });
    const given = [
      track('Product Viewed', { product_id: 'A' }, { userId: null, anonymousId: 'anon' }),
      track('Order Completed', { products: [{ product_id: 'A' }, { sku: 'B' }] }, { userId: 'ann' }),
      track('Product Removed', { product_id: 'A' }, { userId: 'ann' }),
      { type: 'page', userId: 'ann' },
    ];
    expect(of({ envelope: 'segment' }, ...given)).toEqual({
      events: ['0 anon A add 1 m', '1 ann A add 5 m#0', '1 ann B add 5 m#1'],
      skipped: { weight: 2 },
      dead: [],
    });
  });

  it('snowplow: products of e-commerce actions', () => {
    const name = 'com_snowplowanalytics_snowplow_ecommerce';
    const given = {
      event_id: 'e1',
      domain_userid: 'd1',
      derived_tstamp: '2026-05-01T10:00:00.000Z',
      [`unstruct_event_${name}_snowplow_ecommerce_action_1`]: { type: 'add_to_cart' },
      [`contexts_${name}_product_1`]: [{ id: 'A' }, { id: 'B' }],
    };
    expect(of({ envelope: 'snowplow' }, given, { event_id: 'e2', event_name: 'page_ping' })).toEqual({
      events: ['0 d1 A add 3 e1#0', '0 d1 B add 3 e1#1'],
      skipped: { weight: 1 },
      dead: [],
    });
  });
});
