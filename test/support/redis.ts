/**
 * A real Redis or Valkey for tests: `REDIS_URL`, else the `redis-server` or `valkey-server` of this machine on a free
 * loopback port, else Docker. Without any of them a suite is skipped, or fails with REQUIRE_SERVICES=1.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@redis/client';

/** A server that can be stopped; `stop` and `start` keep its port and its directory. */
export interface RedisServer {
  readonly url: string;
  readonly port: number;
  start(): Promise<void>;
  /** Ends the process: by SIGKILL, or in peace. */
  stop(how?: 'kill' | 'quit'): Promise<void>;
  /** Ends the process and removes what it left. */
  remove(): Promise<void>;
}

const found = (command: string, ...args: string[]): boolean => {
  try {
    execFileSync(command, args, { stdio: 'ignore', timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
};

const binary = ['redis-server', 'valkey-server'].find(name => found(name, '--version'));
const docker = binary === undefined && found('docker', 'info');

/** Why there is no server for tests, if there is none. */
export const missing =
  process.env.REDIS_URL || binary || docker ? undefined : 'no REDIS_URL, no redis-server, no Docker';

/** Why there is no server that tests may start, stop and configure. */
export const missingOwn = binary === undefined ? 'no redis-server or valkey-server' : undefined;

/** Whether a suite is skipped; throws instead where services are required. */
export function skipped(why: string | undefined): boolean {
  if (why !== undefined && process.env.REQUIRE_SERVICES === '1') throw new Error(`Redis is required: ${why}`);
  return why !== undefined;
}

/** A port of the loopback interface that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  // A cluster's bus listens 10,000 above.
  return port > 55_000 ? freePort() : port;
}

/** Waits until a server answers. */
async function answers(url: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const client = createClient({ url, socket: { reconnectStrategy: false } });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.sendCommand(['PING']);
      return;
    } catch (error) {
      const { message } = error as Error;
      if (/NOAUTH|WRONGPASS|NOPERM/.test(message)) return;
      if (tries > 100) throw error;
      await sleep(50);
    } finally {
      if (client.isOpen) client.destroy();
    }
  }
}

/** Starts a server of this machine with further settings, `--name value …`. */
export async function startRedis(...settings: readonly string[]): Promise<RedisServer> {
  const port = await freePort();
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-redis-'));
  const url = `redis://127.0.0.1:${port}`;
  const common = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', directory];
  let child: ChildProcess | undefined;
  const server: RedisServer = {
    url,
    port,
    async start() {
      child = spawn(binary!, [...common, ...settings], { stdio: 'ignore' });
      await answers(url);
    },
    async stop(how = 'quit') {
      const last = child;
      child = undefined;
      if (!last || last.exitCode !== null) return;
      last.kill(how === 'kill' ? 'SIGKILL' : 'SIGTERM');
      await once(last, 'exit');
    },
    async remove() {
      await server.stop('kill');
      rmSync(directory, { recursive: true, force: true });
    },
  };
  await server.start();
  return server;
}

/** Any server: the one of REDIS_URL, one of this machine, or one in Docker. */
export async function anyRedis(): Promise<Pick<RedisServer, 'url' | 'remove'>> {
  if (process.env.REDIS_URL) return { url: process.env.REDIS_URL, remove: async () => undefined };
  if (!docker) return startRedis();
  const port = await freePort();
  const name = `sansa-stream-test-${basename(mkdtempSync(join(tmpdir(), 'redis-')))}`;
  const run = ['run', '--rm', '-d', '--name', name, '-p', `127.0.0.1:${port}:6379`, 'redis:7'];
  execFileSync('docker', run, { stdio: 'ignore' });
  const url = `redis://127.0.0.1:${port}`;
  await answers(url);
  return { url, remove: async () => void execFileSync('docker', ['kill', name], { stdio: 'ignore' }) };
}

/** Runs commands on a server as another program would. */
export async function onRedis<T>(
  url: string,
  body: (send: (...args: string[]) => Promise<unknown>) => Promise<T>,
): Promise<T> {
  const client = await createClient({ url }).connect();
  try {
    return await body((...args) => client.sendCommand(args));
  } finally {
    client.destroy();
  }
}
