import { z } from 'zod';
import { isUrl } from '../../src/address.js';
import { keyValueSettings } from '../../src/publish/sink-options.js';

const isRedisUrl = (text: string): boolean =>
  isUrl(text, /^rediss?:$/) && /^\/?\d*$/.test(new URL(text).pathname);

const url = z
  .string()
  .regex(/^rediss?:\/\/[^\s,]+(,rediss?:\/\/[^\s,]+)*$/, {
    error: 'expected a URL such as redis://host:6379 or rediss://host:6379',
    abort: true,
  })
  .refine(
    text => text.split(',').every(isRedisUrl),
    'expected redis://host:6379 or rediss://host:6379, its port from 1 to 65535 and behind it nothing or the number of a database',
  )
  .describe('one server, or some nodes of a cluster, joined by commas; rediss:// is TLS');

/** Settings of the Redis sink: Redis or Valkey, 7 or newer. */
export const redisOptions = z.strictObject({
  type: z.literal('redis'),
  url,
  cluster: z.boolean().optional().describe('whether `url` names nodes of a cluster; more than one does'),
  username: z.string().optional().describe('account, where Redis has access rules'),
  password: z.string().optional().describe('password of the account, or of the server'),
  tls: z
    .strictObject({
      ca: z.string().optional().describe('PEM file of an authority beside those that the system trusts'),
      cert: z.string().optional().describe('PEM file of the client certificate'),
      key: z.string().optional().describe('PEM file of its key'),
      serverName: z.string().optional().describe("name in the server's certificate; default: the host"),
    })
    .prefault({})
    .describe('for rediss://'),
  ...keyValueSettings,
  graceMs: z
    .int()
    .min(0)
    .default(60_000)
    .describe('how long the lists of a superseded version stay readable'),
  timeoutMs: z
    .int()
    .min(100)
    .default(10_000)
    .describe('how long a connection, or the answer to a command, is waited for'),
});

/** Settings of the Redis sink, defaults filled in. */
export type RedisOptions = z.output<typeof redisOptions>;
