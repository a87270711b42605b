/** Events by HTTP into a running stage: what is answered. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { runCli } from '../support/cli.js';
import { temporaryDirectory } from '../support/directory.js';
import { type CliProcess, startCli, stopCli } from '../support/service.js';

const token = 'the token of the senders';

/** A configuration of a stage that takes events. */
function configure(directory: string, push: object = {}): string {
  const config = join(directory, 'pipeline.yaml');
  const settings = {
    http: { listen: '127.0.0.1:0' },
    sources: [{ type: 'push', name: 'shop', token, ...push }],
    database: { memoryLimit: '256MB', threads: 1 },
    schedule: { pollMs: 50, fold: { cron: '0 0 1 1 *' } },
  };
  writeFileSync(config, JSON.stringify(settings));
  return config;
}

async function start(config: string): Promise<{ run: CliProcess; url: string }> {
  const run = startCli(['run', '-c', config]);
  const { port } = await run.logged('HTTP listened');
  await run.logged('started');
  return { run, url: `http://127.0.0.1:${port}` };
}

async function post(url: string, body: string, headers: Readonly<Record<string, string>> = {}) {
  const response = await fetch(url, {
    method: 'POST',
    body,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson', ...headers },
  });
  return { status: response.status, headers: response.headers, json: await response.json() };
}

const line = (user: number, item: number): string =>
  `${JSON.stringify({ user: `u${user}`, item: `i${item}`, id: `${user}-${item}` })}\n`;

/** Posts until it is taken. */
async function persist(url: () => string, body: string): Promise<void> {
  for (;;) {
    const status = await post(`${url()}/events`, body).then(
      r => r.status,
      () => 0,
    );
    if (status === 202) return;
    if (![0, 429, 503].includes(status)) throw new Error(`expected 202, found ${status}`);
    await sleep(50);
  }
}

it('takes lines, lists and CloudEvents, and says what it refuses', async () => {
  const directory = temporaryDirectory();
  const { run, url } = await start(configure(directory, { maxRequestBytes: 2000 }));
  // Until its source reads, a stage sends senders away.
  await persist(() => url, '');
  const taken = await post(`${url}/events`, `${line(1, 1)}${line(1, 2)}{"user":"u"}\n`);
  expect(taken).toMatchObject({ status: 202, json: { records: 3, deadLetters: 1 } });
  const list = await post(`${url}/events/shop`, `[${line(2, 1)},${line(2, 2)}]`, {
    'content-type': 'application/json',
  });
  expect(list).toMatchObject({ status: 202, json: { records: 2, deadLetters: 0 } });
  const event = { specversion: '1.0', type: 't', source: '/s', id: '1', data: { user: 'u3', item: 'i1' } };
  const batch = await post(`${url}/events`, JSON.stringify([event]), {
    'content-type': 'application/cloudevents-batch+json',
  });
  expect(batch).toMatchObject({ status: 202, json: { records: 1, deadLetters: 0 } });

  expect(await post(`${url}/events`, `${line(9, 9)}{"user"\n`)).toMatchObject({
    status: 400,
    json: { error: { code: 'USAGE', message: expect.stringMatching(/^line 2: record: expected JSON/) } },
  });
  expect((await post(`${url}/events`, line(9, 9).repeat(100))).status).toBe(413);
  expect((await post(`${url}/events`, line(9, 9), { 'content-type': 'text/csv' })).status).toBe(415);
  expect((await post(`${url}/events`, line(9, 9), { 'content-encoding': 'gzip' })).status).toBe(415);
  expect((await post(`${url}/events/other`, line(9, 9))).status).toBe(404);
  expect((await post(`${url}/events`, line(9, 9), { authorization: 'Bearer wrong' })).status).toBe(401);

  const status = JSON.parse(await (await fetch(`${url}/api/v1/status`)).text());
  expect(status.inbox).toBe(5);
  expect(status.positions.shop).toMatchObject([{ partition: 'requests', sequence: 5 }]);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toContain('sansa_stream_source_events_total{source="shop"} 5');
  expect(metrics).toContain('sansa_stream_dead_letters_total{source="shop",code="item-missing"} 1');
  expect(run.errors()).not.toContain(token);
  expect(await stopCli(run)).toMatchObject({ code: 0 });
});

it('refuses a configuration by which nobody could send', async () => {
  const directory = temporaryDirectory();
  const config = join(directory, 'pipeline.yaml');
  writeFileSync(config, 'sources: [{ type: push }]');
  expect(await runCli(['validate', '-c', config])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('sources.0: expected `http`, by which events are sent, found none'),
  });
  writeFileSync(config, 'sources: [{ type: push }]\nhttp: {}');
  expect(await runCli(['validate', '-c', config])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('sources.0.token: expected a token here or in `http`, found none'),
  });
});
