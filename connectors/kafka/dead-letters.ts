import type { Kafka } from 'kafkajs';
import type { DeadLetter } from '../../src/contracts/index.js';
import { originalBytes } from '../../src/mapping/records.js';
import { kafkaError, type Producer } from './client.js';

/** Records a request carries at most. */
const most = 500;

/** Where dead letters go: their original bytes, keyed by their position, with the reason in the headers. */
export interface DeadLetterTopic {
  write(source: string, dead: readonly DeadLetter[]): Promise<void>;
  close(): Promise<void>;
}

/** Writes dead letters to `topic`, which is made if there is none. A replay writes a letter again under its key. */
export function openDeadLetterTopic(kafka: Kafka, topic: string): DeadLetterTopic {
  let producer: Producer | undefined;

  async function open(): Promise<Producer> {
    const admin = kafka.admin();
    await admin.connect();
    try {
      await admin.createTopics({ topics: [{ topic }], waitForLeaders: true });
    } finally {
      await admin.disconnect();
    }
    const opened = kafka.producer({ idempotent: true });
    await opened.connect();
    return opened;
  }

  return {
    async write(source, dead) {
      try {
        producer ??= await open();
        for (let from = 0; from < dead.length; from += most) {
          const messages = dead.slice(from, from + most).map(d => ({
            key: `${source}/${d.partition}@${d.sequence}`,
            value: originalBytes(d.raw),
            headers: {
              source,
              partition: d.partition,
              offset: String(d.sequence),
              code: d.code,
              reason: d.reason,
            },
          }));
          await producer.send({ topic, messages, acks: -1 });
        }
      } catch (error) {
        throw kafkaError(error, `dead-letter topic ${topic}`, 'SINK_FAILED');
      }
    },
    async close() {
      const opened = producer;
      producer = undefined;
      await opened?.disconnect().catch(() => undefined);
    },
  };
}
