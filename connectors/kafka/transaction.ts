import type { Kafka, Message, Transaction } from 'kafkajs';
import { patiently, root } from './client.js';

/** Sends records to the one partition of a topic within a transaction; returns the offset behind them. */
export type Send = (topic: string, messages: Message[]) => Promise<number>;

/** A transaction that has begun. Its transactional id belongs to it alone: whoever had it before can write no more. */
export interface OpenTransaction {
  readonly transaction: Transaction;
  commit(): Promise<void>;
  /** Ends it without a trace; safe to call at any time. */
  abandon(): Promise<void>;
}

/** Begins a transaction, with all replicas acknowledging and no record twice. */
export async function beginTransaction(
  kafka: Kafka,
  transactionalId: string,
  timeoutMs: number,
): Promise<OpenTransaction> {
  const producer = kafka.producer({
    transactionalId,
    idempotent: true,
    maxInFlightRequests: 1,
    transactionTimeout: timeoutMs,
    retry: { initialRetryTime: 100, maxRetryTime: 2000, retries: 8 },
  });
  try {
    await producer.connect();
    const transaction = await patiently(() => producer.transaction());
    return {
      transaction,
      async commit() {
        await transaction.commit();
        await producer.disconnect();
      },
      async abandon() {
        if (transaction.isActive()) await transaction.abort().catch(() => undefined);
        await producer.disconnect().catch(() => undefined);
      },
    };
  } catch (error) {
    await producer.disconnect().catch(() => undefined);
    throw error;
  }
}

/** Whether somebody else has begun a transaction under the same id. */
export const isFenced = (error: unknown): boolean =>
  /PRODUCER_EPOCH|PRODUCER_FENCED|INVALID_TXN_STATE|CONCURRENT_TRANSACTIONS/.test(root(error).type);

/** How often a section is tried again that another one cut off. */
const tries = 10;

/**
 * Runs `body` in a transaction, alone among all sections of the same id: one that began before is cut off, and
 * repeats. What `body` reads after it has begun is what its records are based on.
 */
export async function exclusively<T>(
  kafka: Kafka,
  transactionalId: string,
  body: (send: Send) => Promise<T>,
): Promise<T> {
  for (let tried = 1; ; tried++) {
    const open = await beginTransaction(kafka, transactionalId, 60_000);
    try {
      const result = await body(async (topic, messages) => {
        const [sent] = await open.transaction.send({ topic, messages, acks: -1 });
        return Number(sent!.baseOffset) + messages.length;
      });
      await open.commit();
      return result;
    } catch (error) {
      if (!isFenced(error) || tried === tries) throw error;
    } finally {
      await open.abandon();
    }
  }
}
