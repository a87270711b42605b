import type { ListKind, RankedList, Sink } from '../contracts/sink.js';
import { StageError } from '../errors.js';
import type { Progress } from '../runtime/task.js';
import { inAll } from './all-sinks.js';
import { batchCollector } from './batch-collector.js';
import { formatName, type ListBatch, type ListRequest, type ListSource } from './list-source.js';

/** A sink and its progress with one version. */
export interface Target {
  readonly sink: Sink;
  /** The version that the alias named at the beginning. */
  readonly expected: string | null;
  /** Whether the sink has the whole version already. */
  readonly complete: boolean;
  /** Lists that the sink has. */
  have: Record<ListKind, number>;
  /** Lists that were stored, and those that were there already. */
  written: number;
  kept: number;
}

/** Writes each batch to the sinks that lack it. Returns the number of lists. */
export async function writeLists(
  targets: readonly Target[],
  lists: ListSource,
  request: ListRequest,
  progress: Progress | undefined,
): Promise<Record<ListKind, number>> {
  const least = (kind: ListKind): number => Math.min(...targets.map(t => t.have[kind]));
  const skip = { users: least('users'), items: least('items') };
  const counts = { ...skip };
  const total = Math.max(1, lists.counts.users + lists.counts.items);
  const collect = batchCollector();
  for await (const batch of lists.batches(request, skip)) {
    const { kind, ids } = batch;
    for (const list of batch.ranked ?? []) checkList(kind, list);
    counts[kind] += ids.length;
    await inAll(targets, `write lists of ${kind}, version ${request.version}`, async target => {
      if (target.have[kind] >= counts[kind]) return;
      const stored = await writeBatch(target.sink, batch);
      target.have[kind] = counts[kind];
      target.written += stored;
      target.kept += ids.length - stored;
    });
    collect();
    progress?.('publish', (counts.users + counts.items) / total);
  }
  return counts;
}

function writeBatch(sink: Sink, { kind, ids, ranked, encoded }: ListBatch): Promise<number> {
  const bytes = sink.format && encoded?.[formatName(sink.format)];
  if (bytes && sink.writeEncoded) return sink.writeEncoded(kind, { ids, ...bytes });
  return sink.write(kind, ranked ?? []);
}

/** Throws `DATA_INVALID` unless the list has a finite score for each item: sinks store nothing else faithfully. */
function checkList(kind: ListKind, { id, items, scores }: RankedList): void {
  let k = 0;
  while (k < scores.length && Number.isFinite(scores[k])) k++;
  if (k === items.length && k === scores.length) return;
  throw new StageError(
    'DATA_INVALID',
    `expected a finite score for each of ${items.length} items, found ${k === scores.length ? `${k} scores` : `${scores[k]} at rank ${k + 1}`}, where the list of ${id} in ${kind}`,
  );
}
