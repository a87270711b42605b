import { z } from 'zod';
import type { Signal, SignalSource } from '../../src/contracts/index.js';
import type { StageError } from '../../src/errors.js';
import { type Admin, kafkaError, openKafka, type Producer } from './client.js';
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
 * at each start: what has an answer is done, and of several commands with one id the first counts.
 */
export function createKafkaSignals(options: KafkaSignalOptions, baseDirectory = '.'): SignalSource {
  const { models } = topicsOf(options);
  const topic = options.topic ?? `${options.prefix}.signals`;
  const where = `signals ${topic}`;
  const kafka = openKafka(options, baseDirectory);
  const open = new Map<string, Signal>();
  const answered = new Set<string>();
  let reading: { readonly tail: Tail; readonly producer: Producer } | undefined;
  let failure: StageError | undefined;

  function take(record: TailRecord): void {
    if (record.topic === topic) {
      const signal = signalOf(record);
      if (!answered.has(signal.id) && !open.has(signal.id)) open.set(signal.id, signal);
      return;
    }
    const key = record.message.key?.toString() ?? '';
    if (!key.startsWith(resultKey('')) || record.message.value === null) return;
    answered.add(key.slice(resultKey('').length));
    open.delete(key.slice(resultKey('').length));
  }

  async function ensure(admin: Admin): Promise<void> {
    const own = plansOf(topicsOf(options), { partitions: 1, retainMs: 0 }).filter(p => p.topic === models);
    await ensureTopics(admin, [...own, { topic, partitions: 1, compacted: false }], undefined);
  }

  async function start() {
    const admin = kafka.admin();
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, retry: { retries: 5 } });
    try {
      await admin.connect();
      await ensure(admin);
      await producer.connect();
      failure = undefined;
      open.clear();
      answered.clear();
      const starts = new Map([models, topic].map(name => [name, undefined]));
      const tail = await openTail(kafka, { group: options.clientId, where }, starts, {
        record: take,
        failed(error) {
          failure = error;
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

  async function stop(): Promise<void> {
    const last = reading;
    reading = undefined;
    await last?.tail.close();
    await last?.producer.disconnect().catch(() => undefined);
  }

  return {
    name: `kafka:${topic}`,
    async pending(signal) {
      try {
        if (failure) await stop();
        reading ??= await start();
        await reading.tail.caughtUp({ signal });
        return [...open.values()].sort((a, b) => a.requestedAt - b.requestedAt);
      } catch (error) {
        await stop();
        if (signal?.aborted) return [];
        throw kafkaError(error, where);
      }
    },

    async resolve(result) {
      if (answered.has(result.id)) return;
      try {
        reading ??= await start();
        const headers = { kind: 'result' };
        const messages = [{ key: resultKey(result.id), value: JSON.stringify(result), headers }];
        await reading.producer.send({ topic: models, messages, acks: -1 });
        open.delete(result.id);
        answered.add(result.id);
      } catch (error) {
        await stop();
        throw kafkaError(error, where);
      }
    },

    close: stop,
  };
}
