import { join } from 'node:path';
import {
  ARRAY,
  arrayValue,
  DuckDBDataChunk,
  FLOAT,
  INTEGER,
  LIST,
  listValue,
  VARCHAR,
} from '@duckdb/node-api';
import type { ItemVectors, VectorShape } from '../../src/contracts/sink.js';
import { Refusal } from '../../src/publish/sink-steps.js';
import { mebibytes } from '../../src/size.js';
import { syncPath } from './durable.js';
import { openScratch, parquetOptions, text } from './scratch-database.js';
import type { VectorWriter } from './vectors.js';

export const parquetVectorsFile = 'vectors.parquet';
/** Rows of one data chunk. */
const chunkRows = 512;
/** Rows that DuckDB reads at a time, and how often it holds them while it writes Parquet (measured: 10 to 12 times). */
const scannedRows = 2048;
const timesHeld = 12;

/**
 * Writes `vectors.parquet`, a row per item: `id`, `vector` (FLOAT[r]) or `indices` (INTEGER[]) and `values` (FLOAT[]) of sparse
 * ones, and `dimension`, the dimension that the item is, NULL for none. Rows wait in a DuckDB file beside it, so that memory stays within `memoryBytes`.
 */
export async function parquetVectors(
  directory: string,
  shape: VectorShape,
  memoryBytes: number,
): Promise<VectorWriter> {
  const { form, rank, count } = shape;
  const needed = Math.min(count, scannedRows) * timesHeld * rowBytes(shape);
  if (memoryBytes < needed)
    throw new Refusal(
      `vectors of this size take ${mebibytes(needed)} to be written as Parquet, and there are ${mebibytes(memoryBytes)} for them; raise \`memory\`, or set \`vectors: safetensors\``,
    );
  const scratch = join(directory, '.vectors');
  const sparse = form === 'sparse';
  const { connection, release } = await openScratch(scratch, memoryBytes);
  await connection.run(
    `CREATE TABLE vectors (id VARCHAR, ${sparse ? 'indices INTEGER[], "values" FLOAT[]' : `vector FLOAT[${rank}]`}, dimension INTEGER)`,
  );
  const appender = await connection.createAppender('vectors');
  const types = sparse ? [LIST(INTEGER), LIST(FLOAT)] : [ARRAY(FLOAT, rank)];
  const chunk = DuckDBDataChunk.create([VARCHAR, ...types, INTEGER], chunkRows);
  return {
    async write(batch) {
      for (let from = 0; from < batch.ids.length; from += chunkRows) {
        chunk.reset();
        chunk.setColumns(columnsOf(batch, from, Math.min(batch.ids.length, from + chunkRows)));
        appender.appendDataChunk(chunk);
      }
    },
    async finish() {
      appender.closeSync();
      const file = join(directory, parquetVectorsFile);
      const copied = await connection.runAndReadAll(
        `COPY vectors TO ${text(file)} ${parquetOptions(memoryBytes, rowBytes(shape))}`,
      );
      const found = Number(copied.getRowsJS()[0]?.[0]);
      if (found !== count) throw new Refusal(`${file} has ${found} of ${count} vectors; publish again`);
      await syncPath(file);
      await release();
    },
    abandon: release,
  };
}

/** Bytes of a vector and its id in memory. */
const rowBytes = ({ form, rank, count, entries }: VectorShape): number =>
  128 + (form === 'sparse' ? Math.ceil((8 * entries) / Math.max(1, count)) : 4 * rank);

/** Rows from … to of a batch, column by column. */
function columnsOf(batch: ItemVectors, from: number, to: number) {
  const { ids, indptr, values, indices, dimensions } = batch;
  const rows = Array.from({ length: to - from }, (_, k) => from + k);
  const part = (x: Float32Array | Int32Array, r: number) =>
    Array.from(x.subarray(indptr[r]!, indptr[r + 1]!));
  return [
    ids.slice(from, to),
    ...(indices
      ? [rows.map(r => listValue(part(indices, r))), rows.map(r => listValue(part(values, r)))]
      : [rows.map(r => arrayValue(part(values, r)))]),
    rows.map(r => (dimensions && dimensions[r]! >= 0 ? dimensions[r]! : null)),
  ];
}

/** Copies a file of vectors without erased items, if it has any; returns the shape of what is left. */
export async function filterParquetVectors(
  path: string,
  made: string,
  shape: VectorShape,
  items: ReadonlySet<string>,
  memoryBytes: number,
): Promise<VectorShape> {
  const { connection, release } = await openScratch(made, memoryBytes);
  try {
    const gone = items.size > 0 ? `id NOT IN (${[...items].map(text).join()})` : 'true';
    const numbers = shape.form === 'sparse' ? 'sum(len("values"))' : `count(*) * ${shape.rank}`;
    const found = await connection.runAndReadAll(
      `SELECT count(*), coalesce(${numbers}, 0) FROM read_parquet(${text(path)}) WHERE ${gone}`,
    );
    const [count, entries] = found.getRowsJS()[0]!.map(Number);
    const left = { ...shape, count: count!, entries: entries! };
    if (left.count === shape.count) return left;
    await connection.run(
      `COPY (SELECT * FROM read_parquet(${text(path)}) WHERE ${gone}) TO ${text(made)} ${parquetOptions(memoryBytes, rowBytes(shape))}`,
    );
    await syncPath(made);
    return left;
  } finally {
    await release();
  }
}
