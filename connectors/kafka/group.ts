import { setImmediate } from 'node:timers/promises';
import type { Kafka } from 'kafkajs';
import { StageError } from '../../src/errors.js';
import { type Consumer, kafkaError } from './client.js';
import type { Decoder } from './decode.js';
import type { Intake, Slot } from './intake.js';
import type { KafkaSourceOptions } from './options.js';
import { decodeMembers, type Member, ownerOf, shardAssigner } from './shards.js';

/** How long a broker may take to fill a fetch, which is also how long a pause lasts at least. */
const fetchWaitMs = 250;

/** Records that are decoded before others have their turn: the state stores the last batch in the meantime. */
const turnRecords = 1000;

/** What the members of a group hand to the source. */
export interface GroupEvents {
  /** The group can no longer be read: every later `read` throws this. */
  failed(error: StageError): void;
  /** Records before `low` were deleted before they came. Throws when that is refused. */
  lost(slot: Slot, low: number): void;
  /** Records came into `slot`, from index `from` on. */
  came(slot: Slot, from: number): void;
}

/** This process in the consumer group. */
export interface Membership {
  /** Joins and keeps reading into the intake until `leave`. */
  join(): Promise<void>;
  /** Tells the broker how far the state has come; its own positions decide, so this may fail. */
  commit(
    offsets: readonly { readonly topic: string; readonly partition: number; readonly next: number }[],
  ): void;
  /** When the broker last gave a sign of life, epoch ms. */
  heard(): number;
  leave(): Promise<void>;
}

/** Waits for `promise`, but not for long: what cannot be ended in time ends with its connection. */
const within = (ms: number, promise: Promise<unknown>): Promise<void> =>
  new Promise(done => {
    const timer = setTimeout(done, ms);
    void promise
      .catch(() => undefined)
      .finally(() => {
        clearTimeout(timer);
        done();
      });
  });

/** A member of the group that reads its partitions, from where the intake says, into the intake. */
export function createMembership(
  kafka: Kafka,
  options: KafkaSourceOptions,
  me: Member,
  intake: Intake,
  decoder: Decoder,
  events: GroupEvents,
): Membership {
  const where = `source ${options.name}`;
  const consumer: Consumer = kafka.consumer({
    groupId: options.group,
    partitionAssigners: [shardAssigner(me)],
    sessionTimeout: options.sessionTimeoutMs,
    rebalanceTimeout: options.sessionTimeoutMs,
    heartbeatInterval: options.heartbeatMs,
    maxWaitTimeInMs: fetchWaitMs,
    maxBytes: Math.max(options.batch.bytes, 2 ** 20),
    retry: { initialRetryTime: 200, maxRetryTime: 1000, retries: 5, restartOnFailure: async () => false },
  });
  let [leaving, paused] = [false, false];
  let heardAt = Date.now();
  const pending = new Map<string, { topic: string; partition: number; offset: string; metadata: string }>();
  let committing: Promise<void> | undefined;

  const topicPartitions = () => options.topics.map(topic => ({ topic }));
  const fail = (error: unknown): void => {
    if (!leaving) events.failed(kafkaError(error, where));
  };
  const slotOf = (topic: string, partition: number): Slot => {
    const slot = intake.slots.get(`${topic}/${partition}`);
    if (slot) return slot;
    throw new StageError(
      'STATE_MISMATCH',
      `${where}: topic ${topic} has got a partition ${partition}: users would move between partitions; to change their number, start new state directories and a new group that read from the beginning`,
    );
  };

  /** Other members have partitions of ours: says so if they feed another state. */
  async function findRival(): Promise<void> {
    const members = decodeMembers((await consumer.describeGroup()).members);
    for (const { owned } of intake.slots.values()) {
      const owner = ownerOf(members, owned.partition);
      if (!owner || owner.state === me.state) continue;
      throw new StageError(
        'GROUP_TAKEN',
        `${where}: group ${options.group}: ${owned.name} is consumed for the state ${owner.state} (shard ${owner.shard}/${owner.shards}), this state is ${me.state} (shard ${me.shard}/${me.shards})`,
      );
    }
  }

  /** Every assignment starts behind what has come, which the state's position decided in the beginning. */
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    heardAt = Date.now();
    try {
      let assigned = 0;
      for (const [topic, partitions] of Object.entries(payload.memberAssignment)) {
        for (const partition of partitions) {
          consumer.seek({ topic, partition, offset: String(slotOf(topic, partition).next) });
          assigned++;
        }
      }
      paused = false;
      consumer.resume(topicPartitions());
      if (assigned < intake.slots.size) findRival().catch(e => e instanceof StageError && fail(e));
    } catch (error) {
      fail(error);
    }
  });
  consumer.on(consumer.events.FETCH, () => {
    heardAt = Date.now();
  });
  consumer.on(consumer.events.HEARTBEAT, () => {
    heardAt = Date.now();
    tell();
  });
  consumer.on(consumer.events.CRASH, ({ payload }) => fail(payload.error));
  // Batches that hold nothing to take (transaction markers, aborted records) move the position, too.
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
    if (payload.batchSize > 0) return;
    const slot = intake.slots.get(`${payload.topic}/${payload.partition}`);
    const last = Number(payload.lastOffset);
    const first = payload.firstOffset === null ? last : Number(payload.firstOffset);
    if (slot && first <= slot.next && last >= slot.next) intake.advance(slot, last + 1, 0, 0);
  });

  /** Waits until there is room, with heartbeats; when it takes long, fetching is paused. Returns whether to go on. */
  async function roomMade(heartbeat: () => Promise<void>): Promise<boolean> {
    const since = Date.now();
    while (intake.room === 0 && !leaving) {
      await heartbeat();
      if (Date.now() - since > options.heartbeatMs) {
        consumer.pause(topicPartitions());
        paused = true;
        return false;
      }
      await intake.change(options.heartbeatMs / 2);
    }
    return !leaving;
  }

  /** The hole before a batch: records that retention deleted, or else ones that we must go back for. */
  async function crossHole(slot: Slot): Promise<void> {
    const { topic, partition } = slot.owned;
    const admin = kafka.admin();
    try {
      await admin.connect();
      const offsets = await admin.fetchTopicOffsets(topic);
      const low = Number(offsets.find(o => o.partition === partition)?.low ?? 0);
      if (low > slot.next) events.lost(slot, low);
      consumer.seek({ topic, partition, offset: String(slot.next) });
    } finally {
      await admin.disconnect();
    }
  }

  const eachBatch: NonNullable<Parameters<Consumer['run']>[0]>['eachBatch'] = async payload => {
    const { batch, heartbeat, isRunning, isStale, resolveOffset } = payload;
    const goesOn = () => isRunning() && !isStale() && !leaving && !paused;
    if (!goesOn()) return;
    try {
      const slot = slotOf(batch.topic, batch.partition);
      const { fetchedOffset } = batch as typeof batch & { readonly fetchedOffset: string };
      if (Number(fetchedOffset) > slot.next) return await crossHole(slot);
      const { messages } = batch;
      await decoder.prepare(messages);
      let k = 0;
      while (k < messages.length && Number(messages[k]!.offset) < slot.next) k++;
      while (k < messages.length) {
        if (!(await roomMade(heartbeat)) || !goesOn()) return;
        const end = Math.min(messages.length, k + intake.room, k + turnRecords);
        const { records } = slot;
        const from = records.length;
        let bytes = 0;
        for (; k < end && bytes <= options.batch.bytes; k++) {
          const message = messages[k]!;
          decoder.decode(message, records);
          bytes += message.value?.length ?? 0;
        }
        events.came(slot, from);
        const next = k < messages.length ? Number(messages[k - 1]!.offset) : Number(batch.lastOffset());
        intake.advance(slot, next + 1, records.length - from, bytes);
        resolveOffset(String(next));
        await heartbeat();
        await setImmediate();
      }
    } catch (error) {
      // What kafkajs throws here (a rebalance) is its own to handle.
      if (!(error instanceof StageError)) throw error;
      fail(error);
    }
  };

  async function flushCommits(): Promise<void> {
    while (pending.size > 0) {
      const offsets = [...pending.values()];
      pending.clear();
      try {
        await consumer.commitOffsets(offsets);
      } catch {
        // A rebalance, say: it is told later, unless the next one says more.
        for (const o of offsets) {
          const key = `${o.topic}/${o.partition}`;
          if (!pending.has(key)) pending.set(key, o);
        }
        return;
      }
    }
  }

  function tell(): void {
    if (pending.size === 0) return;
    committing ??= flushCommits().finally(() => {
      committing = undefined;
    });
  }

  return {
    async join() {
      await consumer.connect();
      await consumer.subscribe({ topics: [...options.topics], fromBeginning: true });
      await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch });
    },
    commit(offsets) {
      for (const { topic, partition, next } of offsets)
        pending.set(`${topic}/${partition}`, { topic, partition, offset: String(next), metadata: me.state });
      tell();
      if (!paused) return;
      paused = false;
      consumer.resume(topicPartitions());
    },
    heard: () => heardAt,
    async leave() {
      await within(2000, committing ?? Promise.resolve());
      leaving = true;
      intake.changed();
      await within(5000, consumer.disconnect());
    },
  };
}
