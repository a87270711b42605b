import { randomUUID } from 'node:crypto';
import type { Kafka, KafkaMessage } from 'kafkajs';
import { StageError } from '../../src/errors.js';
import { kafkaError, patiently } from './client.js';

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

/** Topics that are read whole, all partitions, from some offsets on. */
export interface Tail {
  /** Offset of the next record of each partition. */
  position(topic: string): readonly number[];
  /** Waits until everything that is committed now has come; asks `stalled` whether what does not come is worth it. */
  caughtUp(options?: Waiting): Promise<void>;
  /** Waits until everything before `ends` has come. */
  passed(ends: ReadonlyMap<string, readonly number[]>, options?: Waiting): Promise<void>;
  close(): Promise<void>;
}

/** What a tail tells. */
export interface TailEvents {
  record(record: TailRecord): void;
  /** After each batch. */
  moved?(): void;
  /** It cannot be read any longer; waits throw the same. */
  failed?(error: StageError): void;
}

/** A broker that was silent for so long is gone. */
const silenceMs = 30_000;
/** Fetches after which, and time in which, what gives nothing is asked about. */
const [emptyFetches, emptyMs] = [20, 5_000];

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
  const admin = kafka.admin();
  const consumer = kafka.consumer({
    groupId: `${group}-${randomUUID()}`,
    maxWaitTimeInMs: 100,
    sessionTimeout: 10_000,
    heartbeatInterval: 2000,
    retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 5 },
  });
  const positions = new Map<string, number[]>();
  let [heardAt, movedAt, fetches] = [Date.now(), Date.now(), 0];
  let failure: StageError | undefined;
  const changed: (() => void)[] = [];

  const wake = (): void => {
    for (const go of changed.splice(0)) go();
  };
  const offsetsOf = (topic: string) =>
    patiently(() => admin.fetchTopicOffsets(topic)).then(found =>
      [...found].sort((a, b) => a.partition - b.partition),
    );
  function advance(topic: string, partition: number, next: number): void {
    const position = positions.get(topic);
    if (!position || next <= position[partition]!) return;
    position[partition] = next;
    movedAt = Date.now();
    fetches = 0;
    events.moved?.();
    wake();
  }
  function fail(error: unknown): void {
    failure ??= kafkaError(error, where);
    events.failed?.(failure);
    wake();
  }
  function listen(): void {
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      for (const [topic, partitions] of Object.entries(payload.memberAssignment))
        for (const partition of partitions)
          consumer.seek({ topic, partition, offset: String(positions.get(topic)![partition]) });
      heardAt = Date.now();
    });
    consumer.on(consumer.events.HEARTBEAT, () => {
      heardAt = Date.now();
    });
    consumer.on(consumer.events.FETCH, () => {
      heardAt = Date.now();
      fetches++;
      wake();
    });
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      if (!payload.restart) fail(payload.error);
    });
    // Transaction markers and aborted records come to nobody, and move the position, too.
    consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
      if (payload.batchSize === 0) advance(payload.topic, payload.partition, Number(payload.lastOffset) + 1);
    });
  }

  async function wait(
    ends: ReadonlyMap<string, readonly number[]>,
    signal: AbortSignal | undefined,
    stalled: () => Promise<boolean>,
  ): Promise<void> {
    let since = Date.now();
    fetches = 0;
    const behind = () =>
      [...ends].some(([topic, all]) => all.some((end, p) => (positions.get(topic)?.[p] ?? end) < end));
    while (behind()) {
      if (failure) throw failure;
      signal?.throwIfAborted();
      const now = Date.now();
      if (now - Math.max(heardAt, since) > silenceMs)
        throw new StageError('SOURCE_UNREADABLE', `${where}: the broker has not answered for long`);
      if (fetches > emptyFetches && now - Math.max(movedAt, since) > emptyMs) {
        if (!(await stalled())) return;
        since = Date.now();
        fetches = 0;
        continue;
      }
      await new Promise<void>(done => {
        const timer = setTimeout(done, 100);
        changed.push(() => {
          clearTimeout(timer);
          done();
        });
      });
    }
    if (failure) throw failure;
  }

  async function close(): Promise<void> {
    failure ??= new StageError('INTERRUPTED', `${where}: closed`);
    wake();
    await consumer.disconnect().catch(() => undefined);
    await admin.disconnect().catch(() => undefined);
  }

  try {
    await admin.connect();
    for (const [topic, from] of starts) {
      const found = await offsetsOf(topic);
      positions.set(
        topic,
        found.map(({ partition, low }) => Math.max(Number(low), from?.[partition] ?? 0)),
      );
    }
    listen();
    await consumer.connect();
    await consumer.subscribe({ topics: [...starts.keys()], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch, isStale }) => {
        if (isStale()) return; // it comes again
        const next = positions.get(batch.topic)![batch.partition]!;
        for (const message of batch.messages) {
          if (Number(message.offset) >= next)
            events.record({ topic: batch.topic, partition: batch.partition, message });
        }
        advance(batch.topic, batch.partition, Number(batch.lastOffset()) + 1);
      },
    });
  } catch (error) {
    await close();
    throw kafkaError(error, where);
  }
  return {
    position: topic => positions.get(topic) ?? [],
    passed: (ends, { signal, stalled = async () => true } = {}) => wait(ends, signal, stalled),
    async caughtUp({ signal, stalled = async () => false } = {}) {
      try {
        const ends = new Map<string, number[]>();
        for (const topic of starts.keys())
          ends.set(
            topic,
            (await offsetsOf(topic)).map(o => Number(o.high)),
          );
        await wait(ends, signal, stalled);
      } catch (error) {
        throw failure ?? kafkaError(error, where);
      }
    },
    close,
  };
}
