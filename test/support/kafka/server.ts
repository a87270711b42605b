/** Broker processes: the same properties run by Java or by a container. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { classPath } from './install.js';

const run = promisify(execFile);

/** A SCRAM user that exists from the start. */
export interface ScramUser {
  readonly mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-512';
  readonly user: string;
  readonly password: string;
}

/** What a broker process is started with. */
export interface ServerSettings {
  readonly release: string;
  /** Directory for the log, the properties and whatever files they name. */
  readonly directory: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly scram: readonly ScramUser[];
  readonly heapMiB: number;
}

/** A broker's process, started and ended any number of times over the same data. */
export interface Server {
  start(): Promise<void>;
  /** `clean` lets the broker close its log; `hard` kills it. */
  end(how: 'clean' | 'hard'): Promise<void>;
  /** Throws if the process has ended by itself. */
  assertRunning(): void;
  remove(): Promise<void>;
}

/** Processes that are still there when this one ends, tests that failed included. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A broker as a Java process. */
export async function javaServer(settings: ServerSettings): Promise<Server> {
  const { directory, properties, scram, heapMiB } = settings;
  const path = await classPath(settings.release);
  const file = join(directory, 'server.properties');
  const log = join(directory, 'server.log');
  const lines = Object.entries({ ...properties, 'log.dirs': join(directory, 'data') });
  writeFileSync(file, lines.map(([key, value]) => `${key}=${value.replaceAll('\n', '\\\n')}\n`).join(''));
  const users = scram.flatMap(s => ['-S', `${s.mechanism}=[name=${s.user},password=${s.password}]`]);
  // A dash in front would make it a flag.
  const id = Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url').replace(/^-/, 'A');
  const jvm = ['-XX:+UseSerialGC', '-cp', path];
  await run('java', [
    '-Xmx128m',
    ...jvm,
    'kafka.tools.StorageTool',
    'format',
    '-t',
    id,
    '-c',
    file,
    ...users,
  ]);
  let child: ChildProcess | undefined;
  const tail = () => (existsSync(log) ? readFileSync(log, 'utf8').slice(-2000) : '');
  async function end(how: 'clean' | 'hard'): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(how === 'hard' ? 'SIGKILL' : 'SIGTERM');
    await ended;
  }
  return {
    async start() {
      const out = openSync(log, 'a');
      const started = spawn('java', ['-Xms128m', `-Xmx${heapMiB}m`, ...jvm, 'kafka.Kafka', file], {
        stdio: ['ignore', out, out],
        cwd: directory,
      });
      closeSync(out);
      running.add(started);
      started.once('exit', () => running.delete(started));
      child = started;
      await once(started, 'spawn');
    },
    end,
    assertRunning() {
      if (child?.exitCode === null && child.signalCode === null) return;
      throw new Error(`the broker ended with ${child?.exitCode ?? child?.signalCode}:\n${tail()}`);
    },
    remove: () => end('hard'),
  };
}

/** A broker in a container of the image `apache/kafka`. */
export async function dockerServer(settings: ServerSettings, ports: readonly number[]): Promise<Server> {
  const { directory, properties, scram, heapMiB, release } = settings;
  const name = `sansa-stream-${randomUUID()}`;
  const variable = (key: string) =>
    `KAFKA_${key.toUpperCase().replaceAll('_', '__').replaceAll('-', '___').replaceAll('.', '_')}`;
  const variables = Object.entries({ ...properties, 'log.dirs': '/tmp/data' });
  const docker = (...args: readonly string[]) => run('docker', [...args], { timeout: 300_000 });
  await docker(
    'create',
    ...['--name', name, '--volume', `${directory}:${directory}`],
    ...ports.flatMap(port => ['--publish', `127.0.0.1:${port}:${port}`]),
    ...variables.flatMap(([key, value]) => ['--env', `${variable(key)}=${value}`]),
    ...['--env', `KAFKA_HEAP_OPTS=-Xmx${heapMiB}m`, `apache/kafka:${release}`],
  );
  let first = true;
  return {
    async start() {
      await docker('start', name);
      if (!first) return;
      first = false;
      for (const { mechanism, user, password } of scram) {
        const alter = ['--alter', '--add-config', `${mechanism}=[password=${password}]`];
        const entity = ['--entity-type', 'users', '--entity-name', user];
        const script = '/opt/kafka/bin/kafka-configs.sh';
        await docker(
          'exec',
          name,
          script,
          '--bootstrap-server',
          `127.0.0.1:${ports[1]}`,
          ...alter,
          ...entity,
        );
      }
    },
    async end(how) {
      await docker(...(how === 'hard' ? ['kill', name] : ['stop', '--time', '60', name]));
    },
    assertRunning() {},
    async remove() {
      await docker('rm', '--force', name);
    },
  };
}
