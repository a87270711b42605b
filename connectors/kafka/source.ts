import { randomUUID } from 'node:crypto';
import type { Kafka } from 'kafkajs';
import type {
  DeadLetter,
  History,
  KeptRecord,
  PartitionEnd,
  Position,
  Read,
  RecordBatch,
  Source,
} from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import { originalBytes, Records } from '../../src/mapping/records.js';
import type { Probe } from '../../src/runtime/probe.js';
import { kafkaError, openKafka, patiently } from './client.js';
import { boundBatches } from './codecs.js';
import { type DeadLetterTopic, openDeadLetterTopic } from './dead-letters.js';
import { createDecoder, type Decoder } from './decoder.js';
import { Membership } from './group.js';
import { historyOf } from './history.js';
import { Intake, type Slot } from './intake.js';
import { KeyCheck } from './key-check.js';
import type { KafkaSourceOptions } from './options.js';
import { findPartitions, type Owned } from './partitions.js';
import { probeSource } from './probe.js';
import { parseShard } from './shards.js';

/** A broker that has been silent for so many session timeouts is gone. */
const patience = 4;

/**
 * A source over the partitions of its shard. A record's partition is `topic/partition`, its sequence its offset. The
 * state's positions decide where reading begins, at the start and on every assignment; what the group has committed
 * is never read but to see whose group it is.
 *
 * From `connect` to `close` there is a `#membership`, which fills `#intake`; after `#failure` every read throws it.
 */
class KafkaSource implements Source {
  readonly name: string;
  readonly readsAhead = true;
  readonly waits = true;
  readonly history: History | undefined;
  readonly reject?: (dead: readonly DeadLetter[]) => Promise<void>;
  readonly #configured: KafkaSourceOptions;
  readonly #where: string;
  readonly #kafka: Kafka;
  readonly #decoder: Decoder;
  readonly #intake: Intake;
  readonly #keys = new KeyCheck();
  readonly #deadLetters: DeadLetterTopic | undefined;
  readonly #since = Date.now();
  /** Bytes that one batch may become. */
  readonly #batchBytes: number;
  #options: KafkaSourceOptions;
  #membership: Membership | undefined;
  #failure: StageError | undefined;
  #warnings: string[] = [];

  constructor(given: KafkaSourceOptions, baseDirectory: string, memoryBytes: number) {
    this.#batchBytes = memoryBytes / 3;
    // Two batches of records are held, and one that is fetched.
    const bytes = Math.min(given.batch.bytes, Math.floor(memoryBytes / 6));
    const options = { ...given, batch: { ...given.batch, bytes } };
    this.name = options.name;
    this.history = historyOf(options);
    this.#configured = options;
    this.#options = options;
    this.#where = `source ${options.name}`;
    this.#kafka = openKafka(options, baseDirectory);
    this.#decoder = createDecoder(options);
    this.#intake = new Intake(options.batch, { unit: options.timeUnit, maxAheadMs: options.maxAheadMs });
    const topic = options.deadLetterTopic;
    if (!topic) return;
    const letters = openDeadLetterTopic(this.#kafka, topic);
    this.#deadLetters = letters;
    this.reject = dead => letters.write(this.name, dead);
  }

  async connect(positions: readonly Position[], state = 'none'): Promise<void> {
    this.#failure = undefined;
    // A look that no state takes anything from stays out of the group.
    if (state === 'none') {
      const group = `${this.#configured.group}-${randomUUID()}`;
      this.#options = { ...this.#configured, group, adoptGroup: true };
    }
    this.#intake.reset(await this.#look(positions, state));
    for (const slot of this.#intake.slots.values()) {
      const { known, low, next } = slot.owned;
      if (known && next < low) this.#lost(slot, low);
    }
    const me = { state, ...parseShard(this.#options.shard), since: this.#since, joined: Date.now() };
    const membership = new Membership(this.#kafka, this.#options, me, this.#intake, this.#decoder, {
      failed: error => {
        this.#failure ??= error;
        this.#intake.changed();
      },
      lost: (slot, low) => this.#lost(slot, low),
      came: (slot, from) => this.#keys.add(slot.owned.name, slot.records.user, from),
    });
    this.#membership = membership;
    await boundBatches(this.#batchBytes, () => membership.join()).catch(error => {
      throw kafkaError(error, this.#where);
    });
  }

  async #look(positions: readonly Position[], state: string): Promise<Owned[]> {
    const admin = this.#kafka.admin();
    try {
      await admin.connect();
      return await patiently(() => findPartitions(admin, this.#options, positions, state));
    } catch (error) {
      throw kafkaError(error, this.#where);
    } finally {
      await admin.disconnect().catch(() => undefined);
    }
  }

  /** Records of a partition up to `low` are gone: refuses, or records the gap and goes on behind it. */
  #lost(slot: Slot, low: number): void {
    const gap = `${slot.owned.name}: records ${slot.next} to ${low - 1} were deleted by retention before they were taken`;
    if (this.#options.onLostRecords === 'refuse')
      throw new StageError('RECORDS_LOST', `${this.#where}: ${gap}`);
    this.#warnings.push(gap);
    slot.records.begin(low - 1, null);
    slot.records.reject({ code: 'records-lost', reason: gap });
    this.#intake.advance(slot, low, 1, 0);
  }

  async read(signal?: AbortSignal): Promise<Read | undefined> {
    const joined = this.#membership;
    if (!joined || !(await this.#ready(joined, signal))) return undefined;
    const batches = this.#intake.take();
    const ack = async () => {
      joined.commit(
        batches.map(({ position }) => {
          const { topic, partition } = this.#intake.slots.get(position.partition)!.owned;
          return { topic, partition, next: position.sequence + 1 };
        }),
      );
    };
    return { batches, ack };
  }

  /** Waits for a batch; `false` when there is nothing new for a while, and after a stop. */
  async #ready(joined: Membership, signal?: AbortSignal): Promise<boolean> {
    const { sessionTimeoutMs, batch } = this.#options;
    for (let idle = false; !signal?.aborted; ) {
      if (this.#failure) throw this.#failure;
      const { dueMs } = this.#intake;
      if (dueMs === 0) return true;
      if (dueMs === undefined && this.#intake.caughtUp) {
        if (idle) return false;
        idle = true;
      }
      if (Date.now() - joined.heardAt > patience * sessionTimeoutMs)
        throw new StageError('SOURCE_UNREADABLE', `${this.#where}: the broker has not answered for long`);
      await this.#intake.change(dueMs ?? batch.waitMs, signal);
    }
    return false;
  }

  async decodeAgain(letters: readonly KeptRecord[]): Promise<RecordBatch> {
    const records = new Records();
    const messages = letters.map(({ sequence, raw, rejectedAt, key, headers = {} }) => ({
      offset: String(sequence),
      key: key === undefined ? null : Buffer.from(key),
      value: raw === '' ? null : originalBytes(raw),
      timestamp: String(rejectedAt),
      headers: Object.fromEntries(Object.entries(headers).map(([name, x]) => [name, Buffer.from(x)])),
      attributes: 0,
    }));
    await this.#decoder.prepare(messages);
    for (const message of messages) this.#decoder.decode(message, records);
    const { timeUnit: unit, maxAheadMs } = this.#options;
    return records.batch(letters[0]!.partition, { unit, maxAheadMs });
  }

  openProbe(): Probe<readonly PartitionEnd[]> {
    return probeSource(this.#kafka, this.#configured);
  }

  warnings(): readonly string[] {
    const said = this.#warnings;
    this.#warnings = [];
    const stray = this.#keys.warning();
    return stray === undefined ? said : [...said, stray];
  }

  async close(): Promise<void> {
    await this.#membership?.leave();
    this.#membership = undefined;
    await this.#deadLetters?.close();
  }
}

/** A source over topics of Kafka, which takes up to `memoryBytes`; nothing is read before `connect`. */
export const createKafkaSource = (
  options: KafkaSourceOptions,
  baseDirectory = '.',
  memoryBytes = 2 ** 28,
): Source => new KafkaSource(options, baseDirectory, memoryBytes);
