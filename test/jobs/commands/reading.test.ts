/** Commands that only read leave every file as it is: in an empty folder, before a publication, and after a publisher died. */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { open } from 'lmdb';
import { expect, it } from 'vitest';
import { publishStep, refitStep } from '#jobs/index.js';
import { runCli } from '../../support/cli.js';
import { temporaryDirectory } from '../../support/directory.js';
import { manifestOf } from '../../support/manifest.js';
import { startPublisher } from '../../support/publisher-process.js';
import { purchasesPipeline } from '../../support/purchases.js';
import { withPipeline } from '../../support/with-pipeline.js';

const sinks = [
  { type: 'lmdb', path: 'out/feeds.lmdb' },
  { type: 'duckdb', database: 'out/feeds.duckdb' },
  { type: 'files', path: 'out/feeds' },
] as const;

/** Every file and directory below `directory`, with its size and content; LMDB notes its readers in its lock file. */
function contentOf(directory: string): Record<string, string> {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
  const told = names.map(name => {
    const path = join(directory, name);
    if (statSync(path).isDirectory()) return [name, 'a directory'];
    const bytes = readFileSync(path);
    const hash = name.endsWith('-lock') ? '' : createHash('sha256').update(bytes).digest('hex').slice(0, 8);
    return [name, `${bytes.length} bytes ${hash}`];
  });
  return Object.fromEntries(told) as Record<string, string>;
}

/** Runs each command and compares the files before and after; returns what each gave. */
async function leavesAll(directory: string, config: string, models: readonly string[] = ['v1', 'v2']) {
  const [a, b] = models as [string, string];
  const commands = [
    ['status'],
    ['models', 'list'],
    ['models', 'show', a],
    ['models', 'diff', a, b],
    ['recommend', 'u1'],
    ['similar', 'g1-3'],
    ['explain', 'u1', 'g1-9'],
    ['segments'],
    ['runs'],
    ['dead-letters', 'list'],
    ['forget', 'u7', '--receipts'],
    ['sql', 'SELECT count(*) AS n FROM interactions'],
    ['verify'],
    ['doctor'],
    ['validate'],
  ];
  const before = contentOf(directory);
  const results = new Map<string, Awaited<ReturnType<typeof runCli>>>();
  for (const command of commands) {
    const name = command.slice(0, 2).join(' ');
    results.set(name, await runCli([...command, '--json', '-c', config]));
    expect(contentOf(directory), name).toEqual(before);
  }
  const codes = (...names: string[]) => names.map(name => [name, results.get(name)!.code]);
  const always = ['status', 'models list', 'runs', 'dead-letters list', 'verify', 'doctor', 'validate'];
  expect(codes(...always)).toEqual(always.map(name => [name, 0]));
  return (name: string) => results.get(name)!;
}

/** A folder with a state of two models; published, if there are sinks. */
async function stateWith(published: typeof sinks | readonly []) {
  const directory = temporaryDirectory();
  const options = { sinks: [...published], fit: { density: 0.3, l2: 2 } };
  const config = await purchasesPipeline(directory, { sinks: [...sinks] });
  const sources = JSON.parse(readFileSync(config, 'utf8')).sources;
  await withPipeline(directory, { ...options, sources }, async pipeline => {
    await pipeline.ingest();
    await refitStep(pipeline, { trigger: 'test' });
    if (published.length > 0) await publishStep(pipeline, { trigger: 'test' });
  });
  await runCli(['fit', '--l2', '9', '-c', config]);
  const [models, id] = await withPipeline(
    directory,
    { ...options, sources },
    async ({ parts: { store } }) => [await store.models(), store.id] as const,
  );
  expect(models).toHaveLength(2);
  return { directory, config, id, models: models.map(m => m.version) };
}

it('in a folder without a state', { timeout: 60_000 }, async () => {
  const directory = temporaryDirectory();
  const said = await leavesAll(directory, await purchasesPipeline(directory, { sinks: [...sinks] }));
  const nothing = ['lmdb', 'duckdb', 'files'].map(sink => ({ sink, aliases: {}, versions: [] }));
  expect(said('models list').json()).toEqual({ models: [], sinks: nothing });
});

it('beside a state whose sinks have never been made', { timeout: 60_000 }, async () => {
  const { directory, config, models } = await stateWith([]);
  const said = await leavesAll(directory, config, models);
  for (const name of [
    'models diff',
    'recommend u1',
    'explain u1',
    'sql SELECT count(*) AS n FROM interactions',
  ])
    expect([name, said(name).code]).toEqual([name, 0]);
  expect(existsSync(join(directory, 'out'))).toBe(false);
  expect(said('models list').json<{ sinks: object[] }>().sinks).toHaveLength(3);
});

it('after a publisher died with its lease, and with a log', { timeout: 60_000 }, async () => {
  const { directory, config, id, models } = await stateWith(sinks);
  const at = (name: string) => join(directory, 'out', name);
  const publishers = [
    { module: '#connectors/lmdb/sink.js', options: { type: 'lmdb', path: at('feeds.lmdb') } },
    { module: '#connectors/duckdb/sink.js', options: { type: 'duckdb', database: at('feeds.duckdb') } },
    { module: '#connectors/files/sink.js', options: { type: 'files', path: at('feeds') } },
  ];
  for (const publisher of publishers) {
    const dying = await startPublisher(publisher, id);
    expect(await dying.call('begin', manifestOf('v9'))).toEqual({});
    dying.kill('SIGKILL');
    await dying.ended;
  }
  // As a process that dies leaves it: what was committed last is in the log alone.
  const database = await DuckDBInstance.create(at('feeds.duckdb'));
  const connection = await database.connect();
  await connection.run("INSERT INTO lists_pointers SELECT 'late', version FROM lists_pointers");
  const copy = temporaryDirectory();
  cpSync(directory, copy, { recursive: true });
  connection.closeSync();
  database.closeSync();
  const left = Object.keys(contentOf(copy));
  expect(left).toEqual(expect.arrayContaining(['out/feeds/.lease/owner', 'out/feeds.duckdb.wal']));

  const said = await leavesAll(copy, config.replace(directory, copy), models);
  const found = said('models list').json<{
    sinks: { sink: string; aliases: object; versions: object[] }[];
  }>();
  const version = expect.any(String);
  expect(found.sinks.map(s => [s.sink, s.aliases, s.versions.length])).toEqual([
    ['lmdb', { champion: version }, 1],
    ['duckdb', { champion: version, late: version }, 1],
    ['files', { champion: version }, 1],
  ]);

  // The state's next writer takes them away.
  expect(await runCli(['models', 'prune', '-c', config])).toMatchObject({ code: 0 });
  expect(existsSync(at('feeds/.lease'))).toBe(false);
  const leases = await DuckDBInstance.create(at('feeds.duckdb'));
  const asked = await leases.connect();
  expect((await asked.runAndReadAll('FROM lists_lease')).getRowsJS()).toEqual([]);
  asked.closeSync();
  leases.closeSync();
  const environment = open<unknown, string>(at('feeds.lmdb'), { readOnly: true });
  expect(environment.doesExist('sansa:current')).toBe(true);
  expect(environment.doesExist('sansa:lease')).toBe(false);
  await environment.close();
});
