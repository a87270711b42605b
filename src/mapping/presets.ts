import type { FieldOptions, MappingOptions, Paths } from './options.js';

/** Where the fields of an event are found if nothing is said. */
type Defaults = Partial<FieldOptions> & { readonly each?: Paths };

const snowplow = 'com_snowplowanalytics_snowplow_ecommerce';

/** Defaults of each envelope. */
const presets: Readonly<Record<NonNullable<MappingOptions['envelope']> | 'none', Defaults>> = {
  none: {},
  /** A row has the same key after each of its changes: it is no id of an event. */
  connect: { id: 'none' },
  debezium: { id: 'none' },
  cloudevents: { ts: '$ce.time', id: '$ce.uid' },
  /** The e-commerce events of Segment's specification, as RudderStack has them too. */
  segment: {
    user: ['userId', 'anonymousId'],
    each: ['properties.products', 'properties'],
    item: ['$each.product_id', '$each.sku'],
    weight: {
      from: 'event',
      map: {
        'Product Clicked': 1,
        'Product Viewed': 1,
        'Product Added to Wishlist': 2,
        'Product Added': 3,
        'Order Completed': 5,
      },
      otherwise: 'skip',
    },
    ts: ['timestamp', 'originalTimestamp', 'receivedAt'],
    id: 'messageId',
  },
  /** Enriched events with the e-commerce entities of Snowplow, as JSON (Analytics SDK, Snowbridge). */
  snowplow: {
    user: ['user_id', 'domain_userid', 'network_userid'],
    each: `contexts_${snowplow}_product_1`,
    item: '$each.id',
    weight: {
      from: `unstruct_event_${snowplow}_snowplow_ecommerce_action_1.type`,
      map: { list_click: 1, product_view: 1, add_to_cart: 3, transaction: 5 },
      otherwise: 'skip',
    },
    ts: ['derived_tstamp', 'collector_tstamp'],
    id: 'event_id',
  },
};

/** Where each field is found, and `each`. */
type Fields = { readonly [F in keyof FieldOptions]-?: Exclude<FieldOptions[F], undefined> } & {
  readonly each: Paths | undefined;
};

/** The fields of a mapping, and `each`, with the defaults of its envelope. */
export function fieldsOf({
  envelope,
  fields,
  each,
}: Pick<MappingOptions, 'envelope' | 'fields' | 'each'>): Fields {
  const preset = presets[envelope ?? 'none'];
  const given = Object.fromEntries(Object.entries(fields).filter(([, place]) => place !== undefined));
  const own = { user: 'user', item: 'item', weight: 'weight', op: 'op', ts: 'ts', id: 'id' };
  return { ...own, ...preset, each: each ?? preset.each, ...given } as Fields;
}
