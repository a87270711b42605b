import type { Kafka } from 'kafkajs';
import { StageError } from '../../src/errors.js';
import { type Consumer, kafkaError } from './client.js';
import { createCommits, type NextOffset } from './commits.js';
import type { Decoder } from './decoder.js';
import type { Intake, Slot } from './intake.js';
import type { KafkaSourceOptions } from './options.js';
import { decodeMembers, type Member, ownerOf, shardAssigner } from './shards.js';
import { type GroupEvents, takeBatches } from './take-batches.js';

/** How long a broker may take to fill a fetch, which is also how long a pause lasts at least. */
const fetchWaitMs = 250;

/** This process in the consumer group. */
export interface Membership {
  /** Joins and keeps reading into the intake until `leave`. */
  join(): Promise<void>;
  /** Tells the broker how far the state has come; its own positions decide, so this may fail. */
  commit(offsets: readonly NextOffset[]): void;
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

/** The slot of a partition; throws for one that has come since the state was made. */
function findSlot(intake: Intake, where: string, topic: string, partition: number): Slot {
  const slot = intake.slots.get(`${topic}/${partition}`);
  if (slot) return slot;
  throw new StageError(
    'STATE_MISMATCH',
    `${where}: topic ${topic} has got a partition ${partition}: users would move between partitions; to change their number, start new state directories and a new group that read from the beginning`,
  );
}

/** Other members have partitions of ours: throws if they feed another state. */
async function refuseRivals(
  consumer: Consumer,
  options: KafkaSourceOptions,
  me: Member,
  intake: Intake,
): Promise<void> {
  const members = decodeMembers((await consumer.describeGroup()).members);
  for (const { owned } of intake.slots.values()) {
    const owner = ownerOf(members, owned.partition);
    if (!owner || owner.state === me.state) continue;
    throw new StageError(
      'GROUP_TAKEN',
      `source ${options.name}: group ${options.group}: ${owned.name} is consumed for the state ${owner.state} (shard ${owner.shard}/${owner.shards}), this state is ${me.state} (shard ${me.shard}/${me.shards})`,
    );
  }
}

/** Batches that hold nothing to take (transaction markers, aborted records) move the position, too. */
function passMarkers(consumer: Consumer, intake: Intake): void {
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
    if (payload.batchSize > 0) return;
    const slot = intake.slots.get(`${payload.topic}/${payload.partition}`);
    const last = Number(payload.lastOffset);
    const first = payload.firstOffset === null ? last : Number(payload.firstOffset);
    if (slot && first <= slot.next && last >= slot.next) intake.advance(slot, last + 1, 0, 0);
  });
}

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
  const commits = createCommits(consumer, me.state);

  const topicPartitions = () => options.topics.map(topic => ({ topic }));
  const fail = (error: unknown): void => {
    if (!leaving) events.failed(kafkaError(error, where));
  };
  const slotOf = (topic: string, partition: number) => findSlot(intake, where, topic, partition);

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
      if (assigned < intake.slots.size)
        refuseRivals(consumer, options, me, intake).catch(e => e instanceof StageError && fail(e));
    } catch (error) {
      fail(error);
    }
  });
  consumer.on(consumer.events.FETCH, () => {
    heardAt = Date.now();
  });
  consumer.on(consumer.events.HEARTBEAT, () => {
    heardAt = Date.now();
    commits.tell();
  });
  consumer.on(consumer.events.CRASH, ({ payload }) => fail(payload.error));
  passMarkers(consumer, intake);

  const eachBatch = takeBatches(
    {
      kafka,
      options,
      intake,
      decoder,
      events,
      slotOf,
      leaving: () => leaving,
      paused: () => paused,
      pause() {
        consumer.pause(topicPartitions());
        paused = true;
      },
      seek: (slot, offset) =>
        consumer.seek({ topic: slot.owned.topic, partition: slot.owned.partition, offset: String(offset) }),
    },
    fail,
  );

  return {
    async join() {
      await consumer.connect();
      await consumer.subscribe({ topics: [...options.topics], fromBeginning: true });
      await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch });
    },
    commit(offsets) {
      commits.add(offsets);
      if (!paused) return;
      paused = false;
      consumer.resume(topicPartitions());
    },
    heard: () => heardAt,
    async leave() {
      await within(2000, commits.pending());
      leaving = true;
      intake.changed();
      await within(5000, consumer.disconnect());
    },
  };
}
