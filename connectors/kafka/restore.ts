import type { ListKind } from '../../src/contracts/sink.js';
import type { VersionRecord } from './models-topic.js';
import type { OpenPublication, Place } from './publication.js';
import { openTail } from './tail.js';

/** Records in one call of `attempt.send`. */
const batch = 5000;

/** Copies the lists of `record` into the new publication `attempt`; returns the number of lists of each kind. */
export async function restore(
  place: Place,
  record: VersionRecord,
  attempt: OpenPublication,
): Promise<Readonly<Record<ListKind, number>>> {
  const counts = { users: 0, items: 0 };
  for (const kind of ['users', 'items'] as const) {
    const topic = place.topics.lists[kind];
    const waiting: { readonly id: Buffer; readonly value: Buffer | null }[] = [];
    const ids = new Set<string>();
    const tail = await openTail(place.kafka, place, new Map([[topic, record.starts[kind]]]), {
      record({ message: { key, value, headers } }) {
        if (headers?.['model-version']?.toString() !== record.version) return;
        waiting.push({ id: key!, value });
        if (value === null) ids.delete(key!.toString());
        else ids.add(key!.toString());
      },
    });
    try {
      // Amended lists come after `record.ends`, so read to where `attempt` starts.
      await tail.passed(new Map([[topic, attempt.starts[kind]]]));
    } finally {
      await tail.close();
    }
    counts[kind] = ids.size;
    if (!record.amended && ids.size !== record.lists[kind])
      throw new Error(
        `${ids.size} of ${record.lists[kind]} lists of ${kind} of version ${record.version}: publish the model again`,
      );
    for (let from = 0; from < waiting.length; from += batch)
      await attempt.send(kind, waiting.slice(from, from + batch));
  }
  return counts;
}
