import type { Kafka } from 'kafkajs';
import { z } from 'zod';
import type { Signal, SignalResult, SignalSource } from '../../src/contracts/index.js';
import type { StageError } from '../../src/errors.js';
import { kafkaError, openKafka, type Producer } from './client.js';
import { resultKey } from './models-topic.js';
import { topicsOf } from './names.js';
import type { KafkaSignalOptions } from './signal-options.js';
import { openTail, type Tail, type TailRecord } from './tail.js';
import { ensureTopics, plansOf } from './topics.js';

/** `{"id": …, "type": …, "options": {…}}`; without an id the record's key is it, or else its position. */
const commandSchema = z.looseObject({
  id: z.union([z.string().min(1), z.number().transform(String)]).optional(),
  type: z.string(),
  options: z.record(z.string(), z.unknown()).nullish(),
});

/** The signal in a record; `problem` says what is wrong with one that is no command. */
function signalOf({ topic, partition, message }: TailRecord): Signal {
  const position = `${topic}/${partition}@${message.offset}`;
  const key = message.key?.toString() || position;
  const requestedAt = Number(message.timestamp);
  const text = message.value?.toString() ?? '';
  try {
    const { id = key, type, options } = commandSchema.parse(JSON.parse(text));
    return { id, type, options: options ?? {}, requestedAt };
  } catch {
    const problem = `expected a JSON object such as {"id": "nightly-1", "type": "refit", "options": {"l2": 10}}, found ${JSON.stringify(text.slice(0, 200))}`;
    return { id: key, type: '', options: {}, problem, requestedAt };
  }
}

/**
 * Signals from a topic, each answered by one record of the models topic under `signal/<id>`. All of the topic is read
 * at each start; of several commands with one id the first counts.
 *
 * While `#reading` is open, `#open` holds the commands without an answer and `#answered` the ids with one.
 */
class KafkaSignals implements SignalSource {
  readonly name: string;
  readonly #options: KafkaSignalOptions;
  readonly #topic: string;
  readonly #where: string;
  readonly #kafka: Kafka;
  readonly #open = new Map<string, Signal>();
  readonly #answered = new Set<string>();
  #reading: { readonly tail: Tail; readonly producer: Producer } | undefined;
  #failure: StageError | undefined;

  constructor(options: KafkaSignalOptions, baseDirectory: string) {
    this.#options = options;
    this.#topic = options.topic ?? `${options.prefix}.signals`;
    this.name = `kafka:${this.#topic}`;
    this.#where = `signals ${this.#topic}`;
    this.#kafka = openKafka(options, baseDirectory);
  }

  async pending(signal?: AbortSignal): Promise<readonly Signal[]> {
    try {
      if (this.#failure) await this.close();
      this.#reading ??= await this.#start();
      await this.#reading.tail.caughtUp({ signal });
      return [...this.#open.values()].sort((a, b) => a.requestedAt - b.requestedAt);
    } catch (error) {
      await this.close();
      if (signal?.aborted) return [];
      throw kafkaError(error, this.#where);
    }
  }

  async resolve(result: SignalResult): Promise<void> {
    if (this.#answered.has(result.id)) return;
    try {
      this.#reading ??= await this.#start();
      const headers = { kind: 'result' };
      const messages = [{ key: resultKey(result.id), value: JSON.stringify(result), headers }];
      await this.#reading.producer.send({ topic: topicsOf(this.#options).models, messages, acks: -1 });
      this.#answer(result.id);
    } catch (error) {
      await this.close();
      throw kafkaError(error, this.#where);
    }
  }

  #answer(id: string): void {
    this.#open.delete(id);
    this.#answered.add(id);
  }

  #take(record: TailRecord): void {
    if (record.topic === this.#topic) {
      const signal = signalOf(record);
      if (!this.#answered.has(signal.id) && !this.#open.has(signal.id)) this.#open.set(signal.id, signal);
      return;
    }
    const key = record.message.key?.toString() ?? '';
    if (!key.startsWith(resultKey('')) || record.message.value === null) return;
    this.#answer(key.slice(resultKey('').length));
  }

  async #start() {
    const admin = this.#kafka.admin();
    const producer = this.#kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      retry: { retries: 5 },
    });
    const { models } = topicsOf(this.#options);
    try {
      await admin.connect();
      const plans = plansOf(topicsOf(this.#options), { partitions: 1, retainMs: 0 });
      const own = plans.filter(p => p.topic === models);
      await ensureTopics(admin, [...own, { topic: this.#topic, partitions: 1, compacted: false }], undefined);
      await producer.connect();
      this.#failure = undefined;
      this.#open.clear();
      this.#answered.clear();
      const starts = new Map([models, this.#topic].map(name => [name, undefined]));
      const named = { group: this.#options.clientId, where: this.#where };
      const tail = await openTail(this.#kafka, named, starts, {
        record: record => this.#take(record),
        failed: error => {
          this.#failure = error;
        },
      });
      return { tail, producer };
    } catch (error) {
      await producer.disconnect().catch(() => undefined);
      throw error;
    } finally {
      await admin.disconnect().catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    const last = this.#reading;
    this.#reading = undefined;
    await last?.tail.close();
    await last?.producer.disconnect().catch(() => undefined);
  }
}

/** Signals from a topic; nothing is read before the first call. */
export const createKafkaSignals = (options: KafkaSignalOptions, baseDirectory = '.'): SignalSource =>
  new KafkaSignals(options, baseDirectory);
