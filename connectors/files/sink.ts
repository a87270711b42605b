import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  champion,
  type Publication,
  type RankedList,
  type Sink,
  type SinkVersion,
} from '../../src/contracts/sink.js';
import type { Draft, ListStore } from '../../src/publish/list-store.js';
import {
  assertExpected,
  leaseLost,
  notComplete,
  type StoredPublication,
  sinkVersion,
} from '../../src/publish/sink-steps.js';
import { createVersionedSink, rankedForm } from '../../src/publish/versioned-sink.js';
import { renameDurably, replaceText, syncPath } from './durable.js';
import { fileLease } from './lease.js';
import { type FilesOptions, filesOptions } from './options.js';
import type { ListWriter } from './writer.js';

export { type FilesOptions, filesOptions };

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
  return createVersionedSink(
    { name: 'files', where: options.path, options, form: rankedForm },
    new FileLists(options),
  );
}

/** The versions below one directory. */
class FileLists implements ListStore<readonly RankedList[]> {
  readonly #root: string;
  readonly #format: FilesOptions['format'];
  readonly #lease: ReturnType<typeof fileLease>;

  constructor({ path, format, leaseMs }: FilesOptions) {
    this.#root = path;
    this.#format = format;
    this.#lease = fileLease(path, leaseMs);
  }

  #at(...names: string[]): string {
    return join(this.#root, ...names);
  }

  #isComplete(version: string): boolean {
    return existsSync(this.#at(version, 'manifest.json'));
  }

  async open(): Promise<void> {
    await mkdir(this.#root, { recursive: true });
  }

  close = async () => undefined;
  takeLease = (owner: string) => this.#lease.take(owner);
  renewLease = (owner: string) => this.#lease.renew(owner);
  releaseLease = (owner: string) => this.#lease.release(owner);

  async begin(version: string, _: Publication, owner: string): Promise<Draft<readonly RankedList[]>> {
    await this.#clear();
    const directory = this.#at(writing + version);
    await mkdir(directory);
    const writer = await listWriter(this.#format, directory);
    let open = true;
    return {
      lists: { users: 0, items: 0 },
      async put(kind, lists) {
        await writer.write(kind, lists);
        return lists.length;
      },
      complete: async manifest => {
        open = false;
        await writer.finish();
        await replaceText(directory, 'manifest.json', `${JSON.stringify(manifest, null, 2)}\n`);
        await syncPath(directory);
        if (!(await this.#lease.renew(owner))) throw leaseLost();
        await renameDurably(directory, this.#at(version));
      },
      async abandon() {
        if (open) await writer.abandon();
      },
    };
  }

  /** Deletes what a crash left. */
  async #clear(): Promise<void> {
    for (const name of await readdir(this.#root))
      if (name.startsWith(leaving) || name.startsWith(writing)) await rm(this.#at(name), { recursive: true });
  }

  async versions(): Promise<SinkVersion[]> {
    const names = await readdir(this.#root);
    const found = names.filter(name => !name.startsWith('.') && this.#isComplete(name));
    const texts = found.map(version => readFile(this.#at(version, 'manifest.json'), 'utf8'));
    return (await Promise.all(texts)).map(text => sinkVersion(JSON.parse(text) as StoredPublication));
  }

  async pointers(): Promise<Map<string, string>> {
    const names = (await readdir(this.#root)).filter(name => /^current(\.|$)/.test(name));
    const aliases = names.map(name => (name === 'current' ? champion : name.slice('current.'.length)));
    const found = new Map<string, string>();
    for (const alias of aliases.sort()) found.set(alias, (await this.current(alias))!);
    return found;
  }

  async current(alias: string): Promise<string | undefined> {
    const file = this.#at(pointer(alias));
    return existsSync(file) ? (await readFile(file, 'utf8')).trim() : undefined;
  }

  async point(alias: string, version: string, expected: string | null | undefined): Promise<void> {
    if (!this.#isComplete(version)) throw notComplete(version);
    assertExpected(alias, await this.current(alias), version, expected);
    await replaceText(this.#root, pointer(alias), `${version}\n`);
  }

  async remove(versions: readonly string[]): Promise<void> {
    for (const version of versions) {
      await renameDurably(this.#at(version), this.#at(leaving + version));
      await rm(this.#at(leaving + version), { recursive: true });
    }
  }
}

/** The file that names the version of an alias. */
const pointer = (alias: string): string => (alias === champion ? 'current' : `current.${alias}`);

/** The writer of a format; DuckDB is loaded only for Parquet. */
async function listWriter(format: FilesOptions['format'], directory: string): Promise<ListWriter> {
  if (format === 'ndjson') return (await import('./ndjson.js')).ndjsonWriter(directory);
  return (await import('./parquet.js')).parquetWriter(directory);
}
