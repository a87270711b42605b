import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ListKind, Sink } from '../../src/connector.js';
import { StageError } from '../../src/errors.js';
import type { Manifest } from '../../src/model/version.js';
import { checkVersion } from '../../src/publish/layout.js';
import { type FinishedVersion, superseded } from '../../src/publish/retention.js';
import { renameDurably, replaceText, syncPath } from './durable.js';
import { type FilesOptions, filesOptions } from './options.js';
import type { ListWriter } from './writer.js';

export { type FilesOptions, filesOptions };

interface Attempt {
  readonly manifest: Manifest;
  readonly writer: ListWriter;
  readonly directory: string;
  readonly lists: Record<ListKind, number>;
}

/** Directories of versions being written, and of those being replaced or deleted. */
const writing = '.writing-';
const leaving = '.leaving-';

/**
 * Lists as files: `<path>/<version>/` holds `users` and `items` as `.ndjson` or `.parquet` and `manifest.json`;
 * the file `<path>/current` holds the version to read.
 *
 * A version is written under a temporary name, fsynced and renamed, so a directory with a version's name is
 * complete. One that exists already is replaced by two renames; `begin` mends a crash between them and deletes
 * what unfinished attempts left. There is no `get`: files are read whole. Every failure is a `SINK_FAILED`.
 */
export function createFilesSink(options: FilesOptions): Sink {
  const root = options.path;
  const at = (name: string) => join(root, name);
  const isComplete = (version: string) => existsSync(join(root, version, 'manifest.json'));
  let attempt: Attempt | undefined;

  /** Runs one step; what it throws becomes a `SINK_FAILED` that says what was expected. */
  async function step<T>(expected: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (error instanceof StageError) throw error;
      const found = error instanceof Error ? error.message : String(error);
      throw new StageError('SINK_FAILED', `expected ${expected}, found ${found}, where ${root}`, {
        cause: error,
      });
    }
  }

  function begun(): Attempt {
    if (attempt === undefined) throw new Error('no version begun');
    return attempt;
  }

  async function abandon(): Promise<void> {
    await attempt?.writer.abandon();
    attempt = undefined;
  }

  /** Puts back a version whose replacement never arrived, and deletes the rest of what a crash left. */
  async function clear(): Promise<void> {
    for (const name of await readdir(root)) {
      const version = name.startsWith(leaving) ? name.slice(leaving.length) : undefined;
      if (version !== undefined && !isComplete(version) && (await current()) === version)
        await renameDurably(at(name), at(version));
      else if (version !== undefined || name.startsWith(writing)) await rm(at(name), { recursive: true });
    }
  }

  async function current(): Promise<string | undefined> {
    return existsSync(at('current')) ? (await readFile(at('current'), 'utf8')).trim() : undefined;
  }

  async function remove(version: string): Promise<void> {
    await renameDurably(at(version), at(leaving + version));
    await rm(at(leaving + version), { recursive: true });
  }

  async function finished(): Promise<FinishedVersion[]> {
    const versions = (await readdir(root)).filter(name => !name.startsWith('.') && isComplete(name));
    const text = (version: string) => readFile(join(root, version, 'manifest.json'), 'utf8');
    return Promise.all(versions.map(async version => JSON.parse(await text(version)) as Manifest));
  }

  return {
    name: 'files',
    keep: options.keep,

    connect: () =>
      step('a directory that can be written', async () => {
        await mkdir(root, { recursive: true });
      }),

    begin: manifest =>
      step(`to begin version ${manifest.version}`, async () => {
        checkVersion(manifest.version, root);
        await abandon();
        await clear();
        const directory = at(writing + manifest.version);
        await mkdir(directory);
        const writer = await listWriter(options.format, directory);
        attempt = { manifest, writer, directory, lists: { users: 0, items: 0 } };
      }),

    write: (kind, lists) =>
      step(`to write lists of ${kind}`, async () => {
        const { writer, lists: counts } = begun();
        await writer.write(kind, lists);
        counts[kind] += lists.length;
      }),

    finish: () =>
      step('to finish the version', async () => {
        const { manifest, writer, directory, lists } = begun();
        await writer.finish();
        attempt = undefined;
        await replaceText(directory, 'manifest.json', `${JSON.stringify({ ...manifest, lists }, null, 2)}\n`);
        await syncPath(directory);
        const old = existsSync(at(manifest.version)) ? at(leaving + manifest.version) : undefined;
        if (old !== undefined) await renameDurably(at(manifest.version), old);
        await renameDurably(directory, at(manifest.version));
        if (old !== undefined) await rm(old, { recursive: true });
      }),

    point: version =>
      step(`to point at version ${version}`, async () => {
        checkVersion(version, root);
        if (!isComplete(version)) throw new Error('no such version or an unfinished one');
        await replaceText(root, 'current', `${version}\n`);
      }),

    current: () => step('to read the pointer', current),

    prune: keep =>
      step('to delete superseded versions', async () => {
        for (const version of superseded(await finished(), await current(), keep)) await remove(version);
      }),

    close: () => step('to close the files', abandon),
  };
}

/** The writer of a format; DuckDB is loaded only for Parquet. */
async function listWriter(format: FilesOptions['format'], directory: string): Promise<ListWriter> {
  if (format === 'ndjson') return (await import('./ndjson.js')).ndjsonWriter(directory);
  return (await import('./parquet.js')).parquetWriter(directory);
}
