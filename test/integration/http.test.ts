/** HTTP of a running stage: health, metrics, the JSON API and its bounds, with a Redis that dies and comes back. */
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../support/directory.js';
import { purchasesPipeline } from '../support/purchases.js';
import { missingOwn, skipped, startRedis } from '../support/redis.js';
import { type CliProcess, startCli, stopCli, until } from '../support/service.js';

const never = '0 0 1 1 *';
const token = 'a token of this test';

/** Starts a stage that listens on a port of its own; `stop` ends it. */
async function listening(options: Parameters<typeof purchasesPipeline>[1] = {}, env: NodeJS.ProcessEnv = {}) {
  const directory = temporaryDirectory();
  const config = await purchasesPipeline(directory, {
    sinks: [{ type: 'files', path: 'feeds' }],
    schedule: { fold: { cron: never }, pollMs: 50 },
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the configuration
    http: { listen: '127.0.0.1:0', token: '${STAGE_TOKEN}' },
    gate: { holdout: 'random' },
    ...options,
  });
  const run = startCli(['run', '-c', config], { STAGE_TOKEN: token, ...env });
  const port = await portOf(run);
  await run.logged('started');
  const url = `http://127.0.0.1:${port}`;
  return { directory, config, run, port, url, ...client(url) };
}

/** The status of a request whose `Host` says this. */
function statusFor(port: number, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const options = { port, path: '/api/v1/status', headers: { host } };
    request(options, response => resolve(response.resume().statusCode))
      .on('error', reject)
      .end();
  });
}

async function portOf(run: CliProcess): Promise<number> {
  return Number((await run.logged('HTTP listened')).port);
}

function client(url: string) {
  const get = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(url + path, init);
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: () => JSON.parse(text) };
  };
  const post = (path: string, body: unknown, bearer: string | undefined = token) =>
    get(path, {
      method: 'POST',
      body: typeof body === 'string' ? body : JSON.stringify(body),
      headers: bearer === undefined ? {} : { authorization: `Bearer ${bearer}` },
    });
  /** Posts, and waits for the end of the task. */
  const done = async (path: string, body: object = {}) => {
    const { status, json, headers } = await post(path, body);
    expect([status, json().status]).toEqual([202, 'running']);
    return until(`${path} to end`, async () => {
      const task = (
        await get(headers.get('location')!, { headers: { authorization: `Bearer ${token}` } })
      ).json();
      return task.status !== 'running' && task;
    });
  };
  /** The value of a metric with these labels. */
  const metric = async (line: string) => {
    const { text } = await get('/metrics');
    const found = text.split('\n').find(l => l.startsWith(`sansa_stream_${line} `));
    return found === undefined ? undefined : Number(found.slice(found.lastIndexOf(' ') + 1));
  };
  return { get, post, done, metric };
}

it('answers over HTTP what the operations table answers, and changes with the token alone', async () => {
  const s = await listening();
  expect((await s.get('/livez')).json()).toEqual({ alive: true });
  expect(await s.get('/readyz')).toMatchObject({ status: 200 });
  await until('the events', async () => (await s.metric('inbox_events')) === 1080);

  const refused = [
    await s.post('/api/v1/fold', {}, 'another token, as long'),
    await s.post('/api/v1/fold', {}, ''),
  ];
  expect(refused.map(r => r.status)).toEqual([401, 401]);
  expect(refused[0]!.json().error.code).toBe('ACCESS_REFUSED');
  expect((await s.get('/api/v1/runs')).json()).toEqual({ runs: [] });

  expect(await s.done('/api/v1/fold')).toMatchObject({ status: 'done', result: { events: 1080 } });
  const refit = await s.done('/api/v1/refit');
  expect(refit.result).toMatchObject({ published: true });
  const { version } = refit.result;
  expect(await s.done('/api/v1/rollback')).toMatchObject({
    status: 'failed',
    error: { code: 'VERSION_UNKNOWN' },
  });
  expect((await s.post('/api/v1/publish', { versoin: 'x' })).status).toBe(400);

  expect((await s.get('/api/v1/users/u1/recommendations?k=3')).json().items).toHaveLength(3);
  expect((await s.get('/api/v1/items/g1-1/similar')).json().id).toBe('g1-1');
  expect((await s.get('/api/v1/users/u1/explanations/g1-9')).json()).toMatchObject({ user: 'u1', version });
  expect((await s.get(`/api/v1/models/${version}`)).json()).toMatchObject({ version, items: { count: 70 } });
  expect((await s.get('/api/v1/models')).json()[0]).toMatchObject({ version, published: true });
  expect((await s.get('/api/v1/runs?job=refit&limit=1')).json().runs).toHaveLength(1);
  expect((await s.get('/api/v1/signals')).json()).toEqual({ signals: [] });
  expect((await s.get('/api/v1/users/nobody/recommendations')).status).toBe(404);
  expect((await s.get('/api/v1/users/u1/recommendations?k=many')).status).toBe(400);

  const text = (await s.get('/metrics')).text;
  expect(text.trimEnd().endsWith('# EOF')).toBe(true);
  expect(await s.metric('active')).toBe(1);
  expect(await s.metric('job_duration_seconds_count{job="refit",outcome="done"}')).toBe(1);
  expect(await s.metric('sink_lists_written_total{sink="files"}')).toBe(190);
  expect(await s.metric('gate_passed')).toBe(1);
  expect(await s.metric('model_quality{model="published",metric="recall",k="20"}')).toBeGreaterThan(0);
  expect(await s.metric('source_events_total{source="events"}')).toBe(1080);
  expect(text + s.run.errors()).not.toContain(token);
  expect(await stopCli(s.run)).toMatchObject({ code: 0 });
});

describe('bounds', () => {
  it('are kept, and no answer lets another site read it', async () => {
    const s = await listening();
    expect((await s.get(`/api/v1/runs?job=${'x'.repeat(5000)}`)).status).toBe(414);
    expect((await s.post('/api/v1/fold', 'x'.repeat(70_000))).status).toBe(413);
    expect((await s.post('/api/v1/fold', '[1]')).json().error.message).toMatch(/expected a JSON object/);
    expect((await s.get('/api/v1/nothing')).json().error).toMatchObject({ code: 'USAGE' });
    expect((await s.get('/api/v1/runs', { headers: { 'x-large': 'x'.repeat(10_000) } })).status).toBe(431);
    const { headers } = await s.get('/api/v1/status', { headers: { origin: 'http://evil.example' } });
    expect([...headers.keys()].filter(name => name.startsWith('access-control'))).toEqual([]);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(await statusFor(s.port, 'rebound.example')).toBe(421);
    expect(await statusFor(s.port, `localhost:${s.port}`)).toBe(200);
    // A client that sends nothing is let go of.
    const silent = connect(s.port, '127.0.0.1');
    silent.write('GET /livez HTTP/1.1\r\n');
    const started = Date.now();
    await new Promise(ended => silent.on('close', ended).resume());
    expect(Date.now() - started).toBeLessThan(60_000);
    await stopCli(s.run);
  });

  it('leave changes off without a token', async () => {
    const s = await listening({ http: { listen: '127.0.0.1:0' } });
    expect((await s.post('/api/v1/fold', {})).status).toBe(403);
    await stopCli(s.run);
  });
});

it('says that it stands by until the other process has gone', async () => {
  const first = await listening();
  const second = startCli(['run', '-c', first.config], { STAGE_TOKEN: token });
  const other = client(`http://127.0.0.1:${await portOf(second)}`);
  await second.logged('standing by: another process has the state');
  expect(await other.metric('active')).toBe(0);
  expect(await other.metric('memory_budget_bytes')).toBeUndefined();
  const { status, json } = await other.get('/readyz');
  expect([status, json()]).toEqual([503, { ready: false, standby: true }]);
  expect((await other.get('/api/v1/status')).status).toBe(503);
  expect((await other.get('/livez')).status).toBe(200);
  await stopCli(first.run);
  await second.logged('started');
  await until('it to be ready', async () => (await other.get('/readyz')).status === 200);
  expect(await other.metric('active')).toBe(1);
  await stopCli(second);
});

it.skipIf(skipped(missingOwn))(
  'is not ready within 5 s of the death of Redis, twice, and again when it is back',
  async () => {
    const redis = await startRedis();
    const s = await listening({ sinks: [{ type: 'redis', url: redis.url }] });
    try {
      const ready = async () => (await s.get('/readyz')).status === 200;
      await until('it to be ready', ready);
      for (const round of [1, 2]) {
        await redis.stop('kill');
        await until('503', async () => !(await ready()), { seconds: 5 });
        expect(await s.metric('up{kind="sink",name="redis"}')).toBe(0);
        await redis.start();
        await until('200', ready, { seconds: 10 });
        const said = s.run.log().map(l => l.msg);
        expect(said.filter(m => m === 'sink did not answer')).toHaveLength(round);
        expect(said.filter(m => m === 'sink answered again')).toHaveLength(round);
      }
      expect(await s.metric('up{kind="sink",name="redis"}')).toBe(1);
      await stopCli(s.run);
    } finally {
      await redis.remove();
    }
  },
);

it('is described by files that name no metric that there is not', async () => {
  const folder = join(import.meta.dirname, '../../examples/monitoring');
  const s = await listening();
  await until('the events', async () => (await s.metric('inbox_events')) === 1080);
  await s.done('/api/v1/refit');
  const { text } = await s.get('/metrics');
  await stopCli(s.run);
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(m => [m[1]!, m[2]!] as const);
  const given = new Set(
    types.flatMap(([name, type]) =>
      type === 'counter'
        ? [`${name}_total`]
        : type === 'histogram'
          ? [`${name}_bucket`, `${name}_sum`, `${name}_count`]
          : [name],
    ),
  );
  expect(new Set(types.map(([name]) => name)).size).toBe(types.length);
  for (const file of ['rules.yaml', 'dashboard.json']) {
    const content = readFileSync(join(folder, file), 'utf8');
    const named = new Set(content.match(/\b(sansa_stream|process|nodejs)_\w+/g));
    expect(named.size).toBeGreaterThan(5);
    expect(
      [...named].filter(name => !given.has(name)),
      file,
    ).toEqual([]);
  }
});
