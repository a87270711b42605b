import type { Kafka, Message, Transaction } from 'kafkajs';
import { patiently, root } from './client.js';

/** Sends records to the one partition of a topic within a transaction; returns the offset behind them. */
export type Send = (topic: string, messages: Message[]) => Promise<number>;

/** An open transaction. Its producer has fenced every earlier producer of the same transactional id. */
export interface OpenTransaction {
  readonly transaction: Transaction;
  commit(): Promise<void>;
  /** Aborts the transaction if it is still open, and disconnects. */
  abandon(): Promise<void>;
}

/** Begins a transaction of an idempotent producer. */
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

/** Whether another producer of the same transactional id has fenced this one. */
export const isFenced = (error: unknown): boolean =>
  /PRODUCER_EPOCH|PRODUCER_FENCED|INVALID_TXN_STATE|CONCURRENT_TRANSACTIONS/.test(root(error).type);

/** Attempts of a section that other producers fence. */
const tries = 10;

/**
 * Runs `body` in a transaction, alone among all sections of the same transactional id: a new section fences the one
 * before, which then repeats. So nobody else writes between what `body` reads and what it sends.
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
