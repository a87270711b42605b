import { join } from 'node:path';
import type { ErasedIds } from '../../src/contracts/erasure.js';
import type { ListKind } from '../../src/contracts/sink.js';
import type { FilesOptions } from './options.js';
import type { ListWriter } from './writer.js';

/** The writer of a format; DuckDB is loaded only for Parquet. */
export async function listWriter(
  format: FilesOptions['format'],
  directory: string,
  memoryBytes: number,
): Promise<ListWriter> {
  if (format === 'ndjson') return (await import('./ndjson.js')).ndjsonWriter(directory);
  return (await import('./parquet.js')).parquetWriter(directory, memoryBytes);
}

/** Copies a file of lists from one directory to another, without the ids; DuckDB is loaded only for Parquet. */
export async function filterLists(
  from: string,
  to: string,
  file: string,
  kind: ListKind,
  erased: ErasedIds,
  memoryBytes: number,
) {
  const [path, made] = [join(from, file), join(to, file)];
  if (file.endsWith('.ndjson')) return (await import('./ndjson.js')).filterNdjson(path, made, kind, erased);
  return (await import('./parquet.js')).filterParquet(path, made, kind, erased, memoryBytes);
}
