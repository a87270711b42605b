import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { DuckDBConnection } from './client.js';
import { literal } from './database.js';

/**
 * Lets relative paths in queries start from `directory`; returns how to end that. DuckDB splits the setting at commas and
 * knows no way to quote them, so a directory with a comma in its name is searched through a link.
 */
export async function searchFrom(connection: DuckDBConnection, directory: string): Promise<() => void> {
  const path = resolve(directory);
  const links = path.includes(',') ? mkdtempSync(join(tmpdir(), 'sansa-stream-')) : undefined;
  const searched = links === undefined ? path : join(links, 'base');
  if (links !== undefined) symlinkSync(path, searched);
  await connection.run(`SET file_search_path = ${literal(searched)}`);
  return () => {
    if (links !== undefined) rmSync(links, { recursive: true, force: true });
  };
}
