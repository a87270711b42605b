import type { EachBatchHandler, Kafka } from 'kafkajs';
import { StageError } from '../../src/errors.js';
import { type Consumer, kafkaError } from './client.js';
import { Commits, type NextOffset } from './commits.js';
import type { Decoder } from './decoder.js';
import type { Intake, Slot } from './intake.js';
import type { KafkaSourceOptions } from './options.js';
import { decodeMembers, type Member, ownerOf, shardAssigner } from './shards.js';
import { type GroupEvents, takeBatches } from './take-batches.js';

/** How long a broker may wait for records before it answers a fetch; a pause lasts at least as long. */
const fetchWaitMs = 250;

/** Waits for `promise` for at most `ms`, and ignores its failure. */
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

/** The slot of a partition. Throws if the topic has got the partition since the state was made. */
function findSlot(intake: Intake, where: string, topic: string, partition: number): Slot {
  const slot = intake.slots.get(`${topic}/${partition}`);
  if (slot) return slot;
  throw new StageError(
    'STATE_MISMATCH',
    `${where}: topic ${topic} has got a partition ${partition}: users would move between partitions; to change their number, start new state directories and a new group that read from the beginning`,
  );
}

/** Throws if a member that feeds another state has partitions of this shard. */
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

/** Moves the position past batches of transaction markers and aborted records, which kafkajs hands to nobody. */
function passMarkers(consumer: Consumer, intake: Intake): void {
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
    if (payload.batchSize > 0) return;
    const slot = intake.slots.get(`${payload.topic}/${payload.partition}`);
    const last = Number(payload.lastOffset);
    const first = payload.firstOffset === null ? last : Number(payload.firstOffset);
    if (slot && first <= slot.next && last >= slot.next) intake.advance(slot, last + 1, 0, 0);
  });
}

/**
 * This process in the consumer group. It reads its partitions into the intake, from the offsets that the intake gives.
 * While `#paused`, nothing is fetched; the next acknowledgement resumes. Failures after `leave` has begun are ignored.
 */
export class Membership {
  readonly #consumer: Consumer;
  readonly #commits: Commits;
  readonly #options: KafkaSourceOptions;
  readonly #me: Member;
  readonly #intake: Intake;
  readonly #events: GroupEvents;
  readonly #eachBatch: EachBatchHandler;
  #leaving = false;
  #paused = false;
  #heardAt = Date.now();

  constructor(
    kafka: Kafka,
    options: KafkaSourceOptions,
    me: Member,
    intake: Intake,
    decoder: Decoder,
    events: GroupEvents,
  ) {
    this.#options = options;
    this.#me = me;
    this.#intake = intake;
    this.#events = events;
    this.#consumer = kafka.consumer({
      groupId: options.group,
      partitionAssigners: [shardAssigner(me)],
      sessionTimeout: options.sessionTimeoutMs,
      rebalanceTimeout: options.sessionTimeoutMs,
      heartbeatInterval: options.heartbeatMs,
      maxWaitTimeInMs: fetchWaitMs,
      maxBytes: Math.max(options.batch.bytes, 2 ** 20),
      retry: { initialRetryTime: 200, maxRetryTime: 1000, retries: 5, restartOnFailure: async () => false },
    });
    this.#commits = new Commits(this.#consumer, me.state);
    this.#listen();
    this.#eachBatch = takeBatches(
      {
        kafka,
        options,
        intake,
        decoder,
        events,
        slotOf: (topic, partition) => this.#slotOf(topic, partition),
        leaving: () => this.#leaving,
        paused: () => this.#paused,
        pause: () => {
          this.#consumer.pause([...this.#topics]);
          this.#paused = true;
        },
        seek: ({ owned: { topic, partition } }, offset) =>
          this.#consumer.seek({ topic, partition, offset: String(offset) }),
      },
      error => this.#fail(error),
    );
  }

  get #topics(): readonly { topic: string }[] {
    return this.#options.topics.map(topic => ({ topic }));
  }

  #slotOf(topic: string, partition: number): Slot {
    return findSlot(this.#intake, `source ${this.#options.name}`, topic, partition);
  }

  #fail(error: unknown): void {
    if (!this.#leaving) this.#events.failed(kafkaError(error, `source ${this.#options.name}`));
  }

  #listen(): void {
    const { on, events } = this.#consumer;
    on(events.GROUP_JOIN, ({ payload }) => {
      this.#heardAt = Date.now();
      try {
        this.#assigned(payload.memberAssignment);
      } catch (error) {
        this.#fail(error);
      }
    });
    on(events.FETCH, () => {
      this.#heardAt = Date.now();
    });
    on(events.HEARTBEAT, () => {
      this.#heardAt = Date.now();
      this.#commits.tell();
    });
    on(events.CRASH, ({ payload }) => this.#fail(payload.error));
    passMarkers(this.#consumer, this.#intake);
  }

  /** Seeks to the record after the last one read; for the first assignment, after the state's position. */
  #assigned(assignment: Readonly<Record<string, readonly number[]>>): void {
    let count = 0;
    for (const [topic, partitions] of Object.entries(assignment)) {
      for (const partition of partitions) {
        const { next } = this.#slotOf(topic, partition);
        this.#consumer.seek({ topic, partition, offset: String(next) });
        count++;
      }
    }
    this.#resume();
    if (count < this.#intake.slots.size)
      refuseRivals(this.#consumer, this.#options, this.#me, this.#intake).catch(
        error => error instanceof StageError && this.#fail(error),
      );
  }

  #resume(): void {
    this.#paused = false;
    this.#consumer.resume([...this.#topics]);
  }

  /** Joins and keeps reading into the intake until `leave`. */
  async join(): Promise<void> {
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topics: [...this.#options.topics], fromBeginning: true });
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: this.#eachBatch,
    });
  }

  /** Commits how far the state has come. It may fail: the state's own positions decide where reading starts. */
  commit(offsets: readonly NextOffset[]): void {
    this.#commits.add(offsets);
    if (this.#paused) this.#resume();
  }

  /** When the broker last gave a sign of life, epoch ms. */
  get heardAt(): number {
    return this.#heardAt;
  }

  async leave(): Promise<void> {
    await within(2000, this.#commits.pending());
    this.#leaving = true;
    this.#intake.changed();
    await within(5000, this.#consumer.disconnect());
  }
}
