import { randomUUID } from 'node:crypto';
import type { Kafka, KafkaMessage } from 'kafkajs';
import { StageError } from '../../src/errors.js';
import { Bell } from '../../src/runtime/bell.js';
import { type Admin, type Consumer, kafkaError, patiently } from './client.js';

/** First offset to read, a partition; of partitions without one, and of topics without any, the earliest. */
export type Starts = ReadonlyMap<string, readonly number[] | undefined>;

/** A record of a topic. */
export interface TailRecord {
  readonly topic: string;
  readonly partition: number;
  readonly message: KafkaMessage;
}

/** How to wait for records. */
export interface Waiting {
  readonly signal?: AbortSignal | undefined;
  /**
   * Asked each time that nothing has come for `emptyMs`, though something is there: compaction has left nothing before
   * the end, or a transaction has not ended yet. Says whether to wait on.
   */
  readonly stalled?: () => Promise<boolean>;
}

/** Calls that a tail makes. */
export interface TailEvents {
  record(record: TailRecord): void;
  /** Called after each batch. */
  moved?(): void;
  /** Called when the topics cannot be read any longer; waits throw the same. */
  failed?(error: StageError): void;
}

/** A broker that is silent for longer is gone. */
const silenceMs = 30_000;
/** A wait is `stalled` after this many fetches, and this long, without a record. */
const [emptyFetches, emptyMs] = [20, 5_000];

type Ends = ReadonlyMap<string, readonly number[]>;

/**
 * A consumer that reads all partitions of some topics. `#positions` holds, for each partition, the offset of the next record; it only
 * grows, and everything before it was handed out. After `#failure` is set, every wait throws it.
 */
export class Tail {
  readonly #admin: Admin;
  readonly #consumer: Consumer;
  readonly #where: string;
  readonly #events: TailEvents;
  readonly #positions = new Map<string, number[]>();
  readonly #bell = new Bell();
  /** When the broker last answered, and when a position last moved, epoch ms. */
  #heardAt = Date.now();
  #movedAt = Date.now();
  /** Fetches since a position moved. */
  #fetches = 0;
  #failure: StageError | undefined;

  constructor(kafka: Kafka, group: string, where: string, events: TailEvents) {
    this.#admin = kafka.admin();
    this.#consumer = kafka.consumer({
      groupId: `${group}-${randomUUID()}`,
      maxWaitTimeInMs: 100,
      sessionTimeout: 10_000,
      heartbeatInterval: 2000,
      retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 5 },
    });
    this.#where = where;
    this.#events = events;
  }

  async open(starts: Starts): Promise<void> {
    try {
      await this.#admin.connect();
      for (const [topic, from] of starts) {
        const found = await this.#offsetsOf(topic);
        const first = found.map(({ partition, low }) => Math.max(Number(low), from?.[partition] ?? 0));
        this.#positions.set(topic, first);
      }
      this.#listen();
      await this.#consumer.connect();
      await this.#consumer.subscribe({ topics: [...starts.keys()], fromBeginning: true });
      await this.#consumer.run({
        autoCommit: false,
        eachBatch: async ({ batch, isStale }) => {
          if (isStale()) return; // it comes again
          const { topic, partition, messages } = batch;
          const next = this.#positions.get(topic)![partition]!;
          for (const message of messages)
            if (Number(message.offset) >= next) this.#events.record({ topic, partition, message });
          this.#advance(topic, partition, Number(batch.lastOffset()) + 1);
        },
      });
    } catch (error) {
      await this.close();
      throw kafkaError(error, this.#where);
    }
  }

  #offsetsOf(topic: string) {
    return patiently(() => this.#admin.fetchTopicOffsets(topic)).then(found =>
      [...found].sort((a, b) => a.partition - b.partition),
    );
  }

  #listen(): void {
    const { on, events, seek } = this.#consumer;
    on(events.GROUP_JOIN, ({ payload }) => {
      for (const [topic, partitions] of Object.entries(payload.memberAssignment))
        for (const partition of partitions)
          seek({ topic, partition, offset: String(this.#positions.get(topic)![partition]) });
      this.#heardAt = Date.now();
    });
    on(events.HEARTBEAT, () => {
      this.#heardAt = Date.now();
    });
    on(events.FETCH, () => {
      this.#heardAt = Date.now();
      this.#fetches++;
      this.#bell.ring();
    });
    on(events.CRASH, ({ payload }) => {
      if (!payload.restart) this.#fail(payload.error);
    });
    // Transaction markers and aborted records are handed to nobody, but move the position.
    on(events.END_BATCH_PROCESS, ({ payload }) => {
      if (payload.batchSize === 0)
        this.#advance(payload.topic, payload.partition, Number(payload.lastOffset) + 1);
    });
  }

  #advance(topic: string, partition: number, next: number): void {
    const position = this.#positions.get(topic);
    if (!position || next <= position[partition]!) return;
    position[partition] = next;
    this.#movedAt = Date.now();
    this.#fetches = 0;
    this.#events.moved?.();
    this.#bell.ring();
  }

  #fail(error: unknown): void {
    this.#failure ??= kafkaError(error, this.#where);
    this.#events.failed?.(this.#failure);
    this.#bell.ring();
  }

  /** Offset of the next record of each partition. */
  position(topic: string): readonly number[] {
    return this.#positions.get(topic) ?? [];
  }

  /** Waits until everything before `ends` has come. */
  passed(ends: Ends, { signal, stalled = async () => true }: Waiting = {}): Promise<void> {
    return this.#wait(ends, signal, stalled);
  }

  /** Waits until everything that is committed now has come. Gives up if it stalls, unless `stalled` says to wait on. */
  async caughtUp({ signal, stalled = async () => false }: Waiting = {}): Promise<void> {
    try {
      const ends = new Map<string, number[]>();
      for (const topic of this.#positions.keys())
        ends.set(
          topic,
          (await this.#offsetsOf(topic)).map(o => Number(o.high)),
        );
      await this.#wait(ends, signal, stalled);
    } catch (error) {
      throw this.#failure ?? kafkaError(error, this.#where);
    }
  }

  #isBehind(ends: Ends): boolean {
    return [...ends].some(([topic, all]) => {
      const position = this.#positions.get(topic);
      return all.some((end, p) => (position?.[p] ?? end) < end);
    });
  }

  async #wait(ends: Ends, signal: AbortSignal | undefined, stalled: () => Promise<boolean>): Promise<void> {
    let since = Date.now();
    this.#fetches = 0;
    while (this.#isBehind(ends)) {
      if (this.#failure) throw this.#failure;
      signal?.throwIfAborted();
      const now = Date.now();
      if (now - Math.max(this.#heardAt, since) > silenceMs)
        throw new StageError('SOURCE_UNREADABLE', `${this.#where}: the broker has not answered for long`);
      if (this.#fetches > emptyFetches && now - Math.max(this.#movedAt, since) > emptyMs) {
        if (!(await stalled())) return;
        since = Date.now();
        this.#fetches = 0;
      } else await this.#bell.wait(100);
    }
    if (this.#failure) throw this.#failure;
  }

  async close(): Promise<void> {
    this.#failure ??= new StageError('INTERRUPTED', `${this.#where}: closed`);
    this.#bell.ring();
    await this.#consumer.disconnect().catch(() => undefined);
    await this.#admin.disconnect().catch(() => undefined);
  }
}

/**
 * Reads topics outside any lasting group, committed records only. It joins a group under a new name, because that is
 * how the client reads; nothing is committed to it and the broker forgets it.
 *
 * @throws StageError `SOURCE_UNREADABLE` when a topic is missing or the broker cannot be reached.
 */
export async function openTail(
  kafka: Kafka,
  { group, where }: { readonly group: string; readonly where: string },
  starts: Starts,
  events: TailEvents,
): Promise<Tail> {
  const tail = new Tail(kafka, group, where, events);
  await tail.open(starts);
  return tail;
}
