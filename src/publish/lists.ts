import { startCompute } from '../compute.js';
import type { ListKind, RankedList } from '../connector.js';
import { StageError } from '../errors.js';
import { failpoint } from '../failpoint.js';
import type { Rows } from '../gramian/rows.js';
import type { Manifest } from '../model/version.js';
import type { PipelineParts } from '../parts.js';
import { type PublishSummary, publish } from './publish.js';

/** Users or items scored and written at a time. */
const batchSize = 2048;

/** Scores every list of a model and pushes it to the sinks. */
export function createPublisher(
  { store, sinks, options, log }: PipelineParts,
  models: {
    readonly manifestOf: (version?: string) => Promise<Manifest>;
    readonly weightsPath: (version: string) => string;
  },
) {
  /** Top-k lists of all users, then of all items, computed in a thread of their own. */
  async function* lists(version: string, keys: readonly string[], signal?: AbortSignal) {
    const compute = startCompute();
    const stop = () => void compute.close();
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
    const path = models.weightsPath(version);
    const { k } = options.publish;
    const rank = async (ids: readonly string[], rows: Rows): Promise<RankedList[]> => {
      const { lengths, items, scores } = await compute.run('score', {
        path,
        rows,
        k,
        threads: options.threads,
      });
      return ids.map((id, r) => ({
        id,
        items: Array.from(items.subarray(r * k, r * k + lengths[r]!), i => keys[i]!),
        scores: scores.subarray(r * k, r * k + lengths[r]!),
      }));
    };
    try {
      for await (const { keys: ids, rows } of store.histories(batchSize)) {
        yield { kind: 'users' as ListKind, lists: await rank(ids, rows) };
      }
      for (let from = 0; from < keys.length; from += batchSize) {
        const ids = keys.slice(from, from + batchSize);
        yield {
          kind: 'items' as ListKind,
          lists: await rank(ids, singletons(from, ids.length, keys.length)),
        };
      }
    } finally {
      signal?.removeEventListener('abort', stop);
      await compute.close();
    }
  }

  /** Scores every list with a model and pushes it to every sink; pointers move last. */
  async function publishVersion(version?: string, signal?: AbortSignal): Promise<PublishSummary> {
    const manifest = await models.manifestOf(version);
    if (sinks.length === 0)
      throw new StageError('CONFIG_INVALID', 'sinks: expected at least one sink to publish to, found none');
    const keys = await store.itemKeys(manifest.items.count);
    try {
      for (const sink of sinks) await sink.connect();
      const summary = await publish({ manifest, lists: lists(manifest.version, keys, signal), sinks, log });
      failpoint('publish:pointed');
      await store.markPublished(manifest.version);
      return summary;
    } finally {
      for (const sink of sinks) await sink.close();
    }
  }

  return publishVersion;
}

/** Rows e_from … e_{from + count − 1}: one history for each item. */
function singletons(from: number, count: number, n: number): Rows {
  const indices = Int32Array.from({ length: count }, (_, r) => from + r);
  return {
    n,
    users: indices,
    indptr: Int32Array.from({ length: count + 1 }, (_, r) => r),
    indices,
    values: undefined,
  };
}
