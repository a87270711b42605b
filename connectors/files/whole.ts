import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { ListKind } from '../../src/contracts/sink.js';
import { listsMissing, Refusal, type StoredPublication } from '../../src/publish/sink-steps.js';

const kinds = ['users', 'items'] as const;

/** A version's manifest. It has the rows of Parquet files of lists, because an empty list has none. */
export interface StoredRows extends StoredPublication {
  readonly rows?: Readonly<Partial<Record<ListKind, number>>>;
}

/** The manifest of the version in a directory; `undefined` where it holds none, or something of somebody else's. */
export async function readManifest(directory: string): Promise<StoredRows | undefined> {
  try {
    const manifest: unknown = JSON.parse(await readFile(join(directory, 'manifest.json'), 'utf8'));
    if (typeof manifest !== 'object' || manifest === null || !('lists' in manifest)) return undefined;
    const stored = manifest as StoredRows;
    return stored.version === basename(directory) ? stored : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EIO') throw error;
    return undefined;
  }
}

/** Rows of the Parquet files of lists in a directory, for its manifest. */
export async function rowsOf(directory: string): Promise<Pick<StoredRows, 'rows'>> {
  const files = await readdir(directory);
  const rows: Partial<Record<ListKind, number>> = {};
  for (const kind of kinds)
    if (files.includes(`${kind}.parquet`)) rows[kind] = await parquetRows(join(directory, `${kind}.parquet`));
  return Object.keys(rows).length > 0 ? { rows } : {};
}

/** Rows of a Parquet file; DuckDB is loaded only for these. */
const parquetRows = async (path: string): Promise<number> =>
  (await import('./scratch-database.js')).parquetRows(path);

/** Throws if a complete version lacks lists or vectors that its manifest counts. */
export async function assertWhole(directory: string, manifest: StoredRows): Promise<void> {
  const { version, lists, rows, vectors } = manifest;
  const files = await readdir(directory);
  for (const kind of kinds) {
    if (files.includes(`${kind}.parquet`)) {
      const [found, counted] = [await parquetRows(join(directory, `${kind}.parquet`)), rows?.[kind] ?? 0];
      if (found < counted)
        throw new Refusal(
          `version ${version} has ${found} of its ${counted} rows of ${kind}; publish it again`,
        );
      continue;
    }
    const path = join(directory, `${kind}.ndjson`);
    const found = existsSync(path) ? await (await import('./ndjson.js')).countLines(path) : 0;
    if (found < lists[kind]) throw listsMissing(version, kind, found, lists[kind]);
  }
  if (!vectors) return;
  const found = files.includes('vectors.parquet')
    ? await parquetRows(join(directory, 'vectors.parquet'))
    : (await import('./vectors.js')).countVectors(join(directory, 'vectors.safetensors'));
  if (found < vectors.count) throw listsMissing(version, 'vectors', found, vectors.count);
}
