import kafkajs, { type Kafka, type Message, type RecordMetadata } from 'kafkajs';
import type { EncodedLists, ListKind } from '../../src/contracts/sink.js';
import { storedValue } from '../../src/publish/encode.js';
import { SeenIds } from '../../src/publish/seen-ids.js';
import { type Admin, patiently } from './client.js';
import type { Offsets } from './models-topic.js';
import type { Topics } from './names.js';
import { type KeyedRecord, packRecords } from './packed-records.js';
import { openTail } from './tail.js';
import { beginTransaction, type OpenTransaction } from './transaction.js';

/** Records of one request. */
const perRequest = 2000;
const kinds: readonly ListKind[] = ['users', 'items'];

/** Identifies the records of one publication. */
export interface Stamp {
  readonly version: string;
  readonly publication: number;
}

/** Where an attempt writes to. */
export interface Place {
  readonly kafka: Kafka;
  readonly admin: Admin;
  readonly prefix: string;
  readonly topics: Topics;
  readonly group: string;
  readonly where: string;
  readonly compression: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
  readonly transactionMs: number;
}

const { CompressionTypes } = kafkajs;
const codecs = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};

const transactionOf = (prefix: string): string => `${prefix}.lists`;

/** Aborts the transaction that a dead publisher has left open. */
export async function endAbandoned(kafka: Kafka, prefix: string): Promise<void> {
  const open = await beginTransaction(kafka, transactionOf(prefix), 60_000);
  await open.abandon();
}

/** Begins a publication, and fences every earlier publisher of the prefix. */
export async function beginPublication(place: Place, stamp: Stamp): Promise<OpenPublication> {
  const { kafka, admin, topics } = place;
  const beganAt = Date.now();
  const open = await beginTransaction(kafka, transactionOf(place.prefix), place.transactionMs);
  const highs = async (topic: string): Promise<number[]> => {
    const found = await patiently(() => admin.fetchTopicOffsets(topic));
    return [...found].sort((a, b) => a.partition - b.partition).map(o => Number(o.high));
  };
  const [weights, users, items] = await Promise.all([
    highs(topics.weights),
    highs(topics.lists.users),
    highs(topics.lists.items),
  ]).catch(async error => {
    await open.abandon();
    throw error;
  });
  return new OpenPublication(place, stamp, beganAt, open, { weights, users, items });
}

/**
 * Lists and weights of one publication on their way into the topics, all in the transaction `#open`. `#ends` holds the
 * offsets after the newest records, `#seen` every id that a record was sent for.
 */
export class OpenPublication {
  readonly lists: Record<ListKind, number> = { users: 0, items: 0 };
  readonly #place: Place;
  readonly #open: OpenTransaction;
  readonly #ends: Record<keyof Offsets, number[]>;
  readonly #seen: Record<ListKind, SeenIds> = { users: new SeenIds(), items: new SeenIds() };

  constructor(
    place: Place,
    readonly stamp: Stamp,
    /** Epoch ms. */
    readonly beganAt: number,
    open: OpenTransaction,
    readonly starts: Offsets,
  ) {
    this.#place = place;
    this.#open = open;
    this.#ends = { weights: [...starts.weights], users: [...starts.users], items: [...starts.items] };
  }

  async #produce(
    kind: keyof Offsets,
    messages: Message[],
    sizes: ReadonlyMap<number, number>,
  ): Promise<void> {
    const { topics, compression } = this.#place;
    const sent: RecordMetadata[] = await this.#open.transaction.send({
      topic: kind === 'weights' ? topics.weights : topics.lists[kind],
      messages,
      acks: -1,
      compression: codecs[compression],
    });
    for (const { partition, baseOffset } of sent)
      this.#ends[kind][partition] = Number(baseOffset) + (sizes.get(partition) ?? 0);
  }

  async #send(kind: ListKind, records: readonly KeyedRecord[]): Promise<void> {
    const partitions = this.starts[kind].length;
    const header = ['model-version', this.stamp.version] as const;
    for (let from = 0; from < records.length; from += perRequest) {
      const packed = packRecords(records.slice(from, from + perRequest), partitions, header);
      await this.#produce(kind, packed.messages, packed.sizes);
    }
  }

  async write(kind: ListKind, encoded: EncodedLists): Promise<void> {
    const { ids } = encoded;
    await this.#send(
      kind,
      ids.map((id, r) => ({ id: Buffer.from(id), value: storedValue(encoded, r) })),
    );
    for (const id of ids) this.#seen[kind].add(id);
    this.lists[kind] += ids.length;
  }

  /** Sends records as they are, under keys that are ids. A value of null is a tombstone. */
  async send(kind: ListKind, records: readonly KeyedRecord[]): Promise<void> {
    await this.#send(kind, records);
    for (const { id } of records) this.#seen[kind].add(id.toString());
  }

  async sendWeights(messages: Message[]): Promise<void> {
    for (const message of messages)
      await this.#produce('weights', [{ ...message, partition: 0 }], new Map([[0, 1]]));
  }

  /** Sends tombstones for the lists from `since` on whose ids have not been sent. */
  async dropVanished(since: Pick<Offsets, ListKind> | undefined): Promise<void> {
    for (const kind of kinds) {
      const from = since?.[kind];
      if (this.starts[kind].every((end, p) => end <= (from?.[p] ?? 0))) continue;
      const gone = await this.#vanished(kind, from);
      await this.#send(
        kind,
        gone.map(id => ({ id: Buffer.from(id), value: null })),
      );
    }
  }

  /** Ids of lists from the offsets `from` on that this publication has not sent. */
  async #vanished(kind: ListKind, from: readonly number[] | undefined): Promise<string[]> {
    const gone = new Set<string>();
    const seen = this.#seen[kind];
    const topic = this.#place.topics.lists[kind];
    const until = new Map([[topic, this.starts[kind]]]);
    const tail = await openTail(this.#place.kafka, this.#place, new Map([[topic, from]]), {
      record({ message: { key, value } }) {
        const id = key!.toString();
        if (value === null) gone.delete(id);
        else if (!seen.has(id)) gone.add(id);
      },
    });
    await tail.passed(until).finally(() => tail.close());
    return [...gone];
  }

  /**
   * Sends the records that `announce` makes of the ends of this publication, then commits: readers see everything at
   * once. Returns the offset after those records.
   */
  async commit(announce: (ends: Offsets) => Message[]): Promise<number> {
    const messages = announce(this.#ends);
    const topic = this.#place.topics.models;
    const [sent] = await this.#open.transaction.send({ topic, messages, acks: -1 });
    await this.#open.commit();
    return Number(sent!.baseOffset) + messages.length;
  }

  abandon(): Promise<void> {
    return this.#open.abandon();
  }
}
