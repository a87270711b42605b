import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type * as Client from '@redis/client';
import { required } from '../../src/runtime/require.js';
import type { RedisOptions } from './options.js';

const { createClient, createCluster, ErrorReply, RESP_TYPES } = required('@redis/client') as typeof Client;

/** An argument of a command. */
type Argument = string | Buffer;

/** Pauses between tries of a command that found no server, in milliseconds. */
const pausesMs = [100, 400, 1600];
/** Keys of one command, small enough that the server is never busy with it for long. */
const keysAtOnce = 256;

/** Commands that any of Redis's forms understands. All of them may be repeated without harm. */
export interface RedisConnection {
  /** Sends a command about `key`; tries again for a while when the connection fails. */
  send(key: string, args: readonly Argument[]): Promise<unknown>;
  /** As `send`; the answer is bytes. */
  getBytes(key: string): Promise<Buffer | undefined>;
  /** Sets many keys, all of them in the end. */
  setAll(keys: readonly string[], value: (k: number) => Buffer): Promise<void>;
  /** Deletes keys, after `graceMs` if that is not 0. */
  deleteAll(keys: readonly string[], graceMs?: number): Promise<void>;
  /** The same command for many keys. */
  each(keys: readonly string[], args: (key: string) => readonly Argument[]): Promise<readonly unknown[]>;
  /** INFO of every server that takes writes. */
  info(section: 'server' | 'memory' | 'stats'): Promise<readonly ReadonlyMap<string, string>[]>;
  close(): Promise<void>;
}

const expireAll = `for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[1]) end`;

/** Whether a command may succeed when it is tried again: the server did not refuse it, it was not reached. */
const mayPass = (error: unknown): boolean =>
  !(error instanceof ErrorReply) || /^(LOADING|TRYAGAIN|CLUSTERDOWN|MASTERDOWN)/.test(error.message);

/** Runs `command`, again and later when the server was not reached. */
async function retried<T>(command: () => Promise<T>): Promise<T> {
  for (const pauseMs of pausesMs) {
    try {
      return await command();
    } catch (error) {
      if (!mayPass(error)) throw error;
      await sleep(pauseMs);
    }
  }
  return command();
}

function clientOptions({ username, password, tls, timeoutMs, url }: RedisOptions) {
  const pem = (path: string | undefined) => (path === undefined ? undefined : readFileSync(path, 'utf8'));
  const secure = url.startsWith('rediss:');
  const { ca, cert, key } = { ca: pem(tls.ca), cert: pem(tls.cert), key: pem(tls.key) };
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    commandOptions: { timeout: timeoutMs },
    disableOfflineQueue: false,
    socket: {
      connectTimeout: timeoutMs,
      // A server that answers, and refuses, will refuse again.
      reconnectStrategy: (retries: number, cause: Error) =>
        retries < 6 && !(cause instanceof ErrorReply) ? 50 * 2 ** retries : cause,
      ...(secure
        ? {
            tls: true as const,
            ...(ca ? { ca } : {}),
            ...(cert ? { cert } : {}),
            ...(key ? { key } : {}),
            ...(tls.serverName ? { servername: tls.serverName } : {}),
          }
        : {}),
    },
  };
}

/** Connects to a server, or to a cluster. */
export async function connectRedis(options: RedisOptions): Promise<RedisConnection> {
  return options.cluster || options.url.includes(',') ? connectCluster(options) : connectServer(options);
}

const lines = (text: unknown): ReadonlyMap<string, string> =>
  new Map(
    String(text)
      .split('\r\n')
      .filter(line => line.includes(':'))
      .map(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );

async function connectServer(options: RedisOptions): Promise<RedisConnection> {
  const client = createClient({ ...clientOptions(options), url: options.url });
  // What goes wrong is thrown where a command waits for it.
  client.on('error', () => undefined);
  await client.connect();
  const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const send = (args: readonly Argument[]): Promise<unknown> => client.sendCommand([...args]);
  const inParts = async (keys: readonly string[], command: (from: number, to: number) => Argument[]) => {
    const parts: Promise<unknown>[] = [];
    for (let from = 0; from < keys.length; from += keysAtOnce)
      parts.push(send(command(from, Math.min(keys.length, from + keysAtOnce))));
    await Promise.all(parts);
  };
  return {
    send: (_, args) => retried(() => send(args)),
    getBytes: async key =>
      ((await retried(() => bytes.sendCommand(['GET', key]))) as Buffer | null) ?? undefined,
    setAll: (keys, value) =>
      retried(() =>
        inParts(keys, (from, to) => {
          const args: Argument[] = ['MSET'];
          for (let k = from; k < to; k++) args.push(keys[k]!, value(k));
          return args;
        }),
      ),
    deleteAll: (keys, graceMs = 0) =>
      retried(() =>
        inParts(keys, (from, to) => {
          const some = keys.slice(from, to);
          return graceMs === 0
            ? ['UNLINK', ...some]
            : ['EVAL', expireAll, String(some.length), ...some, String(graceMs)];
        }),
      ),
    each: (keys, args) => retried(() => Promise.all(keys.map(key => send(args(key))))),
    info: async section => [lines(await retried(() => send(['INFO', section])))],
    async close() {
      client.destroy();
    },
  };
}

async function connectCluster(options: RedisOptions): Promise<RedisConnection> {
  const { socket, ...defaults } = clientOptions(options);
  const cluster = createCluster({
    rootNodes: options.url.split(',').map(url => ({ url })),
    defaults: { ...defaults, socket },
  });
  cluster.on('error', () => undefined);
  await cluster.connect();
  const bytes = cluster.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const send = (key: string, args: readonly Argument[]): Promise<unknown> =>
    cluster.sendCommand(key, false, [...args]);
  const each = (keys: readonly string[], args: (key: string, k: number) => readonly Argument[]) =>
    retried(() => Promise.all(keys.map((key, k) => send(key, args(key, k)))));
  return {
    send: (key, args) => retried(() => send(key, args)),
    getBytes: async key =>
      ((await retried(() => bytes.sendCommand(key, false, ['GET', key]))) as Buffer | null) ?? undefined,
    setAll: async (keys, value) => void (await each(keys, (key, k) => ['SET', key, value(k)])),
    deleteAll: async (keys, graceMs = 0) =>
      void (await each(keys, key => (graceMs === 0 ? ['UNLINK', key] : ['PEXPIRE', key, String(graceMs)]))),
    each,
    info: section =>
      Promise.all(
        cluster.masters.map(async node => {
          const client = await cluster.nodeClient(node);
          return lines(await client.sendCommand(['INFO', section]));
        }),
      ),
    async close() {
      cluster.destroy();
    },
  };
}
