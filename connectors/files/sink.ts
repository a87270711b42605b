import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ErasedIds, ForgottenLists } from '../../src/contracts/erasure.js';
import {
  champion,
  type Publication,
  type RankedList,
  type Sink,
  type SinkVersion,
} from '../../src/contracts/sink.js';
import { newHolder } from '../../src/publish/lease.js';
import type { Access, Draft, ListStore, Move } from '../../src/publish/list-store.js';
import {
  assertExpected,
  leaseLost,
  notComplete,
  Refusal,
  sinkVersion,
} from '../../src/publish/sink-steps.js';
import { createVersionedSink, rankedForm } from '../../src/publish/versioned-sink.js';
import { renameDurably, replaceText, syncPath } from './durable.js';
import { isUnsettled, replaceFiles, settle } from './forgetting.js';
import { fileLease } from './lease.js';
import { filterLists, listWriter } from './list-format.js';
import { type FilesOptions, filesOptions } from './options.js';
import { filterVectors, vectorsWriter } from './vector-format.js';
import { assertWhole, readManifest, rowsOf, type StoredRows } from './whole.js';

export { type FilesOptions, filesOptions };

/** Directories of versions being written, and of those being deleted. */
const writing = '.writing-';
const leaving = '.leaving-';
/** Beginnings of names that only a crash leaves: those, leases, and pointers that were to be replaced. */
const temporary = [writing, leaving, '.lease-'];
const isTemporary = (name: string): boolean =>
  temporary.some(start => name.startsWith(start)) || /^\.current(\..*)?-/.test(name);

/**
 * Lists as files: `<path>/<version>/` holds `users` and `items` as `.ndjson` or `.parquet` and `manifest.json`;
 * the file `<path>/current` holds the version to read, `<path>/current.<alias>` that of another alias.
 *
 * `vectors.safetensors` or `.parquet` holds vectors of items, where they are published.
 *
 * A version is written under a temporary name, fsynced and renamed, so a directory with a version's name is
 * complete; `connect` and `begin` delete what unfinished attempts left. There is no `get`: files are read whole.
 */
export function createFilesSink(options: FilesOptions, memoryBytes = 2 ** 28): Sink {
  return createVersionedSink(
    { name: 'files', where: options.path, options, form: rankedForm },
    new FileLists(options, memoryBytes),
  );
}

/** The versions below one directory. */
class FileLists implements ListStore<readonly RankedList[]> {
  readonly keepsVectors = true;
  readonly #root: string;
  readonly #format: FilesOptions['format'];
  readonly #vectorFormat: FilesOptions['vectors'];
  readonly #lease: ReturnType<typeof fileLease>;
  readonly #memoryBytes: number;

  constructor({ path, format, vectors, leaseMs }: FilesOptions, memoryBytes: number) {
    this.#root = path;
    this.#format = format;
    this.#vectorFormat = vectors;
    this.#memoryBytes = memoryBytes;
    this.#lease = fileLease(path, leaseMs);
  }

  #at(...names: string[]): string {
    return join(this.#root, ...names);
  }

  async open(access: Access, owner?: string): Promise<boolean> {
    if (access === 'read') return existsSync(this.#root);
    await mkdir(this.#root, { recursive: true });
    await this.#lease.tidy(owner);
    if (await this.#hasLeft()) await this.#lease.ifFree(newHolder(owner ?? 'nobody'), () => this.#clear());
    return true;
  }

  /** Whether there is anything that a crash may have left. */
  async #hasLeft(): Promise<boolean> {
    const names = await readdir(this.#root);
    if (names.some(isTemporary)) return true;
    const files = await Promise.all((await this.#complete()).map(m => readdir(this.#at(m.version))));
    return files.flat().some(isUnsettled);
  }

  close = async () => undefined;
  takeLease = (holder: string) => this.#lease.take(holder);
  renewLease = (holder: string) => this.#lease.renew(holder);
  releaseLease = (holder: string) => this.#lease.release(holder);

  async begin(
    version: string,
    { vectors }: Publication,
    holder: string,
  ): Promise<Draft<readonly RankedList[]>> {
    await this.#clear();
    const directory = this.#at(`${writing}${version}-${randomUUID()}`);
    await mkdir(directory);
    // Both may be Parquet, and are open together.
    const memory = vectors ? this.#memoryBytes / 2 : this.#memoryBytes;
    const vectorWriter = vectors && (await vectorsWriter(this.#vectorFormat, directory, vectors, memory));
    const writer = await listWriter(this.#format, directory, memory);
    let open = true;
    return {
      lists: { users: 0, items: 0 },
      async put(kind, lists) {
        await writer.write(kind, lists);
        return lists.length;
      },
      putVectors: async batch => vectorWriter?.write(batch),
      complete: async manifest => {
        // Whoever took it has deleted the directory.
        if (!(await this.#lease.renew(holder))) throw leaseLost();
        open = false;
        await writer.finish();
        await vectorWriter?.finish();
        const stored: StoredRows = { ...manifest, ...(await rowsOf(directory)) };
        await replaceText(directory, 'manifest.json', `${JSON.stringify(stored, null, 2)}\n`);
        await syncPath(directory);
        if (!(await this.#lease.renew(holder))) throw leaseLost();
        await renameDurably(directory, this.#at(version));
      },
      async abandon() {
        if (!open) return;
        await writer.abandon();
        await vectorWriter?.abandon();
      },
    };
  }

  /** Deletes what a crash left, and ends what it cut off. */
  async #clear(): Promise<void> {
    for (const name of (await readdir(this.#root)).filter(isTemporary))
      await rm(this.#at(name), { recursive: true, force: true });
    for (const { version } of await this.#complete()) await settle(this.#at(version));
  }

  /** The manifests of complete versions. Directories of somebody else lie beside them, perhaps with manifests. */
  async #complete(): Promise<StoredRows[]> {
    const found: StoredRows[] = [];
    for (const name of await readdir(this.#root)) {
      const manifest = name.startsWith('.') ? undefined : await readManifest(this.#at(name));
      if (manifest) found.push(manifest);
    }
    return found;
  }

  versions = async (): Promise<SinkVersion[]> => (await this.#complete()).map(m => sinkVersion(m));

  async #manifest(version: string): Promise<StoredRows> {
    const manifest = await readManifest(this.#at(version));
    if (!manifest) throw notComplete(version);
    return manifest;
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

  async point({ alias, version, expected, holder }: Move): Promise<void> {
    if (holder !== undefined && !(await this.#lease.renew(holder))) throw leaseLost();
    await assertWhole(this.#at(version), await this.#manifest(version));
    const before = await this.current(alias);
    assertExpected(alias, before, version, expected);
    await replaceText(this.#root, pointer(alias), `${version}\n`);
    if (await readManifest(this.#at(version))) return;
    // It was deleted at the same moment.
    if (before === undefined) await rm(this.#at(pointer(alias)), { force: true });
    else await replaceText(this.#root, pointer(alias), `${before}\n`);
    throw new Refusal(`version ${version} was just deleted; publish it again`);
  }

  /** Writes the files of every version again, without the ids; each takes the place of the old one with its number. */
  async forget(erased: ErasedIds): Promise<ForgottenLists> {
    await this.#clear();
    const total = { deleted: 0, rewritten: 0, remains: [] };
    for (const { version } of await this.versions()) {
      const at = this.#at(version);
      for (const kind of ['users', 'items'] as const) {
        const file = (await readdir(at)).find(name => name.startsWith(`${kind}.`));
        if (file === undefined) continue;
        await replaceFiles(at, async made => {
          const spared = await filterLists(at, made, file, kind, erased, this.#memoryBytes);
          total.deleted += spared.deleted;
          total.rewritten += spared.rewritten;
          const manifest = await this.#manifest(version);
          const count = manifest.lists[kind] - spared.deleted;
          const { rows } = await rowsOf(made);
          return {
            ...manifest,
            lists: { ...manifest.lists, [kind]: count },
            ...(rows && { rows: { ...manifest.rows, ...rows } }),
          };
        });
      }
      const manifest = await this.#manifest(version);
      const { vectors } = manifest;
      if (vectors)
        await replaceFiles(at, async made => ({
          ...manifest,
          vectors: await filterVectors(at, made, vectors, erased.items, this.#memoryBytes),
        }));
    }
    return total;
  }

  async remove(versions: readonly string[]): Promise<void> {
    for (const version of versions) {
      await renameDurably(this.#at(version), this.#at(leaving + version));
      // A pointer may have come to it at the same moment.
      if ([...(await this.pointers()).values()].includes(version))
        await renameDurably(this.#at(leaving + version), this.#at(version));
      else await rm(this.#at(leaving + version), { recursive: true, force: true });
    }
  }
}

/** The file that names the version of an alias. */
const pointer = (alias: string): string => (alias === champion ? 'current' : `current.${alias}`);
