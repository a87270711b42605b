import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type * as Client from '@redis/client';
import { Refusal } from '../../src/publish/sink-steps.js';
import { required } from '../../src/runtime/require.js';
import type { RedisOptions } from './options.js';

const { createClient, createCluster, ErrorReply, RESP_TYPES } = required('@redis/client') as typeof Client;

/** An argument of a command. */
type Argument = string | Buffer;

/** Pauses between tries of a command that found no server, in milliseconds. */
const pausesMs = [100, 400, 1600];
/** Keys of one command, small enough that the server is never busy with it for long. */
const keysAtOnce = 256;

/**
 * A condition of a command: `key` has `value`, or else `refusal` is thrown. One server looks and obeys in one step. In a
 * cluster, where the two may lie on different servers, it is looked at just before.
 */
export interface Guard {
  readonly key: string;
  readonly value: string;
  readonly refusal: () => Refusal;
}

/** Commands that any of Redis's forms understands. All of them may be repeated without harm. */
export interface RedisConnection {
  /** Sends a command about `key`; tries again for a while when the connection fails. */
  send(key: string, args: readonly Argument[], guard?: Guard): Promise<unknown>;
  /** As `send`; the answer is bytes. */
  getBytes(key: string): Promise<Buffer | undefined>;
  /** Sets many keys, all of them in the end. */
  setAll(keys: readonly string[], value: (k: number) => Buffer, guard?: Guard): Promise<void>;
  /** Deletes keys, after `graceMs` if that is not 0. */
  deleteAll(keys: readonly string[], graceMs?: number): Promise<void>;
  /** Deletes keys at once. */
  unlinkAll(keys: readonly string[], guard: Guard): Promise<void>;
  /** How many of these keys there are. */
  count(keys: readonly string[]): Promise<number>;
  /** The same command for many keys. */
  each(
    keys: readonly string[],
    args: (key: string, k: number) => readonly Argument[],
    guard?: Guard,
  ): Promise<readonly unknown[]>;
  /** INFO of every server that takes writes. */
  info(section: 'server' | 'memory' | 'stats'): Promise<readonly ReadonlyMap<string, string>[]>;
  close(): Promise<void>;
}

const expireAll = `for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[1]) end`;

const skipped = 'SKIPPED';
const look = `if redis.call('GET', KEYS[#KEYS]) ~= ARGV[#ARGV] then return '${skipped}' end`;
const obey = `${look}
table.remove(ARGV)
return redis.call(unpack(ARGV))`;

/** A command that looks at `guard` first, in one step: a script gets one more key and argument. */
function guarded(args: readonly Argument[], { key, value }: Guard): Argument[] {
  if (args[0] !== 'EVAL') return ['EVAL', obey, '1', key, ...args, value];
  const [, script, count, ...rest] = args;
  const keys = Number(count);
  const before = rest.slice(0, keys);
  return ['EVAL', `${look}\n${script}`, String(keys + 1), ...before, key, ...rest.slice(keys), value];
}

/** Whether a command may succeed when it is tried again: the server did not refuse it, it was not reached. */
const mayPass = (error: unknown): boolean =>
  !(error instanceof Refusal) &&
  (!(error instanceof ErrorReply) || /^(LOADING|TRYAGAIN|CLUSTERDOWN|MASTERDOWN)/.test(error.message));

/** What a server says to a user without the password, or without the right: in a script it names the rule otherwise. */
const denied = /^(NOAUTH|WRONGPASS|NOPERM)|ACL failure in script|executing the script can't/;

/** Runs `body`; a server that refuses the user is an `ACCESS_REFUSED`. */
async function permitted<T>(body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    // The client wraps what ends its tries to connect.
    const reply = (error as { readonly originalError?: unknown }).originalError ?? error;
    if (!(reply instanceof ErrorReply && denied.test(reply.message))) throw error;
    const [line] = reply.message.split('\n', 1);
    throw new Refusal(`the server refuses this user or its password (${line})`, 'ACCESS_REFUSED');
  }
}

/** Runs `command`, again and later when the server was not reached. */
async function retried<T>(command: () => Promise<T>): Promise<T> {
  for (const pauseMs of pausesMs) {
    try {
      return await permitted(command);
    } catch (error) {
      if (!mayPass(error)) throw error;
      await sleep(pauseMs);
    }
  }
  return permitted(command);
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
  await permitted(() => client.connect());
  const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const send = async (args: readonly Argument[], guard?: Guard): Promise<unknown> => {
    if (guard === undefined) return client.sendCommand([...args]);
    const answer: unknown = await client.sendCommand(guarded(args, guard));
    if (answer === skipped) throw guard.refusal();
    return answer;
  };
  const inParts = (
    keys: readonly string[],
    command: (some: readonly string[], from: number) => Argument[],
    guard?: Guard,
  ): Promise<unknown[]> => {
    const parts: Promise<unknown>[] = [];
    for (let from = 0; from < keys.length; from += keysAtOnce)
      parts.push(send(command(keys.slice(from, from + keysAtOnce), from), guard));
    return Promise.all(parts);
  };
  return {
    send: (_, args, guard) => retried(() => send(args, guard)),
    getBytes: async key =>
      ((await retried(() => bytes.sendCommand(['GET', key]))) as Buffer | null) ?? undefined,
    setAll: async (keys, value, guard) => {
      const command = (some: readonly string[], from: number): Argument[] => {
        const args: Argument[] = ['MSET'];
        for (const [k, key] of some.entries()) args.push(key, value(from + k));
        return args;
      };
      await retried(() => inParts(keys, command, guard));
    },
    deleteAll: async (keys, graceMs = 0) => {
      const command = (some: readonly string[]): Argument[] =>
        graceMs === 0
          ? ['UNLINK', ...some]
          : ['EVAL', expireAll, String(some.length), ...some, String(graceMs)];
      await retried(() => inParts(keys, command));
    },
    unlinkAll: async (keys, guard) => void (await retried(() => inParts(keys, k => ['UNLINK', ...k], guard))),
    count: async keys => {
      const counts = await retried(() => inParts(keys, some => ['EXISTS', ...some]));
      return counts.reduce<number>((sum, n) => sum + Number(n), 0);
    },
    each: (keys, args, guard) => retried(() => Promise.all(keys.map((key, k) => send(args(key, k), guard)))),
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
  await permitted(() => cluster.connect());
  const bytes = cluster.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const send = async (key: string, args: readonly Argument[], guard?: Guard): Promise<unknown> => {
    if (guard) {
      const found: unknown = await cluster.sendCommand(guard.key, false, ['GET', guard.key]);
      if (found !== guard.value) throw guard.refusal();
    }
    return cluster.sendCommand(key, false, [...args]);
  };
  const each = (
    keys: readonly string[],
    args: (key: string, k: number) => readonly Argument[],
    guard?: Guard,
  ) =>
    retried(async () => {
      if (guard) await send(guard.key, ['GET', guard.key], guard);
      return Promise.all(keys.map((key, k) => send(key, args(key, k))));
    });
  return {
    send: (key, args, guard) => retried(() => send(key, args, guard)),
    getBytes: async key =>
      ((await retried(() => bytes.sendCommand(key, false, ['GET', key]))) as Buffer | null) ?? undefined,
    setAll: async (keys, value, guard) => void (await each(keys, (key, k) => ['SET', key, value(k)], guard)),
    deleteAll: async (keys, graceMs = 0) =>
      void (await each(keys, key => (graceMs === 0 ? ['UNLINK', key] : ['PEXPIRE', key, String(graceMs)]))),
    unlinkAll: async (keys, guard) => void (await each(keys, key => ['UNLINK', key], guard)),
    count: async keys => {
      const counts = await each(keys, key => ['EXISTS', key]);
      return counts.reduce<number>((sum, n) => sum + Number(n), 0);
    },
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
