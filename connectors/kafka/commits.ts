import type { Consumer } from './client.js';

/** An offset to commit: that of the next record to read from a partition. */
export interface NextOffset {
  readonly topic: string;
  readonly partition: number;
  readonly next: number;
}

/**
 * Commits offsets to the consumer group, so that operators see its lag. A commit may fail: the state's own positions
 * decide where reading starts.
 */
export interface Commits {
  add(offsets: readonly NextOffset[]): void;
  /** Commits the offsets that wait. Those of a commit that fails wait for the next call. */
  tell(): void;
  /** Resolves when no commit is running. */
  pending(): Promise<void>;
}

/** Commits offsets with `consumer`; each carries `metadata`, the id of the state. */
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
        // For example during a rebalance. Keep these offsets for later; newer ones replace them.
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
