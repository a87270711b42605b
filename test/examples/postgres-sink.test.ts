/** The sink for Postgres, on a real server: the suites of sinks, and a stage that has it by YAML alone. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import postgresSink from '../../dist/examples/postgres-sink/postgres-sink.js';
import { runCli } from '../support/cli.js';
import { temporaryDirectory } from '../support/directory.js';
import { runSql } from '../support/duckdb.js';
import { missing, type PostgresServer, startPostgres } from '../support/postgres.js';
import { skipped } from '../support/redis.js';
import { leaseSuite, sinkSuite } from '../support/sink-suite.js';

const root = join(import.meta.dirname, '../..');

describe.skipIf(skipped(missing))('the sink for Postgres', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server?.remove());

  /** A sink whose tables belong to a directory of the suite. */
  const sinkOn = (store: string, more: object = {}) => {
    const table = `t${createHash('md5').update(store).digest('hex').slice(0, 12)}`;
    const options = postgresSink.options.parse({ url: server.url, table, ...more });
    const context = { name: 'postgres', baseDirectory: '.', memoryBytes: 2 ** 26 };
    return postgresSink.create(options, context) as Exclude<
      ReturnType<typeof postgresSink.create>,
      Promise<unknown>
    >;
  };
  sinkSuite('postgres', store => sinkOn(store));
  leaseSuite('postgres', store => sinkOn(store, { leaseMs: 1000 }), { leaseMs: 1000 });

  it('takes the lists of a stage that names it in its configuration', async () => {
    const directory = temporaryDirectory();
    const config = join(directory, 'pipeline.yaml');
    const example = readFileSync(join(root, 'examples/postgres-sink/pipeline.yaml'), 'utf8');
    const { sinks } = parse(example) as { sinks: [{ module: string }] };
    await runSql(
      ':memory:',
      `COPY (SELECT 'user-' || k % 30 AS "user", 'item-' || hash(k) % 60 AS item FROM range(600) r(k)) TO '${join(directory, 'events.parquet')}'`,
    );
    const settings = {
      sources: [{ type: 'duckdb', query: "FROM 'events.parquet'" }],
      sinks: [{ ...sinks[0], module: join(root, 'examples/postgres-sink', sinks[0].module) }],
      fit: { solver: 'fsai' },
      publish: { k: 5 },
    };
    writeFileSync(config, JSON.stringify(settings));
    const env = { POSTGRES_URL: server.url };
    const cli = (...args: readonly string[]) => runCli([...args, '-c', config], { env });
    expect(await cli('doctor')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('PASS  sink postgres: 0 versions, current none'),
    });
    for (const command of ['ingest', 'refit']) expect(await cli(command), command).toMatchObject({ code: 0 });
    const rows = await server.sql("SELECT items FROM sansa WHERE kind = 'users' AND id = 'user-1'");
    const recommended = await cli('recommend', 'user-1', '--json');
    const { items } = recommended.json<{ items: { item: string }[] }>();
    expect((rows[0]!.items as string[]).length).toBeGreaterThan(0);
    expect(rows[0]!.items).toEqual(items.slice(0, 5).map(i => i.item));
    const listed = (await cli('models', 'list', '--json')).json<{ sinks: { sink: string }[] }>();
    expect(listed.sinks).toMatchObject([{ sink: 'postgres', aliases: { champion: expect.anything() } }]);

    writeFileSync(
      config,
      JSON.stringify({ ...settings, sinks: [{ ...settings.sinks[0], tabel: 'x', keep: -1 }] }),
    );
    const { code, stderr } = await cli('validate');
    expect(code).toBe(2);
    expect(stderr).toContain('sinks.0.keep: expected number to be >=0, found -1');
    expect(stderr).toContain('did you mean table?');
  });

  it('says what is not a module of that kind', async () => {
    const directory = temporaryDirectory();
    const config = join(directory, 'pipeline.yaml');
    const said = async (module: string) => {
      writeFileSync(config, JSON.stringify({ sources: [{ type: 'module', name: 'x', module }] }));
      return (await runCli(['validate', '-c', config])).stderr;
    };
    writeFileSync(join(directory, 'empty.mjs'), 'export const nothing = 1;');
    expect(await said('./empty.mjs')).toContain(
      'sources.0.module: expected a source in ./empty.mjs, found no',
    );
    expect(await said('./absent.mjs')).toContain(
      'sources.0.module: expected a source in ./absent.mjs, found none',
    );
    expect(await said(join(root, 'dist/examples/postgres-sink/postgres-sink.js'))).toContain(
      'found kind "sink"',
    );
  });
});
