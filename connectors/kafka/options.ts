import { z } from 'zod';
import { httpUrl, isHostAndPort } from '../../src/address.js';
import { fieldsOf, type MappingOptions, mappingOptions } from '../../src/mapping/index.js';
import { timeOptions } from '../../src/stages/event-time.js';

const file = z
  .string()
  .min(1)
  .refine(path => !path.includes('-----BEGIN'), { error: 'expected the path of a PEM file, found its text' });

/** TLS: `true` trusts the system's authorities; paths start from the configuration's directory. */
const tlsOptions = z.union([
  z.boolean(),
  z.strictObject({
    ca: file.optional().describe('PEM file of the authorities to trust'),
    cert: file.optional().describe('PEM file of the client certificate (mTLS)'),
    key: file.optional().describe('PEM file of its private key'),
    passphrase: z.string().optional(),
    servername: z.string().min(1).optional().describe('name to verify in place of the host'),
  }),
]);

const login = { username: z.string().min(1), password: z.string() };
const saslOptions = z.discriminatedUnion('mechanism', [
  z.strictObject({ mechanism: z.literal('plain'), ...login }),
  z.strictObject({ mechanism: z.literal('scram-sha-256'), ...login }),
  z.strictObject({ mechanism: z.literal('scram-sha-512'), ...login }),
  z.strictObject({
    mechanism: z.literal('oauthbearer'),
    token: z.string().min(1).optional().describe('the token itself'),
    tokenFile: file.optional().describe('file that holds the token, read for each login'),
    tokenEndpoint: httpUrl.optional().describe('where a token is had for client credentials'),
    clientId: z.string().optional(),
    clientSecret: z.string().optional(),
    scope: z.string().optional(),
  }),
]);

/** How to reach a Kafka cluster. Secrets belong into variables: `password: ${KAFKA_PASSWORD}`. */
export const connectionOptions = {
  brokers: z
    .union([z.array(z.string().min(1)).min(1), z.string().min(1)])
    .transform(b => (typeof b === 'string' ? b.split(',').map(s => s.trim()) : b))
    .refine(b => !b.some(s => s.includes('@')), {
      error: 'expected host:port, found a login; it belongs into `sasl`',
      abort: true,
    })
    .refine(b => b.every(isHostAndPort), 'expected host:port, or a list of them, with ports from 1 to 65535')
    .describe('host:port of one or more brokers, as a list or with commas'),
  clientId: z.string().min(1).default('sansa-stream'),
  ssl: tlsOptions.default(false),
  sasl: saslOptions.optional(),
  connectionTimeoutMs: z.int().min(100).default(5000),
  requestTimeoutMs: z.int().min(1000).default(30_000),
};
const connectionSchema = z.strictObject(connectionOptions);
export type ConnectionOptions = z.output<typeof connectionSchema>;

const format = z.enum(['json', 'avro', 'protobuf']);
const path = z.string().min(1);

/** How a record's key is read, which alone tells what a tombstone (a record without a value) retracts. */
const keyOptions = z.strictObject({
  format: z.enum(['text', 'json', 'avro', 'protobuf']).default('text'),
  separator: z.string().min(1).default(':').describe('text only: what stands between its parts'),
  user: path.default('0').describe('path in the key; the parts of a text are 0, 1, …'),
  item: path.default('1'),
  parts: z
    .int()
    .min(1)
    .optional()
    .describe('text only: parts of a key; one with more is refused. Default: up to the last that is read'),
});

const registryOptions = z.strictObject({
  url: httpUrl,
  username: z.string().optional(),
  password: z.string().optional(),
  idBytes: z
    .union([z.literal(4), z.literal(8)])
    .default(4)
    .describe("bytes of a schema's id; 8 in Apicurio's older format"),
  timeoutMs: z.int().min(100).default(10_000),
});

const batchOptions = z.strictObject({
  records: z.int().min(1).max(1_000_000).default(25_000).describe('records of one transaction at most'),
  bytes: z
    .int()
    .min(1)
    .default(32 * 2 ** 20)
    .describe('their bytes at most, but for a single record'),
  waitMs: z.int().min(1).default(250).describe('how long records wait for others before they go in'),
});

const column = z.string().min(1);

/** Where the past of the topic lies. */
const historyOptions = z
  .strictObject({
    source: z.string().min(1).describe('name of the source with the history; it is read first, and once'),
    partition: column.optional().describe("column of its query: the partition of a row's record …"),
    offset: column.optional().describe('… and its offset; the topic is read behind the last ones'),
    timestamp: column.optional().describe("in place of both: column with the record's timestamp …"),
    time: z.iso
      .datetime({ offset: true })
      .or(z.iso.date())
      .optional()
      .describe('… of which rows before this time are taken, and records of the topic from then on'),
  })
  .superRefine(({ partition, offset, timestamp, time }, context) => {
    const byOffset = [partition, offset].filter(x => x !== undefined).length;
    const byTime = [timestamp, time].filter(x => x !== undefined).length;
    if ((byOffset === 2 && byTime === 0) || (byOffset === 0 && byTime === 2)) return;
    context.addIssue({
      code: 'custom',
      message: 'expected either `partition` and `offset`, or `timestamp` and `time`',
    });
  });

/** Interaction events from Kafka topics. */
export const kafkaSourceOptions = z
  .strictObject({
    type: z.literal('kafka'),
    name: z.string().min(1).default('kafka').describe('name of the source in the state'),
    ...connectionOptions,
    topics: z.array(z.string().min(1)).min(1),
    group: z.string().min(1).default('sansa-stream').describe('consumer group'),
    adoptGroup: z.boolean().default(false).describe('take over a group that belongs to another state'),
    shard: z
      .string()
      .regex(/^\d+\/\d+$/, 'expected s/S, such as 2/8')
      .refine(s => Number(s.split('/')[0]) < Number(s.split('/')[1]), {
        error: 'expected s/S with s from 0 to S − 1',
      })
      .optional()
      .describe('s/S: take the partitions p ≡ s (mod S) for good; default: all partitions'),
    start: z.enum(['earliest', 'latest']).default('earliest').describe('where a new state begins'),
    startAfter: historyOptions
      .optional()
      .describe('a new state takes this history of the topic, and then the topic from where that ends'),
    onLostRecords: z
      .enum(['refuse', 'reset'])
      .default('refuse')
      .describe('when records behind the stored position were deleted: stop, or record the gap and go on'),
    format: format.default('json'),
    cloudEvents: z
      .boolean()
      .default(false)
      .describe('values are CloudEvents, binary or structured; the same as `envelope: cloudevents`'),
    registry: registryOptions.optional().describe('schema registry; avro and protobuf need one'),
    ...mappingOptions,
    ...timeOptions,
    key: keyOptions
      .optional()
      .describe('with it, a tombstone removes the item of the user that its key names'),
    batch: batchOptions.prefault({}),
    maxRecordBytes: z
      .int()
      .min(1)
      .default(2 ** 20)
      .describe('a larger value becomes a dead letter'),
    deadLetterTopic: z.string().min(1).optional().describe('where dead letters go besides the state'),
    sessionTimeoutMs: z.int().min(1000).default(10_000),
    heartbeatMs: z.int().min(100).default(2000),
  })
  .superRefine((o, context) => {
    const needs = [o.format, o.key?.format].find(f => f === 'avro' || f === 'protobuf');
    if (needs && !o.registry)
      context.addIssue({
        code: 'custom',
        path: ['registry'],
        message: `expected the schema registry that ${needs} needs`,
      });
    const refuse = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    if (o.startAfter && o.start === 'latest')
      refuse('start', 'expected none beside `startAfter`, which says where the topic begins, found "latest"');
    if (o.startAfter && o.topics.length > 1)
      refuse('topics', 'expected one topic, whose history `startAfter` names; give each topic a source');
    if (o.startAfter?.time && o.shard)
      refuse(
        'startAfter',
        'expected `partition` and `offset`, which a shard needs to know its rows, found `time`',
      );
    if (o.heartbeatMs * 2 > o.sessionTimeoutMs)
      context.addIssue({
        code: 'custom',
        path: ['heartbeatMs'],
        message: 'expected at most half of sessionTimeoutMs',
      });
    if (o.cloudEvents && o.envelope !== undefined && o.envelope !== 'cloudevents')
      context.addIssue({
        code: 'custom',
        path: ['envelope'],
        message: `expected cloudevents, as \`cloudEvents: true\` says, found ${o.envelope}`,
      });
    const { each: _, ...fields } = fieldsOf(mappingOf(o));
    const paths = Object.entries(fields).filter(([, place]) => typeof place === 'string');
    paths.forEach(([name, path], k) => {
      const other = path === 'none' ? undefined : paths.slice(0, k).find(([, p]) => p === path)?.[0];
      if (other !== undefined)
        context.addIssue({
          code: 'custom',
          path: ['fields', name],
          message: `expected a path of its own, found ${JSON.stringify(path)}, as of ${other}; events without ${/^[aeiou]/.test(name) ? 'an' : 'a'} ${name} have the path none`,
        });
    });
  });
export type KafkaSourceOptions = z.output<typeof kafkaSourceOptions>;

/** How its records become events. */
export const mappingOf = ({
  envelope,
  cloudEvents,
  fields,
  where,
  each,
}: MappingOptions & { readonly cloudEvents: boolean }): MappingOptions => ({
  envelope: envelope ?? (cloudEvents ? 'cloudevents' : undefined),
  fields,
  where,
  each,
});
