import { readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DOUBLE, type DuckDBConnection, DuckDBDataChunk, INTEGER, VARCHAR } from '@duckdb/node-api';
import type { GramianEntries } from '../../src/gramian/export.js';
import { renameDurably, syncPath } from './durable.js';
import { writeNpz } from './npz.js';
import { chunkRows, openScratch, parquetOptions, text } from './scratch-database.js';

/** Rows of a Parquet file. */
const fileRows = 1 << 22;
/** Bytes of a row in memory: of an entry of G, and of an item whose name is as long as a UUID. */
const entryBytes = 16;
const itemBytes = 64;

/** What an export may use: a directory on the same disk for files that are not whole, and memory. */
export interface Limits {
  readonly scratch: string;
  readonly memoryBytes: number;
}

/** Writes G as `gramian.npz`, which `scipy.sparse.load_npz` reads as a CSC matrix of float64. */
export async function writeGramianNpz(
  directory: string,
  G: GramianEntries,
  scratch: string,
): Promise<string[]> {
  const { n, entries, indptr, blocks } = G;
  const bytesOf = (a: NodeJS.ArrayBufferView) => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);
  function* rows() {
    for (const block of blocks()) yield bytesOf(block.rows);
  }
  function* values() {
    for (const block of blocks()) yield bytesOf(block.values);
  }
  await writeNpz(join(directory, 'gramian.npz'), scratch, [
    { name: 'indices', dtype: '<i4', shape: [entries], chunks: rows },
    { name: 'indptr', dtype: '<i8', shape: [n + 1], chunks: () => [bytesOf(indptr)] },
    { name: 'format', dtype: '|S3', shape: [], chunks: () => [Buffer.from('csc')] },
    {
      name: 'shape',
      dtype: '<i8',
      shape: [2],
      chunks: () => [bytesOf(BigInt64Array.of(BigInt(n), BigInt(n)))],
    },
    { name: 'data', dtype: '<f8', shape: [entries], chunks: values },
  ]);
  return ['gramian.npz'];
}

/** Writes G as `gramian-0001.parquet` and on: a row `i INTEGER, j INTEGER, value DOUBLE` per entry of both triangles. */
export async function writeGramianParquet(
  directory: string,
  G: GramianEntries,
  limits: Limits,
): Promise<string[]> {
  for (const name of readdirSync(directory))
    if (/^gramian-\d{4,}\.parquet$/.test(name)) rmSync(join(directory, name));
  return withTable(limits, 'i INTEGER, j INTEGER, value DOUBLE', async connection => {
    const chunk = DuckDBDataChunk.create([INTEGER, INTEGER, DOUBLE]);
    const files: string[] = [];
    let appender = await connection.createAppender('made');
    let rows = 0;
    const next = async () => {
      appender.closeSync();
      files.push(`gramian-${String(files.length + 1).padStart(4, '0')}.parquet`);
      await copyMade(connection, limits, entryBytes, join(directory, files.at(-1)!));
      await connection.run('TRUNCATE made');
      appender = await connection.createAppender('made');
      rows = 0;
    };
    for (const block of G.blocks()) {
      const columns = new Int32Array(block.rows.length);
      for (let c = 0, e = 0; c < block.lengths.length; c++) {
        const end = e + block.lengths[c]!;
        columns.fill(block.first + c, e, end);
        e = end;
      }
      for (let from = 0; from < columns.length; from += chunkRows) {
        const part = [block.rows, columns, block.values].map(a =>
          Array.from(a.subarray(from, from + chunkRows)),
        );
        chunk.reset();
        chunk.setColumns(part);
        appender.appendDataChunk(chunk);
        rows += part[0]!.length;
      }
      if (rows >= fileRows) await next();
    }
    if (rows > 0 || files.length === 0) await next();
    appender.closeSync();
    return files;
  });
}

/** Writes the names of the items as `items.parquet`: `i INTEGER, item VARCHAR`. */
export async function writeItems(
  directory: string,
  keys: readonly string[],
  limits: Limits,
): Promise<string[]> {
  return withTable(limits, 'i INTEGER, item VARCHAR', async connection => {
    const chunk = DuckDBDataChunk.create([INTEGER, VARCHAR]);
    const appender = await connection.createAppender('made');
    for (let from = 0; from < keys.length; from += chunkRows) {
      const part = keys.slice(from, from + chunkRows);
      chunk.reset();
      chunk.setColumns([part.map((_, k) => from + k), part]);
      appender.appendDataChunk(chunk);
    }
    appender.closeSync();
    await copyMade(connection, limits, itemBytes, join(directory, 'items.parquet'));
    return ['items.parquet'];
  });
}

/** Runs `body` with an empty table `made` of a database within the limits. */
async function withTable<T>(
  { scratch, memoryBytes }: Limits,
  columns: string,
  body: (connection: DuckDBConnection) => Promise<T>,
): Promise<T> {
  const { connection, release } = await openScratch(join(scratch, 'made'), memoryBytes);
  try {
    await connection.run(`CREATE TABLE made (${columns})`);
    return await body(connection);
  } finally {
    await release();
  }
}

/** Writes the table `made`, whose rows take some `rowBytes`, as a file, which appears when it is whole. */
async function copyMade(
  connection: DuckDBConnection,
  { scratch, memoryBytes }: Limits,
  rowBytes: number,
  path: string,
): Promise<void> {
  const temporary = join(scratch, basename(path));
  await connection.run(`COPY made TO ${text(temporary)} ${parquetOptions(memoryBytes, rowBytes)}`);
  await syncPath(temporary);
  await renameDurably(temporary, path);
}
