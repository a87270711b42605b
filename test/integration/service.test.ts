/**
 * `run` as a user runs it: a process of its own over a warehouse that others write to, killed, stopped and
 * started again at any moment. What is due by the clock or asked for by a signal happens exactly once.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { loadConfig, openPipeline, type PipelineOptions } from '#jobs/index.js';
import type { RunRecord } from '#src/index.js';
import { temporaryDirectory } from '../support/directory.js';
import { type Random, seeded } from '../support/random.js';
import {
  matrixOf,
  onDatabase,
  type Sale,
  type Shop,
  salesSource,
  shop,
  startCli,
  stopCli,
  summed,
  until,
} from '../support/service.js';

/** Folds every second, refits never: a base for schedules. */
const everySecond = '* * * * * *';
const never = '0 0 1 1 *';

const someSales = (random: Random, count: number): Sale[] =>
  Array.from({ length: count }, () => ({
    user: `u${Math.floor(random() * 15)}`,
    item: `i${Math.floor(random() * 12)}`,
    weight: 1 + Math.floor(random() * 3),
  }));

/** The runs of a state, oldest first; what the last process left open is marked. */
const runsOf = (s: Shop): Promise<RunRecord[]> =>
  s.open(async ({ parts }) => [...(await parts.store.runs(10_000))].reverse());

/** Whether each run ended before the next began. */
function overlapping(runs: readonly RunRecord[]): RunRecord[] {
  return runs.filter((r, k) => k > 0 && r.startedAt < (runs[k - 1]!.finishedAt ?? Number.POSITIVE_INFINITY));
}

/** Triggers with more than one run that is done, by job. */
function repeated(runs: readonly RunRecord[]): string[] {
  const done = runs.filter(r => r.status === 'done').map(r => `${r.job} ${r.trigger}`);
  return done.filter((key, k) => done.indexOf(key) !== k);
}

/** Checks what every state must satisfy after whatever happened to its processes. */
async function expectWhole(s: Shop, sales: readonly Sale[]): Promise<RunRecord[]> {
  const runs = await runsOf(s);
  expect(runs.filter(r => (r.finishedAt ?? 0) < r.startedAt)).toEqual([]);
  expect(overlapping(runs)).toEqual([]);
  expect(repeated(runs)).toEqual([]);
  await s.open(async pipeline => {
    await pipeline.ingest();
    await pipeline.fold();
    expect(await matrixOf(pipeline)).toEqual(summed(sales));
    expect(await pipeline.verify()).toMatchObject({ differing: 0, broken: [] });
    const models = (await pipeline.parts.store.models()).map(m => m.version).sort();
    const made = runs.filter(r => r.job === 'refit' && r.status === 'done').map(r => r.version!);
    expect(made.sort()).toEqual(models);
    expect(s.files('models')).toEqual(models);
  });
  return runs;
}

it('does what is due and what is asked for exactly once, across SIGKILL at random moments', async () => {
  const s = shop(temporaryDirectory());
  const random = seeded(5);
  const settings: PipelineOptions = {
    models: { keep: 1000 },
    schedule: { pollMs: 100, fold: { cron: everySecond }, refit: { cron: '*/2 * * * * *' } },
  };
  s.configure(settings);
  await s.create();
  const sales: Sale[] = [];
  const sell = async (count: number) => {
    const some = someSales(random, count);
    await s.sell(some);
    sales.push(...some);
  };
  await sell(60);
  let killed = 0;
  for (let round = 0; round < 5; round++) {
    // The time zone shows timestamps that are local where they should be UTC.
    const service = s.run({ TZ: 'America/New_York' });
    await service.logged('started');
    // Options of its own, so that there is a model to make whatever came in.
    await s.signal(`s${round}`, 'refit', `{"l2": ${7 + round}}`);
    await sell(30);
    await sleep(random() * 2500);
    service.child.kill('SIGKILL');
    await service.ended;
    killed = Date.now();
  }
  // Also the refit that is made up for has a model to make.
  s.configure({ ...settings, fit: { density: 0.5, l2: 6 } });
  await until('a due time passes while nothing runs', () => Date.now() > killed + 2000);
  const last = s.run();
  await last.logged('started');
  const started = Date.now();
  const results = await s.resultsOf(last, 5);
  const cameDueBefore = (time: number, trigger: unknown): boolean =>
    Date.parse(String(trigger).replace(/^cron:/, '')) <= time;
  const { version: madeUpVersion } = await last.logged('model fitted', line =>
    cameDueBefore(started, line.trigger),
  );
  await last.logged('model published', line => line.trigger === `refit:${madeUpVersion}`);
  expect(await stopCli(last)).toMatchObject({ code: 0 });

  expect(results.map(r => [r.id, r.status])).toEqual([0, 1, 2, 3, 4].map(k => [`s${k}`, 'done']));
  expect(await s.results()).toEqual(results);
  const runs = await expectWhole(s, sales);
  for (const { id, version } of results) {
    const made = runs.filter(r => r.trigger === `signal:duckdb:signals:${id}` && r.status === 'done');
    expect(made.map(r => [r.job, r.version])).toEqual([['refit', version]]);
    expect(runs.filter(r => r.trigger === `refit:${version}` && r.status === 'done')).toHaveLength(1);
  }
  const madeUp = runs.filter(
    r =>
      r.job === 'refit' && r.status === 'done' && cameDueBefore(started, r.trigger) && r.startedAt > killed,
  );
  expect(madeUp.length, 'a refit that came due while nothing ran').toBeGreaterThan(0);
});

it('stands by while another process has the state, and takes over when it dies', async () => {
  const s = shop(temporaryDirectory());
  s.configure({ schedule: { pollMs: 100, fold: { cron: never } } });
  await s.create();
  const sales = someSales(seeded(8), 120);
  await s.sell(sales.slice(0, 60));
  const first = s.run();
  await first.logged('batch ingested');
  const standby = s.run();
  const third = s.run();
  await standby.logged('standing by: another process has the state');
  await third.logged('standing by: another process has the state');
  expect(await stopCli(third)).toMatchObject({ code: 0 });
  await s.sell(sales.slice(60));
  first.child.kill('SIGKILL');
  await standby.logged('the other process has ended: taking over');
  await standby.logged('batch ingested');
  expect(standby.log().filter(line => line.msg.startsWith('standing by'))).toHaveLength(1);
  expect(await stopCli(standby)).toMatchObject({ code: 0 });
  await expectWhole(s, sales);
});

it('outlives a warehouse, tables and a sink that are not there yet, and refuses bad signals', async () => {
  const s = shop(temporaryDirectory());
  s.configure({ schedule: { pollMs: 100, fold: { cron: never } } });
  // A file where the sink wants its directory.
  writeFileSync(join(s.directory, 'feeds'), 'in the way');
  const service = s.run();
  await service.logged('started');

  const second = startCli(['ingest', '-c', s.config]);
  expect(await second.ended).toEqual({ code: 1, signal: null });
  expect(second.errors()).toMatch(/^STATE_LOCKED: .*another process has this file open.*\n {2}→ .*\n$/);

  await service.logged(`database ${s.warehouse}: expected a DuckDB file, found none`);
  await onDatabase(s.warehouse, 'write', c => c.run('CREATE TABLE unrelated (x INTEGER)'));
  // DuckDB adds what it takes to have been meant.
  const begins = (text: string) =>
    until(`a log line that begins with ${text}`, () => service.log().find(l => l.msg.startsWith(text)));
  await begins('source sales: Table with name sales does not exist!');
  await begins(`signals ${s.warehouse}: Table with name signals does not exist!`);
  await s.create();
  const sales = someSales(seeded(6), 80);
  await s.sell(sales);
  await service.logged('worked again', line => line.what === 'signals');
  await service.logged('batch ingested');

  await s.signal('a good one', 'refit');
  await service.logged('model fitted');
  const refused = await until('a publication is tried again', () =>
    service.log().find(line => line.what === 'publish'),
  );
  expect(refused).toMatchObject({ code: 'SINK_FAILED' });
  rmSync(join(s.directory, 'feeds'));
  const [good] = await s.resultsOf(service, 1);
  expect(good).toMatchObject({ id: 'a good one', status: 'done', message: 'fitted and published' });
  expect(await s.published()).toEqual({ lmdb: good!.version, files: good!.version });

  const bad: readonly (readonly [string, string, string | null, string])[] = [
    [
      "b '1'",
      'retrain',
      null,
      `signal b '1': expected type refit, publish, rollback or forget, found "retrain"`,
    ],
    ['b2', 'refit', '{"l2": -1}', 'fit: l2: expected number to be >0, found -1'],
    [
      'b3',
      'refit',
      '{"lambda": 1}',
      'fit: (top level): expected only solver, l2, serving, userWeighting, signedServing, inputPower, outputPower, density, scans',
    ],
    ['b4', 'refit', '{"publish": "yes"}', 'signal b4: publish: expected true or false, found "yes"'],
    ['b5', 'refit', 'l2=1', 'signal b5: options: expected a JSON object such as {"l2": 10}, found "l2=1"'],
    ['b6', 'publish', '[1]', 'signal b6: options: expected a JSON object such as {"l2": 10}, found "[1]"'],
    ['b7', 'publish', '{"version": "v0"}', 'model v0: expected one of the state'],
    ['b8', 'publish', '{"versoin": "x"}', 'signal b8: (top level): expected only'],
  ];
  for (const [id, type, options] of bad) await s.signal(id, type, options);
  await s.signal('c', 'publish', JSON.stringify({ version: good!.version }));
  const [, ...results] = await s.resultsOf(service, 2 + bad.length);
  expect(results.map(r => r.id)).toEqual([...bad.map(b => b[0]), 'c']);
  bad.forEach(([, , , message], k) => {
    expect(results[k]).toMatchObject({ status: 'failed', version: null });
    expect(results[k]!.message).toContain(message);
  });
  expect(results.at(-1)).toMatchObject({ status: 'done', version: good!.version, message: 'published' });

  // While another process keeps the warehouse, the service waits; a stop does not.
  await onDatabase(s.warehouse, 'write', async () => {
    await sleep(500);
    const { code, seconds } = await stopCli(service);
    expect(code, service.errors()).toBe(0);
    expect(seconds).toBeLessThan(5);
  });
  expect(await s.results()).toEqual([good, ...results]);
  const runs = await expectWhole(s, sales);
  expect(runs.filter(r => r.job === 'refit')).toHaveLength(1);
});

it('takes in events while a fit runs, and a stop in a fit leaves it to the next process', async () => {
  const s = shop(temporaryDirectory());
  const fit = { density: 1, l2: 5, tolerance: 0, scans: 8 };
  s.configure({ fit, schedule: { pollMs: 50, fold: { cron: never } } });
  await s.create();
  const random = seeded(8);
  const many = Array.from({ length: 8000 }, (_, k) => ({
    user: `u${Math.floor(k / 40)}`,
    item: `i${Math.floor(random() * 350)}`,
    weight: 1,
  }));
  await s.sell(many);
  const sales: Sale[] = [...many];
  await s.signal('first', 'refit');
  const service = s.run();
  await service.logged('refit began');
  while (!service.log().some(line => line.msg === 'model fitted')) {
    const some = someSales(random, 5);
    await s.sell(some);
    sales.push(...some);
    await sleep(50);
  }
  const [first] = await s.resultsOf(service, 1);
  expect(first).toMatchObject({ id: 'first', status: 'done' });

  await s.signal('second', 'refit');
  await service.logged('refit began', line => String(line.trigger).endsWith('second'));
  const { code, seconds } = await stopCli(service);
  expect(code, service.errors()).toBe(0);
  expect(seconds).toBeLessThan(5);
  expect(await s.results()).toEqual([first]);
  expect(service.log().filter(line => line.msg === 'signal ended')).toHaveLength(1);

  const [refit, cut] = (await runsOf(s)).filter(r => r.job === 'refit');
  expect(cut).toMatchObject({ trigger: 'signal:duckdb:signals:second', status: 'interrupted' });
  const times = service.log().filter(line => line.msg === 'batch ingested');
  const during = times.filter(line => {
    const time = Date.parse(line.time);
    return time > refit!.startedAt && time < refit!.finishedAt!;
  });
  expect(during.length).toBeGreaterThan(0);

  s.configure({ schedule: { pollMs: 50, fold: { cron: never } } });
  const next = s.run();
  expect(await s.resultsOf(next, 2)).toMatchObject([first!, { id: 'second', status: 'done' }]);
  expect(await stopCli(next)).toMatchObject({ code: 0 });
  await expectWhole(s, sales);
});

it('stops cleanly at any moment', async () => {
  const s = shop(temporaryDirectory());
  const random = seeded(9);
  s.configure({ schedule: { pollMs: 50, fold: { cron: everySecond }, refit: { cron: everySecond } } });
  await s.create();
  const sales: Sale[] = [];
  for (let round = 0; round < 6; round++) {
    const some = someSales(random, 50);
    await s.sell(some);
    sales.push(...some);
    const service = s.run();
    const state = join(s.directory, 'state', 'state.duckdb');
    // The first is stopped while it makes the state.
    if (round === 0) await until('the state is being made', () => existsSync(state), { everyMs: 1 });
    else await service.logged('started').then(() => sleep(random() * 1500));
    const { code, seconds } = await stopCli(service);
    expect(code, service.errors()).toBe(0);
    expect(seconds).toBeLessThan(5);
    expect(service.errors()).not.toMatch(/"level":"error"|INTERNAL|Error/);
  }
  await expectWhole(s, sales);
  const verify = startCli(['verify', '-c', s.config]);
  expect(await verify.ended).toEqual({ code: 0, signal: null });
  expect(verify.output()).toMatch(/^0 of [\d,]+ entries differ\n$/);
});

it('refits once for a count of events and publishes a model that a crash left unpublished', async () => {
  const s = shop(temporaryDirectory());
  s.configure({ schedule: { pollMs: 50, fold: { cron: everySecond }, refit: { events: 100 } } });
  await s.create();
  const sales = someSales(seeded(10), 150);
  await s.sell(sales);
  const dead = s.run({ SANSA_STREAM_CRASH_AT: 'refit:committed' });
  expect((await dead.ended).signal).toBe('SIGKILL');
  const next = s.run();
  const { version } = await next.logged('model published');
  expect(await stopCli(next)).toMatchObject({ code: 0 });
  expect(await s.published()).toEqual({ lmdb: version, files: version });
  const runs = await expectWhole(s, sales);
  expect(runs.filter(r => r.job !== 'fold').map(r => [r.job, r.status])).toEqual([
    ['refit', 'done'],
    ['publish', 'done'],
  ]);
});

it('a refit that came due while nothing ran waits until the sources were looked at', async () => {
  const s = shop(temporaryDirectory());
  const slow = '(SELECT count(*) FROM range(60000000) t(n) WHERE n % 7 = 3) > 0';
  const schedule = { pollMs: 50, fold: { cron: never }, refit: { cron: never } };
  s.configure({
    sources: [{ ...salesSource, query: `SELECT * FROM (${salesSource.query}) WHERE ${slow}` }],
    schedule,
  });
  await s.create();
  await s.sell(someSales(seeded(12), 100));
  for (const command of ['ingest', 'fold', 'fit'])
    expect(await s.command(command)).toMatchObject({ code: 0 });
  await s.open(({ parts }) => parts.store.setDue('refit', never, Date.now() - 60_000));
  await s.sell(someSales(seeded(13), 100));
  const service = s.run();
  const decided = await until(
    'the refit was made, or there was nothing to refit for',
    () => service.log().find(line => /^model fitted$|^no new model/.test(line.msg)),
    { seconds: 120 },
  );
  expect(decided).toMatchObject({ msg: 'model fitted', trigger: expect.stringMatching(/^cron:/) });
  expect(await stopCli(service)).toMatchObject({ code: 0 });
  await s.open(async ({ parts }) => expect((await parts.store.models()).at(-1)!.manifest.events).toBe(200));
});

it('lets go of the state when a pipeline cannot be opened', async () => {
  const s = shop(temporaryDirectory());
  s.configure({ signals: undefined, sources: [] });
  mkdirSync(join(s.directory, 'state', 'gramian', 'a directory'), { recursive: true });
  await expect(openPipeline(loadConfig(s.config))).rejects.toThrow();
  rmSync(join(s.directory, 'state', 'gramian', 'a directory'), { recursive: true });
  await s.open(async () => undefined);
});

it('lets another process have the state and the warehouse as soon as they are closed', async () => {
  const s = shop(temporaryDirectory());
  s.configure({ schedule: { pollMs: 50, fold: { cron: never } } });
  await s.create();
  await s.sell(someSales(seeded(4), 50));
  const pipeline = await openPipeline(loadConfig(s.config));
  await pipeline.ingest();
  // The warehouse is free although the pipeline is open …
  await s.sell(someSales(seeded(5), 50));
  await pipeline.fold();
  for await (const { rows } of pipeline.parts.store.histories(5)) expect(rows.n).toBeGreaterThan(0);
  await pipeline.close();
  // … and the state once it is closed.
  const status = startCli(['status', '-c', s.config]);
  expect(await status.ended, status.errors()).toEqual({ code: 0, signal: null });
});
