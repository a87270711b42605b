import { z } from 'zod';
import { keyValueSettings } from '../../src/publish/sink-options.js';

const url = z
  .string()
  .regex(
    /^rediss?:\/\/[^\s,]+(,rediss?:\/\/[^\s,]+)*$/,
    'expected a URL such as redis://host:6379 or rediss://host:6379',
  );

/** Settings of the Redis sink: Redis or Valkey, 7 or newer. */
export const redisOptions = z.strictObject({
  type: z.literal('redis'),
  /** One server, or some nodes of a cluster, joined by commas. rediss:// is TLS. */
  url,
  /** Whether `url` names nodes of a cluster; more than one does. */
  cluster: z.boolean().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  /** PEM files for rediss:// beside what the system trusts. */
  tls: z
    .strictObject({
      ca: z.string().optional(),
      cert: z.string().optional(),
      key: z.string().optional(),
      serverName: z.string().optional(),
    })
    .prefault({}),
  ...keyValueSettings,
  /** How long the lists of a superseded version stay readable, in milliseconds. */
  graceMs: z.int().min(0).default(60_000),
  /** How long a connection, or the answer to a command, is waited for, in milliseconds. */
  timeoutMs: z.int().min(100).default(10_000),
  /** How long a publisher that fell silent keeps others out, in milliseconds. */
  leaseMs: z.int().min(1000).default(30_000),
});

/** Settings of the Redis sink, defaults filled in. */
export type RedisOptions = z.output<typeof redisOptions>;
