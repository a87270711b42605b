import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { VectorShape } from '../../src/contracts/sink.js';
import type { FilesOptions } from './options.js';

/** The writer of vectors of a format; DuckDB is loaded only for Parquet. */
export async function vectorsWriter(
  format: FilesOptions['vectors'],
  directory: string,
  shape: VectorShape,
  memoryBytes: number,
) {
  if (format === 'parquet')
    return (await import('./parquet-vectors.js')).parquetVectors(directory, shape, memoryBytes);
  return (await import('./vectors.js')).safetensorsVectors(directory, shape);
}

/** Copies the vectors of a version into `made` without erased items, if it has any; returns the shape of what is left. */
export async function filterVectors(
  directory: string,
  made: string,
  shape: VectorShape,
  erased: readonly string[],
  memoryBytes: number,
) {
  const items = new Set(erased);
  const path = join(directory, 'vectors.parquet');
  if (existsSync(path))
    return (await import('./parquet-vectors.js')).filterParquetVectors(
      path,
      join(made, 'vectors.parquet'),
      shape,
      items,
      memoryBytes,
    );
  return (await import('./filter-vectors.js')).filterVectors(
    join(directory, 'vectors.safetensors'),
    made,
    shape,
    items,
  );
}
