import { randomUUID } from 'node:crypto';
import {
  champion,
  type EncodedLists,
  type ListFormat,
  type ListKind,
  live,
  type Publication,
  type Sink,
  type SinkVersion,
} from '../../src/contracts/sink.js';
import { decodeList } from '../../src/publish/decode.js';
import { encodeRanked, hashRange, storedValue } from '../../src/publish/encode.js';
import { checkAlias, checkVersion } from '../../src/publish/layout.js';
import { superseded } from '../../src/publish/retention.js';
import { SeenIds } from '../../src/publish/seen-ids.js';
import { conflict, limitsOf, refused, sinkSteps, sinkVersion } from '../../src/publish/sink-steps.js';
import { type LmdbOptions, lmdbOptions } from './options.js';
import { LmdbStore } from './store.js';

export { type LmdbOptions, lmdbOptions };

/** Bytes that LMDB takes for a list beside key and value, half-full pages included (measured). */
const overheadBytes = 250;

interface Attempt {
  readonly publication: Publication;
  /** Version under whose keys the lists are written. */
  readonly target: string;
  readonly seen: SeenIds;
  readonly lists: Record<ListKind, number>;
  renewedAt: number;
}

/**
 * Lists in an embedded LMDB environment, which other processes read while a version is published.
 *
 * `<prefix>:<version>:u:<user>` and `…:i:<item>` hold the lists, `<prefix>:<version>` the manifest once the version is
 * complete, `<prefix>:current` the version to read. Msgpack values are plain maps: a reader that uses msgpackr or lmdb
 * sets `useRecords: false` to get objects.
 */
export function createLmdbSink(options: LmdbOptions): Sink {
  const where = `LMDB ${options.path}, prefix ${options.prefix}`;
  const step = sinkSteps(where);
  const inPlace = options.mode === 'inplace';
  const format: ListFormat = { encoding: options.encoding, stamped: inPlace };
  let opened: LmdbStore | undefined;
  let attempt: Attempt | undefined;
  let owner = '';

  function connected(): LmdbStore {
    if (opened === undefined) throw new Error('a sink that is not connected');
    return opened;
  }

  function begun(): Attempt {
    if (attempt === undefined) throw new Error('no version begun');
    return attempt;
  }

  /** Lets go of the lease, also of one that a process of this owner left when it died. */
  async function end(): Promise<void> {
    attempt = undefined;
    await opened?.flushed();
    await opened?.releaseLease(owner);
  }

  /** What there is of an attempt at `publication`; deletes every other one that was not completed. */
  async function claimed(store: LmdbStore, target: string, { content }: Publication) {
    if (!inPlace && store.mark(target)) throw new Error('that it is complete already');
    let lists = { users: 0, items: 0 };
    for (const version of store.versions()) {
      if (version === live || store.mark(version)) continue;
      const found = store.progress(version);
      if (version === target && content !== undefined && found?.content === content)
        lists = { ...found.lists };
      else await store.discard(version);
    }
    return lists;
  }

  async function write(kind: ListKind, encoded: EncodedLists): Promise<number> {
    const [store, current] = [connected(), begun()];
    if (Date.now() - current.renewedAt > options.leaseMs / 3) {
      const other = await store.takeLease(owner, options.leaseMs);
      if (other !== undefined) throw refused(other);
      current.renewedAt = Date.now();
    }
    const { target, seen, lists, publication } = current;
    const { ids } = encoded;
    lists[kind] += ids.length;
    if (!inPlace) {
      await store.put(target, kind, encoded, ids.keys(), { ...publication, lists: { ...lists } });
      return ids.length;
    }
    const [from, to] = hashRange(format);
    const changed = [...ids.keys()].filter(r => {
      const found = store.bytesOf(live, kind, ids[r]!);
      return found?.toString('latin1', from, to) !== storedValue(encoded, r).toString('latin1', from, to);
    });
    for (const id of ids) seen.add(store.suffix(live, kind, id));
    await store.put(live, kind, encoded, changed);
    return changed.length;
  }

  const held = (store: LmdbStore): SinkVersion[] =>
    store.versions().flatMap(version => {
      const complete = store.mark(version);
      const found = complete ?? store.progress(version);
      return found ? [sinkVersion(found, complete !== undefined, version)] : [];
    });

  return {
    name: 'lmdb',
    ...limitsOf(options),
    format,
    inPlace,
    overheadBytes,

    connect: (named = randomUUID()) =>
      step(`an LMDB environment with ${options.encoding} values`, async () => {
        try {
          if (!opened) owner = named;
          opened ??= new LmdbStore(options);
          opened.current();
        } catch (error) {
          await opened?.close();
          opened = undefined;
          throw error;
        }
      }),

    begin: publication =>
      step(`to begin version ${publication.version}`, async () => {
        const store = connected();
        checkVersion(publication.version, where);
        await end();
        const other = await store.takeLease(owner, options.leaseMs);
        if (other !== undefined) throw refused(other);
        const target = inPlace ? live : publication.version;
        const lists = { users: 0, items: 0 };
        attempt = { publication, target, seen: new SeenIds(), lists, renewedAt: Date.now() };
        try {
          Object.assign(lists, await claimed(store, target, publication));
        } catch (error) {
          await end();
          throw error;
        }
        return { ...lists };
      }),

    write: (kind, lists) =>
      step(`to write lists of ${kind}`, () => {
        const { publication } = begun();
        return write(kind, encodeRanked(lists, format, publication.version));
      }),

    writeEncoded: (kind, lists) => step(`to write lists of ${kind}`, () => write(kind, lists)),

    finish: () =>
      step('to finish the version', async () => {
        const store = connected();
        const { publication, target, seen, lists } = begun();
        if (inPlace) await store.sweep(live, key => seen.has(key));
        await store.flushed();
        if (!(await store.complete(target, { ...publication, lists }, owner)))
          throw new Error('that the lease was lost: another publisher is writing here');
      }),

    point: (version, alias = champion, expected) =>
      step(`to point ${alias} at version ${version}`, async () => {
        checkVersion(version, where);
        checkAlias(alias);
        const outcome = await connected().point(alias, inPlace ? live : version, expected);
        if (outcome?.missing) throw new Error('no such version or an unfinished one');
        if (outcome?.found !== undefined) throw conflict(alias, outcome.found, expected ?? null);
      }),

    current: alias => step('to read the pointer', () => connected().current(alias)),
    pointers: () => step('to read the pointers', () => connected().pointers()),
    versions: () => step('to read the versions', () => held(connected())),

    get: (kind, id, alias) =>
      step(`to read the list of ${id}`, () => {
        const store = connected();
        const version = store.current(alias);
        const found = version === undefined ? undefined : store.bytesOf(version, kind, id);
        if (!found) return undefined;
        const { items, scores, fallback } = decodeList(found, options.encoding);
        return { id, items, scores, ...(fallback ? { fallback } : {}) };
      }),

    amend: (version, kind, { lists, gone, change }) =>
      step(`to amend version ${version}`, async () => {
        const store = connected();
        const mark = store.mark(version);
        if (!mark) throw new Error('no such version or an unfinished one');
        const encoded = encodeRanked(lists, format, mark.version);
        const added = lists.filter(list => store.bytesOf(version, kind, list.id) === undefined).length;
        const removed = gone.filter(id => store.bytesOf(version, kind, id) !== undefined).length;
        await store.put(version, kind, encoded, lists.keys());
        await store.remove(version, kind, gone);
        const counts = { ...mark.lists, [kind]: mark.lists[kind] + added - removed };
        await store.setMark(version, { ...mark, lists: counts, ...(change === undefined ? {} : { change }) });
      }),

    prune: keep =>
      step('to delete superseded versions', async () => {
        const store = connected();
        const old = superseded(held(store), store.pointers().values(), keep);
        for (const version of old)
          if (![...store.pointers().values()].includes(version)) await store.discard(version);
      }),

    async close() {
      await end().catch(() => undefined);
      const store = opened;
      opened = undefined;
      await store?.close();
    },
  };
}
