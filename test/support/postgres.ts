/** A real Postgres for tests: the programs of this machine, on a free loopback port. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { freePort } from './redis.js';

const debian = '/usr/lib/postgresql';
const folders = [
  ...(process.env.PATH ?? '').split(':'),
  ...(existsSync(debian) ? readdirSync(debian).map(version => join(debian, version, 'bin')) : []),
];
const bin = folders.find(
  folder => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')),
);

/** Why there is no server for tests, if there is none. */
export const missing = bin === undefined ? 'no initdb and postgres' : undefined;

/** The user that runs the server: not root, which Postgres refuses to be run by. */
function user(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

/** A server with an empty database. */
export interface PostgresServer {
  readonly url: string;
  /** Runs statements as another program would. */
  sql(text: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  remove(): Promise<void>;
}

/** Starts a server of this machine. */
export async function startPostgres(): Promise<PostgresServer> {
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-postgres-'));
  const as = user();
  if (as) chownSync(directory, as.uid, as.gid);
  const data = join(directory, 'data');
  const settings = { ...as, cwd: directory, stdio: 'ignore' } as const;
  const make = ['-D', data, '-U', 'stage', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];
  execFileSync(join(bin!, 'initdb'), make, settings);
  const port = await freePort();
  const run = ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', directory, '-F'];
  const child = spawn(join(bin!, 'postgres'), run, settings);
  const url = `postgres://stage@127.0.0.1:${port}/postgres`;
  const server: PostgresServer = {
    url,
    async sql(text) {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      try {
        return (await client.query(text)).rows;
      } finally {
        await client.end();
      }
    },
    async remove() {
      if (child.exitCode === null) {
        child.kill('SIGQUIT');
        await once(child, 'exit');
      }
      rmSync(directory, { recursive: true, force: true });
    },
  };
  for (let tries = 0; ; tries++) {
    try {
      await server.sql('SELECT 1');
      return server;
    } catch (error) {
      if (tries > 300 || child.exitCode !== null) throw error;
      await sleep(100);
    }
  }
}
