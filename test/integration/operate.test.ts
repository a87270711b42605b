/** Commands beside a running stage: the same answers as without one, whoever answers. */
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { removeSocket, socketOf } from '#jobs/control/socket-path.js';
import { runCli } from '../support/cli.js';
import { temporaryDirectory } from '../support/directory.js';
import { runSql } from '../support/duckdb.js';
import { purchasesPipeline } from '../support/purchases.js';
import { startCli, stopCli, until } from '../support/service.js';

const never = '0 0 1 1 *';
const idle = { fold: { cron: never }, pollMs: 50 };

/** A stage over purchases, with an LMDB sink, that runs nothing by itself. */
async function stage(directory = temporaryDirectory()) {
  const config = await purchasesPipeline(directory, {
    sinks: [{ type: 'lmdb', path: 'feeds.lmdb' }],
    schedule: idle,
    log: { level: 'debug' },
  });
  const state = join(directory, 'state');
  const cli = async (...args: string[]) => {
    const { code, stdout, stderr } = await runCli([...args, '-c', config]);
    return { code, stdout, stderr };
  };
  const json = async (...args: string[]) => JSON.parse((await cli(...args, '--json')).stdout);
  /** Starts it, and waits until everything is in the inbox. */
  const start = async () => {
    const run = startCli(['run', '-c', config]);
    await run.logged('started');
    await until('all events', async () => (await json('status')).inbox === 1080 || undefined);
    return run;
  };
  return { directory, config, state, cli, json, start };
}

/** An answer without what differs from moment to moment: when a job is due next, and the file before and after its end. */
const settled = (text: string): string =>
  text.replace(/"(next|databaseBytes)":\d+/g, '').replace(/; next .*$/gm, '');

it('answers every command beside run as it does without', async () => {
  const s = await stage();
  const run = await s.start();
  expect(statSync(join(s.state, 'control.sock')).mode & 0o777).toBe(0o600);

  expect(await s.json('fold')).toMatchObject({ events: 1080, users: 120 });
  const made = await s.json('refit');
  expect(made).toMatchObject({ unchanged: false, published: true, message: 'fitted and published' });
  const { version } = made;
  expect(await s.json('refit')).toMatchObject({ version, unchanged: true });
  expect(await s.json('publish')).toMatchObject({ version, users: 120 });
  const second = await s.json('fit', '--l2', '9');
  expect(second.version).not.toBe(version);
  expect(await s.json('publish', '--alias', 'trial')).toMatchObject({ version: second.version });
  expect(await s.json('forget', 'u7')).toMatchObject({ erased: true });
  expect(await s.json('tune', '--trials', '2', '--holdout', 'random')).toHaveProperty('best');
  expect(await s.json('models', 'prune')).toEqual({ models: [], versions: [] });
  const refused = await s.cli('rollback');
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringMatching(/^VERSION_UNKNOWN: .+\n {2}→ .+\n$/),
  ]);

  const reads = [
    ['status'],
    ['status', '--json'],
    ['recommend', 'u1', '--k', '5', '--json'],
    ['recommend', 'nobody'],
    ['similar', 'g1-3'],
    ['explain', 'u1', 'g1-9'],
    ['models', 'list'],
    ['models', 'show', version],
    ['models', 'diff', version, second.version],
    ['verify', '--json'],
    ['forget', 'u7', '--receipts'],
    ['runs', '--job', 'refit', '--json'],
    ['dead-letters', 'list'],
    ['sql', 'SELECT "user", count(*) FROM interactions GROUP BY ALL ORDER BY ALL LIMIT 4'],
    ['sql', 'DROP TABLE runs'],
  ];
  const beside = [];
  for (const args of reads) beside.push(await s.cli(...args));
  expect(await stopCli(run)).toMatchObject({ code: 0 });
  expect(existsSync(join(s.state, 'control.sock'))).toBe(false);
  for (const [k, args] of reads.entries()) {
    const alone = await s.cli(...args);
    const [here, there] = [alone, beside[k]!].map(r => ({ ...r, stdout: settled(r.stdout) }));
    expect(there, args.join(' ')).toEqual(here);
  }
  expect(beside.filter(({ code }) => code === 0)).toHaveLength(reads.length - 2);
}, 300_000);

it('explains a score as the sum of what the own items of the user add', async () => {
  const s = await stage();
  for (const command of ['ingest', 'fold', 'fit']) await s.cli(command);
  const { items } = await s.json('recommend', 'u1', '--k', '3');
  for (const { item, score } of items) {
    const found = await s.json('explain', 'u1', item);
    const sum = found.contributions.reduce((a: number, c: { amount: number }) => a + c.amount, 0);
    expect(Math.abs(sum - score)).toBeLessThan(1e-6);
    expect(found.contributions.length).toBeGreaterThan(1);
    expect(found).toMatchObject({ score, owned: false });
  }
});

it('replaces the socket of a stage that was killed, which until then means that none runs', async () => {
  const s = await stage();
  const first = await s.start();
  first.child.kill('SIGKILL');
  await first.ended;
  expect(existsSync(join(s.state, 'control.sock'))).toBe(true);
  expect(await s.cli('status')).toMatchObject({ code: 0, stderr: '' });
  const second = await s.start();
  const third = startCli(['run', '-c', s.config]);
  await third.logged('standing by: another process has the state');
  await stopCli(second);
  await third.logged('started');
  expect(await s.json('status')).toMatchObject({ inbox: 1080 });
  await stopCli(third);
});

it('listens elsewhere where the path of the state is too long for a socket', async () => {
  const directory = join(temporaryDirectory(), 'a'.repeat(120));
  mkdirSync(directory);
  const s = await stage(directory);
  const run = await s.start();
  const path = socketOf(s.state)!;
  expect(path.length).toBeLessThan(104);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(path, '..')).mode & 0o777).toBe(0o700);
  expect(await s.json('status')).toMatchObject({ inbox: 1080 });
  await stopCli(run);
  expect([existsSync(path), socketOf(s.state)]).toEqual([false, undefined]);
});

it('ends a command whose stage stops, and a query whose client leaves', async () => {
  const s = await stage();
  const run = await s.start();
  const endless = 'SELECT sum(hash(a.range + b.range)) FROM range(1000000) a, range(1000000) b';
  const ask = () => startCli(['sql', endless, '--timeout', '30', '-c', s.config]);
  const left = ask();
  await new Promise(done => setTimeout(done, 2000));
  left.child.kill('SIGINT');
  expect(await left.ended).toMatchObject({ code: 1 });
  expect(left.errors()).toMatch(/^INTERRUPTED: sql was stopped$/m);
  // Queries run one after the other: this one would wait for 30 s.
  const started = Date.now();
  expect(await s.json('sql', 'SELECT count(*) FROM inbox')).toMatchObject({ rows: [['1080']] });
  expect(Date.now() - started).toBeLessThan(15_000);

  const cut = ask();
  await new Promise(done => setTimeout(done, 2000));
  expect(await stopCli(run)).toMatchObject({ code: 0 });
  expect(await cut.ended).toMatchObject({ code: 1 });
  expect(cut.errors()).toMatch(/^INTERRUPTED: /m);
});

it('is not fooled by a file or a foreign socket in its place', async () => {
  const s = await stage();
  await s.cli('ingest');
  const path = join(s.state, 'control.sock');
  writeFileSync(path, 'a file');
  expect(await s.cli('status')).toMatchObject({ code: 0, stderr: '' });
  removeSocket(s.state);
  // A server that answers nothing and closes.
  const server = createServer(socket => void socket.end()).listen(path);
  const { code, stderr } = await s.cli('status');
  server.close();
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/^INTERRUPTED: status: the running stage has closed/),
  ]);
});

it('lists dead letters by code and time, decodes them again and drops them', async () => {
  const directory = temporaryDirectory();
  const rows = ['(1, NULL, 1)', "(2, 'a', 1)", '(3, NULL, 1)', "(4, 'b', -1)"];
  await runSql(
    join(directory, 'w.duckdb'),
    'CREATE TABLE events (line INTEGER, item VARCHAR, weight INTEGER)',
    `INSERT INTO events VALUES ${rows.join()}`,
  );
  const config = join(directory, 'pipeline.yaml');
  const query = 'SELECT line, 7 AS "user", item, weight FROM events';
  const configure = (state: string, interactions: string) =>
    writeFileSync(
      config,
      JSON.stringify({
        state,
        sources: [{ type: 'duckdb', name: 'shop', database: 'w.duckdb', query, cursor: 'line' }],
        semantics: { interactions },
      }),
    );
  const json = async (...args: string[]) => {
    const { stdout } = await runCli([...args, '-c', config, '--json']);
    return JSON.parse(stdout);
  };
  configure('state', 'sum');
  expect(await json('ingest')).toMatchObject({ deadLetters: 3, events: 1 });
  const { counts, letters } = await json('dead-letters', 'list', '--since', '1h');
  expect(counts.map((c: { count: number }) => c.count).sort()).toEqual([1, 2]);
  expect(letters).toHaveLength(3);
  expect((await json('dead-letters', 'list', '--since', '2099-01-01')).letters).toEqual([]);
  const missing = counts.find((c: { count: number }) => c.count === 2).code;
  expect(await json('dead-letters', 'retry')).toEqual({ retried: 3, revived: 0 });

  // An operator puts right what was kept of one: it becomes the event that it was meant to be.
  await runSql(
    join(directory, 'state', 'state.duckdb'),
    `UPDATE dead_letters SET raw = replace(raw, 'null', '"c"') WHERE sequence = 2`,
  );
  expect(await json('dead-letters', 'retry', '--code', missing)).toEqual({ retried: 2, revived: 1 });
  expect(await json('dead-letters', 'drop', '--code', missing)).toEqual({ dropped: 1 });
  expect(await json('dead-letters', 'drop')).toEqual({ dropped: 1 });
  expect(await json('fold')).toMatchObject({ events: 2, items: 2, deadLetters: 0 });
  const found = await json('sql', 'SELECT item FROM interactions ORDER BY item');
  expect(found.rows).toEqual([['a'], ['c']]);
  expect(await json('ingest')).toMatchObject({ events: 0, deadLetters: 0 });
});
