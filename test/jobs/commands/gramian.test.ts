/** `gramian export`: other programs read G as it is, stored or not. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, it } from 'vitest';
import { runCli } from '../../support/cli.js';
import { temporaryDirectory } from '../../support/directory.js';
import { purchasesPipeline } from '../../support/purchases.js';

/** Rows of a query as arrays. */
async function rowsOf(sql: string, directory: string): Promise<unknown[][]> {
  const instance = await DuckDBInstance.create(join(directory, 'w.duckdb'), { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  const rows = await connection.runAndReadAll(sql);
  connection.closeSync();
  instance.closeSync();
  return rows.getRowsJS() as unknown[][];
}

/** The files of an archive that is not compressed, by the central directory at its end. */
function unzip(zip: Buffer): Map<string, Buffer> {
  const end = zip.lastIndexOf('PK\x05\x06', undefined, 'latin1');
  const files = new Map<string, Buffer>();
  for (let at = zip.readUInt32LE(end + 16), k = zip.readUInt16LE(end + 10); k > 0; k--) {
    const [size, name] = [zip.readUInt32LE(at + 24), zip.readUInt16LE(at + 28)];
    const local = zip.readUInt32LE(at + 42);
    const from = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    files.set(zip.toString('utf8', at + 46, at + 46 + name), zip.subarray(from, from + size));
    at += 46 + name + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  return files;
}

/** An array of NumPy: its header, and its numbers. */
function npy(file: Buffer): { readonly header: string; readonly data: Buffer } {
  const length = file.readUInt16LE(8);
  expect(file.toString('latin1', 0, 8)).toBe('\x93NUMPY\x01\x00');
  expect((10 + length) % 64).toBe(0);
  return { header: file.toString('latin1', 10, 10 + length).trim(), data: file.subarray(10 + length) };
}

const gramian = `SELECT a.item, b.item, count(*)::DOUBLE FROM (SELECT DISTINCT "user", item FROM events) a
  JOIN (SELECT DISTINCT "user", item FROM events) b USING ("user") GROUP BY ALL ORDER BY ALL`;

it.each(['stored', 'implicit'] as const)('writes the entries and the items of a %s Gramian', async mode => {
  const directory = temporaryDirectory();
  const config = await purchasesPipeline(directory, { gramian: { mode } });
  await runCli(['ingest', '-c', config]);
  await runCli(['fold', '-c', config]);
  const expected = await rowsOf(gramian, directory);

  const out = join(directory, 'parquet');
  // An export that died has left this; process numbers are smaller.
  mkdirSync(join(out, '.gramian-999999999-x'), { recursive: true });
  const parquet = await runCli([
    'gramian',
    'export',
    '-c',
    config,
    '--out',
    out,
    '--format',
    'parquet',
    '--json',
  ]);
  expect([parquet.code, parquet.json()]).toEqual([
    0,
    { directory: out, files: ['gramian-0001.parquet', 'items.parquet'], items: 70, entries: expected.length },
  ]);
  expect(readdirSync(out).sort()).toEqual(['gramian-0001.parquet', 'items.parquet']);
  const named = `SELECT a.item, b.item, value FROM '${out}/gramian-*.parquet' g
    JOIN '${out}/items.parquet' a ON a.i = g.i JOIN '${out}/items.parquet' b ON b.i = g.j ORDER BY ALL`;
  expect(await rowsOf(named, directory)).toEqual(expected);

  mkdirSync(join(directory, 'npz'));
  const npz = await runCli(['gramian', 'export', '-c', config, '--out', join(directory, 'npz')]);
  expect([npz.code, npz.stdout]).toEqual([
    0,
    expect.stringMatching(/ entries of 70 items in .*gramian\.npz/),
  ]);
  const files = unzip(readFileSync(join(directory, 'npz/gramian.npz')));
  expect([...files.keys()].sort()).toEqual([
    'data.npy',
    'format.npy',
    'indices.npy',
    'indptr.npy',
    'shape.npy',
  ]);
  const array = (name: string) => npy(files.get(`${name}.npy`)!);
  expect(array('indices').header).toBe(
    `{'descr': '<i4', 'fortran_order': False, 'shape': (${expected.length},), }`,
  );
  expect([array('format').header, array('format').data.toString()]).toEqual([
    "{'descr': '|S3', 'fortran_order': False, 'shape': (), }",
    'csc',
  ]);
  const [indptr, shape] = ['indptr', 'shape'].map(name => {
    const { data } = array(name);
    return Array.from({ length: data.length / 8 }, (_, k) => Number(data.readBigInt64LE(8 * k)));
  });
  expect(shape).toEqual([70, 70]);
  const keys = (
    await rowsOf(`SELECT item FROM '${out}/items.parquet' ORDER BY i`, directory)
  ).flat() as string[];
  const found: [string, string, number][] = [];
  for (let j = 0; j < 70; j++) {
    for (let e = indptr![j]!; e < indptr![j + 1]!; e++) {
      const i = array('indices').data.readInt32LE(4 * e);
      found.push([keys[i]!, keys[j]!, array('data').data.readDoubleLE(8 * e)]);
    }
  }
  expect(found.sort((a, b) => (a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]) ? -1 : 1))).toEqual(expected);
  expect(readdirSync(join(directory, 'npz')).sort()).toEqual(['gramian.npz', 'items.parquet']);
});

it('says what it does not know', async () => {
  const config = await purchasesPipeline(temporaryDirectory());
  const refused = async (...args: string[]) =>
    (await runCli(['gramian', ...args, '-c', config])).stderr.trim();
  expect(await refused('import')).toMatch(/^USAGE: gramian: expected export, found "import"/);
  expect(await refused('export')).toMatch(/^USAGE: gramian export: expected --out DIR, found none/);
  expect(await refused('export', '--out', 'x', '--format', 'csv')).toMatch(
    /^USAGE: --format: expected npz or parquet, found "csv"/,
  );
});

it('prunes the Gramian of a large catalogue for fits, anew when it changed', async () => {
  const directory = temporaryDirectory();
  // 12,000 items in pairs and one that all users have
  const rows = `SELECT 'u' || k // 2 AS "user", 'i' || k AS item FROM range(12000) t(k)
    UNION ALL SELECT 'u' || k, 'all' FROM range(6000) t(k)`;
  const config = join(directory, 'pipeline.yaml');
  writeFileSync(
    config,
    JSON.stringify({
      sources: [
        {
          type: 'duckdb',
          name: 'e',
          query: `SELECT row_number() OVER () AS line, * FROM (${rows})`,
          cursor: 'line',
        },
      ],
      gramian: { mode: 'stored', keep: 200 },
      fit: { solver: 'fsai', neighbours: 20 },
    }),
  );
  const run = async (...args: string[]) => {
    const { code, stderr, json } = await runCli([...args, '-c', config, '--json']);
    expect([code, stderr.match(/^[A-Z_]+:.*/m)?.[0]]).toEqual([0, undefined]);
    return json();
  };
  const views = () =>
    readdirSync(join(directory, 'state/gramian')).filter(name => name.startsWith('pruned-'));
  await run('ingest');
  await run('fold');
  expect(await run('fit')).toMatchObject({ fit: { gramian: 'stored', pruned: 200 } });
  const [first, ...more] = views();
  expect([first, more]).toEqual([expect.stringMatching(/^pruned-[0-9a-f]{16}\.safetensors$/), []]);
  expect(await run('verify')).toMatchObject({ differing: 0 });
  await run('forget', 'u7');
  expect(views()).toEqual([]);
  await run('fit');
  expect(views()).toHaveLength(1);
  expect(views()).not.toEqual([first]);
});
