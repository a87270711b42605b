import type { KafkaMessage } from 'kafkajs';
import { champion, type ListKind, type RankedList } from '../../src/contracts/sink.js';
import { StageError } from '../../src/errors.js';
import { decodeList } from '../../src/publish/decode.js';
import { Bell } from '../../src/runtime/bell.js';
import { isWhole, ModelsState, type VersionRecord } from './models-topic.js';
import { type KafkaAccess, openReading, type ReaderOptions, type Reading } from './reader.js';
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

/** The settings of a follower itself. */
type FollowSettings = { readonly [K in 'kinds' | 'encoding' | 'onVersion']: FollowOptions[K] | undefined };

type Lists = Readonly<Record<ListKind, Map<string, Buffer>>>;
const noLists = (): Lists => ({ users: new Map(), items: new Map() });

/**
 * Lists of an alias, from the tails of the models topic and of the list topics. `#waiting` holds lists by version until
 * `#settle` finds that the alias names the version and that all of them have come; then they become `#current`, whole.
 * `#opening` is the last of the openings of the list topics, which follow one another.
 */
class Follower implements FollowedLists {
  readonly #reading: Reading;
  readonly #alias: string;
  readonly #kinds: readonly ListKind[];
  readonly #encoding: 'json' | 'msgpack';
  readonly #onVersion: ((version: string) => void) | undefined;
  readonly #kindOf: ReadonlyMap<string, ListKind>;
  readonly #state = new ModelsState();
  readonly #waiting = new Map<string, Lists>();
  readonly #bell = new Bell();
  #current: { readonly record: VersionRecord; readonly lists: Lists } | undefined;
  #models: Tail | undefined;
  #lists: Tail | undefined;
  #opening = Promise.resolve();
  /** The publication whose lists were read a second time. */
  #reloaded: number | undefined;
  #failure: StageError | undefined;
  #closed = false;

  constructor(reading: Reading, alias: string, options: FollowSettings) {
    const { kinds = ['users', 'items'], encoding = 'json', onVersion } = options;
    this.#reading = reading;
    this.#alias = alias;
    this.#kinds = kinds;
    this.#encoding = encoding;
    this.#onVersion = onVersion;
    this.#kindOf = new Map(kinds.map(kind => [reading.topics.lists[kind], kind] as const));
  }

  async open(): Promise<void> {
    const { kafka, topics, ...rest } = this.#reading;
    this.#models = await openTail(kafka, rest, new Map([[topics.models, undefined]]), {
      record: ({ message }) => {
        this.#state.apply(message);
        if (message.value === null) this.#waiting.delete(message.key?.toString() ?? '');
      },
      moved: () => {
        if (!this.#target) return;
        this.#trim();
        if (!this.#lists) this.#look();
        this.#settle();
      },
      failed: error => this.#fail(error),
    });
    try {
      await this.#models.caughtUp();
      await this.#opening;
      const record = this.#target;
      if (record && this.#lists)
        await this.#lists.passed(new Map(this.#kinds.map(kind => [topics.lists[kind], record.ends[kind]])));
      this.#settle();
      if (this.#failure) throw this.#failure;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** The version that the alias names now. */
  get #target(): VersionRecord | undefined {
    return this.#state.of(this.#alias);
  }

  #fail(error: StageError): void {
    if (!this.#closed) this.#failure ??= error;
    this.#bell.ring();
  }

  #take(topic: string, { key, value, headers }: KafkaMessage): void {
    const [kind, version] = [this.#kindOf.get(topic)!, headers?.['model-version']?.toString() ?? ''];
    let to = this.#listsOf(version);
    if (!to) {
      to = noLists();
      this.#waiting.set(version, to);
    }
    if (value === null) to[kind].delete(key!.toString());
    else to[kind].set(key!.toString(), value);
  }

  #listsOf(version: string): Lists | undefined {
    return this.#current?.record.version === version ? this.#current.lists : this.#waiting.get(version);
  }

  /** Switches to the version that the alias names, if all of it is here. */
  #settle(): void {
    const record = this.#target;
    const tail = this.#lists;
    if (!record || !tail || record.publication === this.#current?.record.publication) return;
    for (const kind of this.#kinds) {
      const position = tail.position(this.#reading.topics.lists[kind]);
      if (record.ends[kind].some((end, p) => position[p]! < end)) return;
    }
    const came = this.#listsOf(record.version) ?? noLists();
    const missing = this.#kinds.some(kind => came[kind].size < record.lists[kind]);
    if (missing && !record.amended && this.#reloaded !== record.publication) {
      this.#reloaded = record.publication;
      this.#look();
      return;
    }
    const short = this.#kinds.find(kind => !record.amended && came[kind].size !== record.lists[kind]);
    if (short || !isWhole(record)) {
      this.#fail(this.#overwritten(record));
      return;
    }
    this.#current = { record, lists: came };
    this.#waiting.delete(record.version);
    this.#trim();
    this.#onVersion?.(record.version);
    this.#bell.ring();
  }

  #overwritten({ version, lists }: VersionRecord): StageError {
    const expected = `${lists.users} lists of users and ${lists.items} of items`;
    const found = 'that others have overwritten them; publish it again';
    return new StageError(
      'VERSION_UNKNOWN',
      `${this.#reading.where}: version ${version}: expected ${expected}, found ${found}`,
    );
  }

  /** Opens the list topics at the start of the alias's version; opens them again if lists of it were dropped before. */
  async #openLists(): Promise<void> {
    const record = this.#target;
    if (!record || this.#closed || (this.#lists && this.#reloaded !== record.publication)) return;
    await this.#lists?.close();
    this.#lists = undefined;
    this.#waiting.clear();
    const { kafka, topics, ...rest } = this.#reading;
    const starts = new Map(this.#kinds.map(kind => [topics.lists[kind], record.starts[kind]]));
    this.#lists = await openTail(kafka, rest, starts, {
      record: ({ topic, message }) => this.#take(topic, message),
      moved: () => this.#settle(),
      failed: error => this.#fail(error),
    });
    this.#settle();
  }

  #look(): void {
    this.#opening = this.#opening.then(() => this.#openLists()).catch(error => this.#fail(error));
  }

  /** Drops waiting lists of versions older than the newest: an alias can name those only after a new publication. */
  #trim(): void {
    const [target, newest] = [this.#target?.version, this.#state.newest?.publication ?? 0];
    for (const version of this.#waiting.keys())
      if (version !== target && (this.#state.versions.get(version)?.publication ?? newest) < newest)
        this.#waiting.delete(version);
  }

  get version(): string | undefined {
    return this.#current?.record.version;
  }

  get publication(): number | undefined {
    return this.#current?.record.publication;
  }

  get(kind: ListKind, id: string): RankedList | undefined {
    if (this.#failure) throw this.#failure;
    const bytes = this.#current?.lists[kind].get(id);
    if (!bytes) return undefined;
    const { items, scores, fallback } = decodeList(bytes, this.#encoding);
    return { id, items, scores, ...(fallback ? { fallback } : {}) };
  }

  size(kind: ListKind): number {
    return this.#current?.lists[kind].size ?? 0;
  }

  ids(kind: ListKind): IterableIterator<string> {
    return (this.#current?.lists[kind] ?? noLists()[kind]).keys();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<string> {
    for (let told: number | undefined; !this.#closed; ) {
      if (this.#failure) throw this.#failure;
      if (this.#current && this.#current.record.publication !== told) {
        told = this.#current.record.publication;
        yield this.#current.record.version;
      } else await this.#bell.wait();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#models?.close();
    await this.#opening;
    await this.#lists?.close();
    this.#bell.ring();
  }
}

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
  { kinds, encoding, onVersion, ...options }: FollowOptions = {},
): Promise<FollowedLists> {
  const follower = new Follower(openReading(access, options), alias, { kinds, encoding, onVersion });
  await follower.open();
  return follower;
}
