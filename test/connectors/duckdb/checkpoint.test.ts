import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, expect, it } from 'vitest';
import { checkpoint } from '#connectors/duckdb/checkpoint.js';

const root = mkdtempSync(join(tmpdir(), 'checkpoint-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

it('leaves no log, wherever a crash cut it off', { timeout: 30_000 }, async () => {
  const [whole, cut] = [join(root, 'whole.duckdb'), join(root, 'cut.duckdb')];
  const instance = await DuckDBInstance.create(whole);
  const connection = await instance.connect();
  await connection.run('CREATE TABLE t AS SELECT range AS a FROM range(100); CHECKPOINT');
  await connection.run('INSERT INTO t SELECT range FROM range(10)');
  const file = join(root, 'file');
  copyFileSync(whole, file);
  const log = readFileSync(`${whole}.wal`);
  connection.closeSync();
  instance.closeSync();
  const counts = new Set<number>();
  for (let bytes = 0; bytes <= log.length; bytes += Math.min(17, Math.max(1, log.length - bytes))) {
    copyFileSync(file, cut);
    writeFileSync(`${cut}.wal`, log.subarray(0, bytes));
    const opened = await DuckDBInstance.create(cut);
    const own = await opened.connect();
    await checkpoint(own, cut);
    expect(existsSync(`${cut}.wal`), `${bytes} bytes`).toBe(false);
    const [[count]] = (await own.runAndReadAll('SELECT count(*)::INTEGER FROM t')).getRows() as [[number]];
    counts.add(count);
    own.closeSync();
    opened.closeSync();
  }
  expect(counts).toEqual(new Set([100, 110]));
});
