import type { Consumer } from './client.js';

/** An offset to tell the broker: that of the next record of a partition. */
export interface NextOffset {
  readonly topic: string;
  readonly partition: number;
  readonly next: number;
}

/** What the broker is told of how far the state has come; the state's own positions decide, so this may fail. */
export interface Commits {
  add(offsets: readonly NextOffset[]): void;
  /** Tells what it has not been told yet, now or once it listens again. */
  tell(): void;
  /** What is being told. */
  pending(): Promise<void>;
}

/** Commits of one consumer, each with `metadata`. */
export function createCommits(consumer: Consumer, metadata: string): Commits {
  const waiting = new Map<string, { topic: string; partition: number; offset: string; metadata: string }>();
  let committing: Promise<void> | undefined;

  async function flush(): Promise<void> {
    while (waiting.size > 0) {
      const offsets = [...waiting.values()];
      waiting.clear();
      try {
        await consumer.commitOffsets(offsets);
      } catch {
        // A rebalance, say: it is told later, unless the next one says more.
        for (const o of offsets) {
          const key = `${o.topic}/${o.partition}`;
          if (!waiting.has(key)) waiting.set(key, o);
        }
        return;
      }
    }
  }

  function tell(): void {
    if (waiting.size === 0) return;
    committing ??= flush().finally(() => {
      committing = undefined;
    });
  }

  return {
    add(offsets) {
      for (const { topic, partition, next } of offsets)
        waiting.set(`${topic}/${partition}`, { topic, partition, offset: String(next), metadata });
      tell();
    },
    tell,
    pending: () => committing ?? Promise.resolve(),
  };
}
