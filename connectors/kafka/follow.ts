import type { KafkaMessage } from 'kafkajs';
import { champion, type ListKind, type RankedList } from '../../src/contracts/sink.js';
import { StageError } from '../../src/errors.js';
import { decodeList } from '../../src/publish/decode.js';
import { isWhole, ModelsState, type VersionRecord } from './models-topic.js';
import { type KafkaAccess, openReading, type ReaderOptions } from './reader.js';
import { openTail, type Tail } from './tail.js';

/** Settings of a follower. */
export interface FollowOptions extends ReaderOptions {
  /** Kinds of lists to hold; both by default. */
  readonly kinds?: readonly ListKind[];
  /** How the sink encodes. Default json. */
  readonly encoding?: 'json' | 'msgpack';
  /** Hears of each version when all of its lists are here, and no list of another is. */
  readonly onVersion?: (version: string) => void;
}

/** The lists of the version that an alias names, in memory: always of one whole version. */
export interface FollowedLists extends AsyncIterable<string> {
  /** The version the lists are of; `undefined` until there is a whole one. */
  readonly version: string | undefined;
  readonly publication: number | undefined;
  get(kind: ListKind, id: string): RankedList | undefined;
  size(kind: ListKind): number;
  ids(kind: ListKind): IterableIterator<string>;
  close(): Promise<void>;
}

type Lists = Readonly<Record<ListKind, Map<string, Buffer>>>;
const noLists = (): Lists => ({ users: new Map(), items: new Map() });

/**
 * Follows the lists of an alias. Records wait under their version until the models topic says that
 * the alias names it, and all of them have come; then they replace what was there, at once. A single list that is
 * amended later is replaced by itself. Iterating gives each version that comes, the last one if several did.
 *
 * @throws StageError `SOURCE_UNREADABLE` when the topics cannot be read, `VERSION_UNKNOWN` when the lists of the version
 *   were overwritten so long ago that they may be incomplete.
 */
export async function followLists(
  access: KafkaAccess,
  alias = champion,
  { kinds = ['users', 'items'], encoding = 'json', onVersion, ...options }: FollowOptions = {},
): Promise<FollowedLists> {
  const { kafka, topics, ...rest } = openReading(access, options);
  const state = new ModelsState();
  const waiting = new Map<string, Lists>();
  const kindOf = new Map(kinds.map(kind => [topics.lists[kind], kind] as const));
  let current: { readonly record: VersionRecord; readonly lists: Lists } | undefined;
  let lists: Tail | undefined;
  let failure: StageError | undefined;
  let reloaded: number | undefined;
  let closed = false;
  let opening = Promise.resolve();
  const changed: (() => void)[] = [];

  const wake = (): void => {
    for (const go of changed.splice(0)) go();
  };
  function fail(error: StageError): void {
    if (!closed) failure ??= error;
    wake();
  }

  function take(topic: string, { key, value, headers }: KafkaMessage): void {
    const [kind, version] = [kindOf.get(topic)!, headers?.['model-version']?.toString() ?? ''];
    let to = current?.record.version === version ? current.lists : waiting.get(version);
    if (!to) {
      to = noLists();
      waiting.set(version, to);
    }
    if (value === null) to[kind].delete(key!.toString());
    else to[kind].set(key!.toString(), value);
  }

  /** Switches to the version that the alias names, if all of it is here. */
  function settle(): void {
    const record = state.of(alias);
    if (!record || !lists || record.publication === current?.record.publication) return;
    for (const kind of kinds) {
      const position = lists.position(topics.lists[kind]);
      if (record.ends[kind].some((end, p) => position[p]! < end)) return;
    }
    const came =
      (current?.record.version === record.version ? current.lists : waiting.get(record.version)) ?? noLists();
    const missing = kinds.some(kind => came[kind].size < record.lists[kind]);
    if (missing && !record.amended && reloaded !== record.publication) {
      reloaded = record.publication;
      look();
      return;
    }
    const short = kinds.find(kind => !record.amended && came[kind].size !== record.lists[kind]);
    if (short || !isWhole(record)) {
      const expected = `${record.lists.users} lists of users and ${record.lists.items} of items`;
      const found = 'that others have overwritten them; publish it again';
      fail(
        new StageError(
          'VERSION_UNKNOWN',
          `${rest.where}: version ${record.version}: expected ${expected}, found ${found}`,
        ),
      );
      return;
    }
    current = { record, lists: came };
    waiting.delete(record.version);
    trim();
    onVersion?.(record.version);
    wake();
  }

  /** Opens the list topics where the alias's version begins; again, if what was let go of is wanted after all. */
  async function openLists(): Promise<void> {
    const record = state.of(alias);
    if (!record || closed || (lists && reloaded !== record.publication)) return;
    await lists?.close();
    lists = undefined;
    waiting.clear();
    const starts = new Map(kinds.map(kind => [topics.lists[kind], record.starts[kind]]));
    lists = await openTail(kafka, rest, starts, {
      record: ({ topic, message }) => take(topic, message),
      moved: settle,
      failed: fail,
    });
    settle();
  }
  function look(): void {
    opening = opening.then(openLists).catch(fail);
  }
  /** Lets go of lists that the alias can no longer come to name without their being written again. */
  function trim(): void {
    const [target, newest] = [state.of(alias)?.version, state.newest?.publication ?? 0];
    for (const version of waiting.keys())
      if (version !== target && (state.versions.get(version)?.publication ?? newest) < newest)
        waiting.delete(version);
  }
  const models = await openTail(kafka, rest, new Map([[topics.models, undefined]]), {
    record({ message }) {
      state.apply(message);
      if (message.value === null) waiting.delete(message.key?.toString() ?? '');
    },
    moved() {
      if (!state.of(alias)) return;
      trim();
      if (!lists) look();
      settle();
    },
    failed: fail,
  });
  async function close(): Promise<void> {
    closed = true;
    await models.close();
    await opening;
    await lists?.close();
    wake();
  }
  try {
    await models.caughtUp();
    await opening;
    const record = state.of(alias);
    if (record && lists)
      await (lists as Tail).passed(new Map(kinds.map(kind => [topics.lists[kind], record.ends[kind]])));
    settle();
    if (failure) throw failure;
  } catch (error) {
    await close();
    throw error;
  }

  return {
    get version() {
      return current?.record.version;
    },
    get publication() {
      return current?.record.publication;
    },
    get(kind, id) {
      if (failure) throw failure;
      const bytes = current?.lists[kind].get(id);
      if (!bytes) return undefined;
      const { items, scores, fallback } = decodeList(bytes, encoding);
      return { id, items, scores, ...(fallback ? { fallback } : {}) };
    },
    size: kind => current?.lists[kind].size ?? 0,
    ids: kind => (current?.lists[kind] ?? noLists()[kind]).keys(),
    async *[Symbol.asyncIterator]() {
      for (let told: number | undefined; !closed; ) {
        if (failure) throw failure;
        if (current && current.record.publication !== told) {
          told = current.record.publication;
          yield current.record.version;
        } else await new Promise<void>(done => changed.push(done));
      }
    },
    close,
  };
}
