import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  champion,
  type ListKind,
  type Publication,
  type Sink,
  type SinkVersion,
} from '../../src/contracts/sink.js';
import { checkAlias, checkVersion } from '../../src/publish/layout.js';
import { superseded } from '../../src/publish/retention.js';
import {
  assertExpected,
  limitsOf,
  refused,
  type StoredPublication,
  sinkSteps,
  sinkVersion,
} from '../../src/publish/sink-steps.js';
import { renameDurably, replaceText, syncPath } from './durable.js';
import { fileLease } from './lease.js';
import { type FilesOptions, filesOptions } from './options.js';
import type { ListWriter } from './writer.js';

export { type FilesOptions, filesOptions };

interface Attempt {
  readonly publication: Publication;
  readonly writer: ListWriter;
  readonly directory: string;
  readonly lists: Record<ListKind, number>;
}

/** Directories of versions being written, and of those being deleted. */
const writing = '.writing-';
const leaving = '.leaving-';

/**
 * Lists as files: `<path>/<version>/` holds `users` and `items` as `.ndjson` or `.parquet` and `manifest.json`;
 * the file `<path>/current` holds the version to read, `<path>/current.<alias>` that of another alias.
 *
 * A version is written under a temporary name, fsynced and renamed, so a directory with a version's name is
 * complete; `begin` deletes what unfinished attempts left. There is no `get`: files are read whole.
 */
export function createFilesSink(options: FilesOptions): Sink {
  const root = options.path;
  const step = sinkSteps(root);
  const lease = fileLease(root);
  const at = (name: string) => join(root, name);
  const pointer = (alias = champion) => (alias === champion ? 'current' : `current.${alias}`);
  const isComplete = (version: string) => existsSync(join(root, version, 'manifest.json'));
  let attempt: Attempt | undefined;
  let owner = '';

  function begun(): Attempt {
    if (attempt === undefined) throw new Error('no version begun');
    return attempt;
  }

  async function abandon(): Promise<void> {
    await attempt?.writer.abandon();
    attempt = undefined;
    await lease.release(owner);
  }

  /** Deletes what a crash left. */
  async function clear(): Promise<void> {
    for (const name of await readdir(root))
      if (name.startsWith(leaving) || name.startsWith(writing)) await rm(at(name), { recursive: true });
  }

  async function current(alias?: string): Promise<string | undefined> {
    const name = pointer(alias);
    return existsSync(at(name)) ? (await readFile(at(name), 'utf8')).trim() : undefined;
  }

  async function pointers(): Promise<Map<string, string>> {
    const names = (await readdir(root)).filter(name => /^current(\.|$)/.test(name));
    const aliases = names.map(name => (name === 'current' ? champion : name.slice('current.'.length)));
    const found = new Map<string, string>();
    for (const alias of aliases.sort()) found.set(alias, (await current(alias))!);
    return found;
  }

  async function remove(version: string): Promise<void> {
    await renameDurably(at(version), at(leaving + version));
    await rm(at(leaving + version), { recursive: true });
  }

  async function versions(): Promise<SinkVersion[]> {
    const found = (await readdir(root)).filter(name => !name.startsWith('.') && isComplete(name));
    const text = (version: string) => readFile(join(root, version, 'manifest.json'), 'utf8');
    const manifests = await Promise.all(found.map(async v => JSON.parse(await text(v)) as StoredPublication));
    return manifests.map(manifest => sinkVersion(manifest));
  }

  return {
    name: 'files',
    ...limitsOf(options),

    connect: (named = randomUUID()) =>
      step('a directory that can be written', async () => {
        owner = named;
        await mkdir(root, { recursive: true });
      }),

    begin: publication =>
      step(`to begin version ${publication.version}`, async () => {
        const { version } = publication;
        checkVersion(version, root);
        await abandon();
        if (isComplete(version)) throw new Error('that it is complete already');
        const other = await lease.take(owner);
        if (other !== undefined) throw refused(other);
        await clear();
        const directory = at(writing + version);
        await mkdir(directory);
        const writer = await listWriter(options.format, directory);
        attempt = { publication, writer, directory, lists: { users: 0, items: 0 } };
        return { users: 0, items: 0 };
      }),

    write: (kind, lists) =>
      step(`to write lists of ${kind}`, async () => {
        const { writer, lists: counts } = begun();
        await writer.write(kind, lists);
        counts[kind] += lists.length;
        return lists.length;
      }),

    finish: () =>
      step('to finish the version', async () => {
        const { publication, writer, directory, lists } = begun();
        await writer.finish();
        attempt = undefined;
        const manifest = JSON.stringify({ ...publication, lists }, null, 2);
        await replaceText(directory, 'manifest.json', `${manifest}\n`);
        await syncPath(directory);
        if (!(await lease.holds(owner)))
          throw new Error('that the lease was lost: another publisher is writing here');
        await renameDurably(directory, at(publication.version));
      }),

    point: (version, alias = champion, expected) =>
      step(`to point ${alias} at version ${version}`, async () => {
        checkVersion(version, root);
        checkAlias(alias);
        if (!isComplete(version)) throw new Error('no such version or an unfinished one');
        assertExpected(alias, await current(alias), version, expected);
        await replaceText(root, pointer(alias), `${version}\n`);
      }),

    current: alias => step('to read the pointer', () => current(alias)),
    pointers: () => step('to read the pointers', pointers),
    versions: () => step('to read the versions', versions),

    prune: keep =>
      step('to delete superseded versions', async () => {
        for (const version of superseded(await versions(), (await pointers()).values(), keep))
          await remove(version);
      }),

    close: () => step('to close the files', abandon),
  };
}

/** The writer of a format; DuckDB is loaded only for Parquet. */
async function listWriter(format: FilesOptions['format'], directory: string): Promise<ListWriter> {
  if (format === 'ndjson') return (await import('./ndjson.js')).ndjsonWriter(directory);
  return (await import('./parquet.js')).parquetWriter(directory);
}
