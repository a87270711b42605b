/** A folder with the files that the manual's examples name, and commands as its readers have them. */
import { chmodSync, cpSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCli } from './cli.js';
import { runSql } from './duckdb.js';
import { root } from './manual.js';

const shop = `SELECT 'user-' || (k % 40) AS user_id, 'sku-' || ((k * k + k // 40) % 23) AS sku, 1 + k % 3 AS qty,
  TIMESTAMP '2026-01-01' + INTERVAL (k) MINUTE AS sold_at, 'e' || lpad(k::VARCHAR, 5, '0') AS event_id FROM range(1200) r(k)`;
const events = `SELECT user_id AS "user", sku AS item, sold_at AS ts FROM (${shop})`;

const pipeline = (redisUrl: string): string => `
state: ./state
sources: [{ type: duckdb, query: "FROM 'events.parquet'", cursor: ts }]
sinks:
  - { type: files, path: ./feeds }
  - { type: lmdb, path: ./feeds.lmdb }
  - { type: duckdb, database: ./feeds.duckdb }
  - { type: redis, url: "${redisUrl}" }
fit: { solver: fsai }
`;

/** Programs of a reader's shell; `run` is stopped after some seconds, as by a service manager. */
const programs: Readonly<Record<string, string>> = {
  'sansa-stream': `if [ "$1" = run ]; then
  timeout -s TERM 6 "${process.execPath}" "${root}/dist/cli/cli.js" "$@"; [ $? -le 124 ] && exit 0
fi
exec "${process.execPath}" "${root}/dist/cli/cli.js" "$@"`,
  npx: 'shift; exec sansa-stream "$@"',
  // What it would install is there; a test of the package installs it for good.
  npm: '[ "$1" = run ] && exec node dist/examples/online-retail/demo.js; [ "$*" = "install sansa-stream" ]',
};

/** Makes a folder with data files; `published` also has a state, lists in every sink and a configuration. */
export async function makeWorld(
  directory: string,
  redisUrl: string,
): Promise<{ bare: string; published: string }> {
  const [bare, published] = [join(directory, 'bare'), join(directory, 'published')];
  mkdirSync(bare);
  await runSql(
    join(bare, 'warehouse.duckdb'),
    `CREATE TABLE sales AS ${shop};
     CREATE TABLE products AS SELECT DISTINCT sku, false AS discontinued, true AS sold, 'b' AS brand FROM sales;
     COPY (${events}) TO '${join(bare, 'events.parquet')}';
     COPY (${events}) TO '${join(bare, 'events.csv')}';
     COPY (SELECT "user", item FROM (${events}) WHERE hash("user", item) % 5 > 0) TO '${join(bare, 'train.parquet')}';
     COPY (SELECT "user", item FROM (${events}) WHERE hash("user", item) % 5 = 0) TO '${join(bare, 'test.parquet')}'`,
  );
  const bin = join(bare, 'bin');
  mkdirSync(bin);
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/usr/bin/env bash\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  const modules = join(bare, 'node_modules');
  mkdirSync(modules);
  for (const name of readdirSync(join(root, 'node_modules')))
    symlinkSync(join(root, 'node_modules', name), join(modules, name));
  symlinkSync(root, join(modules, 'sansa-stream'));
  for (const name of ['dist', 'examples']) symlinkSync(join(root, name), join(bare, name));
  writeFileSync(join(bare, 'package.json'), '{ "type": "module" }');
  cpSync(bare, published, { recursive: true, verbatimSymlinks: true });
  writeFileSync(join(published, 'pipeline.yaml'), pipeline(redisUrl));
  for (const command of ['ingest', 'fit', 'publish']) {
    const said = await runCli([command, '-c', 'pipeline.yaml'], { cwd: published });
    if (said.code !== 0) throw new Error(`${command}: ${said.stderr}`);
  }
  return { bare, published };
}
