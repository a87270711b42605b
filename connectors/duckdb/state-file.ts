import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { StageError } from '../../src/errors.js';
import { syncDirectory } from '../../src/matrix/safetensors-header.js';
import type { DuckDBInstance } from './client.js';
import { literal, openDatabase, releaseResults } from './database.js';
import { format } from './migrations.js';
import type { DatabaseOptions } from './options.js';
import { isMadeFor, madeFor, placeFile, removeMade } from './place.js';
import { createSchema, type Semantics, storedSettings } from './schema.js';

/** The file of a state in its directory. */
const fileName = 'state.duckdb';
/** What may lie in the directory of a new state. */
const harmless = new Set(['lost+found', '.gitignore', '.gitkeep']);

/** The folders of a state beside its file. */
const folders = ['gramian', 'models'];

const namesIn = (directory: string): string[] =>
  statSync(directory, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(directory) : [];

/** The file of the state in a directory. */
export const stateFile = (directory: string): string => join(directory, fileName);

/** Where the databases beside the state's spill. */
export const spillsDirectory = (directory: string): string => join(directory, 'spilled');

/** Where files of events wait. */
export const partsDirectory = (directory: string): string => join(directory, 'inbox');

/** Refuses to begin a state among the files of somebody else: a state has a directory of its own. */
function assertRoom(directory: string): void {
  const empty = (name: string) =>
    [...folders, 'spilled'].includes(name) &&
    statSync(join(directory, name)).isDirectory() &&
    namesIn(join(directory, name)).length === 0;
  const foreign = namesIn(directory).filter(
    name => !isMadeFor(fileName, name) && !harmless.has(name) && !empty(name),
  );
  if (foreign.length === 0) return;
  const found = `${foreign.slice(0, 3).join(', ')}${foreign.length > 3 ? ` and ${foreign.length - 3} more` : ''}`;
  throw new StageError(
    'STATE_MISMATCH',
    `state ${directory}: expected a state or an empty directory, found ${found}; name a directory of its own`,
  );
}

/** Makes the file of a new state, which appears when its schema and settings are in it. */
async function makeFile(directory: string, semantics: Semantics): Promise<void> {
  for (const folder of folders) mkdirSync(join(directory, folder), { recursive: true });
  const path = stateFile(directory);
  const made = madeFor(path);
  const database = await openDatabase(made);
  const connection = await database.connect();
  try {
    await createSchema(connection, semantics);
  } finally {
    connection.closeSync();
    database.closeSync();
    await releaseResults();
  }
  placeFile(made, path);
  syncDirectory(directory);
}

/** Opens the file of a state for writing, or makes it. */
export async function openForWriting(
  directory: string,
  semantics: Semantics,
  limits: Partial<DatabaseOptions>,
): Promise<DuckDBInstance> {
  const path = stateFile(directory);
  if (!existsSync(path)) {
    assertRoom(directory);
    await makeFile(directory, semantics);
  }
  const database = await openDatabase(path, limits);
  removeMade(path);
  return database;
}

/**
 * Opens a state without changing anything: the file itself if it has the present format, else a copy in memory, which
 * can be brought to it. Where there is no state, an empty one in memory.
 */
export async function openForReading(
  directory: string,
  limits: Partial<DatabaseOptions>,
): Promise<DuckDBInstance> {
  const path = stateFile(directory);
  if (!existsSync(path)) {
    assertRoom(directory);
    return openDatabase(':memory:', limits);
  }
  const database = await openDatabase(path, limits, true);
  const connection = await database.connect();
  const stored = await storedSettings(connection);
  connection.closeSync();
  if (stored.get('format') === String(format)) return database;
  database.closeSync();
  await releaseResults();
  const copy = await openDatabase(':memory:', limits);
  const copying = await copy.connect();
  try {
    await copying.run(`ATTACH ${literal(path)} AS stored (READ_ONLY)`);
    await copying.run('COPY FROM DATABASE stored TO memory');
    await copying.run('DETACH stored');
  } finally {
    copying.closeSync();
  }
  return copy;
}
