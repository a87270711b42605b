/** Parquet files whose rows do not fit into the memory there is for them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, it, onTestFinished } from 'vitest';
import { writeGramianParquet, writeItems } from '#connectors/files/gramian.js';
import { parquetWriter } from '#connectors/files/parquet.js';
import { parquetVectors } from '#connectors/files/parquet-vectors.js';

const mebibyte = 2 ** 20;

function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'small-memory-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function rowsIn(file: string): Promise<number> {
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  const found = await connection.runAndReadAll(`SELECT count(*) FROM read_parquet('${file}')`);
  connection.closeSync();
  instance.closeSync();
  return Number(found.getRowsJS()[0]![0]);
}

it('writes 300,000 rows of lists in 8 MiB', async () => {
  const directory = scratch();
  const writer = await parquetWriter(directory, 8 * mebibyte);
  const scores = Float32Array.from({ length: 20 }, (_, k) => 1 / (k + 1));
  for (let from = 0; from < 15_000; from += 500) {
    const lists = Array.from({ length: 500 }, (_, r) => ({
      id: `user-${from + r}`,
      items: Array.from(scores, (_, k) => `item-${((from + r) * 7919 + k * 104_729) % 20_000}`),
      scores,
    }));
    await writer.write('users', lists);
  }
  await writer.finish();
  expect(await rowsIn(join(directory, 'users.parquet'))).toBe(300_000);
});

it('writes 400,000 entries of a Gramian and 200,000 names of items in 8 MiB', async () => {
  const directory = scratch();
  const limits = { scratch: scratch(), memoryBytes: 8 * mebibyte };
  const [columns, length] = [200, 2000];
  function* blocks() {
    for (let first = 0; first < columns; first += 20) {
      const rows = Int32Array.from({ length: 20 * length }, (_, e) => e % length);
      const values = Float64Array.from(rows, (row, e) => Math.sin(row + first * e));
      yield { first, lengths: new Int32Array(20).fill(length), rows, values };
    }
  }
  const G = {
    n: length,
    entries: columns * length,
    indptr: new BigInt64Array(1),
    blocks,
    close: () => undefined,
  };
  expect(await writeGramianParquet(directory, G, limits)).toEqual(['gramian-0001.parquet']);
  expect(await rowsIn(join(directory, 'gramian-0001.parquet'))).toBe(400_000);
  const keys = Array.from({ length: 200_000 }, (_, i) => `item-${(i * 7919) % 1_000_003}-of-the-catalogue`);
  await writeItems(directory, keys, limits);
  expect(await rowsIn(join(directory, 'items.parquet'))).toBe(200_000);
});

it('refuses vectors that DuckDB cannot write in the memory there is, before the first of them', async () => {
  const shape = { form: 'dense', count: 20_000, rank: 256, entries: 20_000 * 256 } as const;
  await expect(parquetVectors(scratch(), shape, 18 * mebibyte)).rejects.toThrow(
    /take 27.* MiB .* raise `memory`, or set `vectors: safetensors`/,
  );
});
