import type { Consumer } from './client.js';

/** An offset to commit: that of the next record to read from a partition. */
export interface NextOffset {
  readonly topic: string;
  readonly partition: number;
  readonly next: number;
}

/**
 * Commits offsets to the consumer group, so that operators see its lag; each carries `metadata`, the id of the state.
 * A commit may fail: the state's own positions decide where reading starts. `#waiting` holds the offsets that the broker
 * does not have yet, `#committing` the commit that is running.
 */
export class Commits {
  readonly #consumer: Consumer;
  readonly #metadata: string;
  readonly #waiting = new Map<string, NextOffset>();
  #committing: Promise<void> | undefined;

  constructor(consumer: Consumer, metadata: string) {
    this.#consumer = consumer;
    this.#metadata = metadata;
  }

  add(offsets: readonly NextOffset[]): void {
    for (const o of offsets) this.#waiting.set(`${o.topic}/${o.partition}`, o);
    this.tell();
  }

  /** Commits the offsets that wait. Those of a commit that fails wait for the next call. */
  tell(): void {
    if (this.#waiting.size === 0) return;
    this.#committing ??= this.#flush().finally(() => {
      this.#committing = undefined;
    });
  }

  /** Resolves when no commit is running. */
  async pending(): Promise<void> {
    await this.#committing;
  }

  async #flush(): Promise<void> {
    while (this.#waiting.size > 0) {
      const sent = [...this.#waiting];
      this.#waiting.clear();
      const metadata = this.#metadata;
      try {
        await this.#consumer.commitOffsets(
          sent.map(([, { topic, partition, next }]) => ({
            topic,
            partition,
            offset: String(next),
            metadata,
          })),
        );
      } catch {
        // For example during a rebalance. Keep these offsets for later; newer ones replace them.
        for (const [key, o] of sent) if (!this.#waiting.has(key)) this.#waiting.set(key, o);
        return;
      }
    }
  }
}
