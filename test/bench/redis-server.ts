import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@redis/client';

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** A Redis of this machine in `directory`, without persistence; `REDIS_URL` names another, which is not `own`. */
export async function startRedis(directory: string) {
  let child: ChildProcess | undefined;
  let url = process.env.REDIS_URL;
  if (url === undefined) {
    const port = await freePort();
    const settings = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', directory];
    child = spawn('redis-server', settings, { stdio: 'ignore' });
    await once(child, 'spawn');
    url = `redis://127.0.0.1:${port}`;
    await sleep(500);
  }
  const client = createClient({ url });
  client.on('error', () => undefined);
  await client.connect();
  return {
    url,
    own: child !== undefined,
    send: (...args: string[]): Promise<unknown> => client.sendCommand(args),
    async stop(): Promise<void> {
      client.destroy();
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      child.kill();
      await once(child, 'exit');
    },
  };
}
