/**
 * Kills a stage while lines come through a pipe, and while requests are sent to it. Senders do what the manual tells them:
 * who has not heard that all was taken sends it again. Then every event counts once.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Random } from '../support/random.js';

const cli = fileURLToPath(new URL('../../cli/cli.js', import.meta.url));
const token = 'the token of the senders';

interface Trial {
  readonly kills: number;
  readonly random: Random;
  readonly log: (line: string) => void;
}

/** What the state has of the events that were sent: each has a pair of user and item of its own, and weighs 1. */
export interface Counted {
  readonly sent: number;
  readonly kills: number;
  readonly lost: number;
  /** Whether any counts more than once. */
  readonly twice: boolean;
}

/** Event k, of a pair that no other has. */
const eventOf = (k: number): string =>
  `{"user":"u${Math.floor(k / 1000)}","item":"i${k % 1000}","id":"e${k}","ts":${1_700_000_000_000 + k}}\n`;
const eventsOf = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, k) => eventOf(from + k)).join('');

function configure(directory: string, source: object): string {
  const file = join(directory, 'pipeline.yaml');
  const settings = {
    semantics: { interactions: 'sum', weightScale: 1 },
    http: { listen: '127.0.0.1:0' },
    sources: [source],
    schedule: { pollMs: 50, fold: { cron: '0 0 1 1 *' } },
  };
  writeFileSync(file, JSON.stringify(settings));
  return file;
}

const start = (stdin: 'pipe' | 'ignore', ...args: readonly string[]): ChildProcess =>
  spawn(process.execPath, [cli, ...args], { stdio: [stdin, 'pipe', 'pipe'] });

/** Runs a command to its end; returns what it printed, and throws what went wrong. */
async function command(...args: readonly string[]): Promise<string> {
  const child = start('ignore', ...args);
  let [output, errors] = ['', ''];
  child.stdout!.setEncoding('utf8').on('data', part => (output += part));
  child.stderr!.setEncoding('utf8').on('data', part => (errors += part));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${errors}`);
  return output;
}

async function counted(config: string, sent: number, kills: number): Promise<Counted> {
  await command('fold', '-c', config);
  const { interactions, valued } = JSON.parse(await command('status', '-c', config, '--json')) as {
    interactions: number;
    valued: boolean;
  };
  return { sent, kills, lost: sent - interactions, twice: valued };
}

/** Sends lines to the standard input of `ingest` until one was not killed. */
export async function pipeTrial({
  lines,
  kills,
  random,
  log,
}: Trial & { readonly lines: number }): Promise<Counted> {
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-pipe-'));
  try {
    const config = configure(directory, { type: 'ndjson' });
    const file = join(directory, 'events.ndjson');
    writeFileSync(file, '');
    for (let k = 0; k < lines; k += 10_000)
      writeFileSync(file, eventsOf(k, Math.min(lines, k + 10_000)), { flag: 'a' });
    let wholeMs = 2000;
    for (let killed = 0; ; ) {
      const started = Date.now();
      const child = start('pipe', 'ingest', '-c', config);
      child.stdin!.on('error', () => undefined);
      createReadStream(file).pipe(child.stdin!);
      child.stderr!.resume();
      if (killed < kills) setTimeout(() => child.kill('SIGKILL'), 300 + random() * wholeMs).unref();
      const [code] = await once(child, 'close');
      if (code === 0 && killed >= kills) break;
      if (code === 0) wholeMs = (Date.now() - started) * 0.9;
      killed++;
      log(`pipe: ended ${killed} times, the last with ${code ?? 'SIGKILL'}`);
    }
    return await counted(config, lines, kills);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A stage that listens. */
async function listening(config: string): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const child = start('ignore', 'run', '-c', config);
  child.stdout!.resume();
  let said = '';
  const port = await new Promise<string>((resolve, reject) => {
    child.stderr!.setEncoding('utf8').on('data', (part: string) => {
      said += part;
      const found = /"port":(\d+)/.exec(said)?.[1];
      if (found) resolve(found);
    });
    child.once('close', () => reject(new Error(`the stage ended: ${said}`)));
  });
  return { child, url: `http://127.0.0.1:${port}/events` };
}

/** Sends requests, one in ten of them twice, by four senders. */
export async function pushTrial({
  requests,
  events = 100,
  kills,
  random,
  log,
}: Trial & { readonly requests: number; readonly events?: number }): Promise<Counted> {
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-push-'));
  const config = configure(directory, { type: 'push', token });
  let stage = await listening(config);
  let [next, taken] = [0, 0];
  const send = async (body: string): Promise<void> => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' };
    for (;;) {
      const status = await fetch(stage.url, { method: 'POST', body, headers })
        .then(response => response.text().then(() => response.status))
        .catch(() => 0);
      if (status === 202) return;
      if (![0, 429, 503].includes(status)) throw new Error(`expected 202, found ${status}`);
      await sleep(50);
    }
  };
  const sender = async (): Promise<void> => {
    for (let r = next++; r < requests; r = next++) {
      const body = eventsOf(r * events, (r + 1) * events);
      await send(body);
      taken++;
      if (r % 10 === 0) await send(body);
    }
  };
  try {
    const senders = Promise.all([0, 1, 2, 3].map(sender));
    for (let k = 1; k <= kills; k++) {
      while (taken < (k * requests) / (kills + 1)) await sleep(2);
      await sleep(random() * 30);
      stage.child.kill('SIGKILL');
      await once(stage.child, 'close');
      stage = await listening(config);
      log(`push: killed ${k} times, ${taken} of ${requests} requests taken`);
    }
    await senders;
    stage.child.kill('SIGTERM');
    await once(stage.child, 'close');
    return await counted(config, requests * events, kills);
  } finally {
    stage.child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  }
}
