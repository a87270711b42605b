import type { History } from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import type { Admin } from './client.js';
import type { KafkaSourceOptions } from './options.js';
import { parseShard } from './shards.js';

/** What a source begins behind, as its settings say it. */
export function historyOf({ startAfter, topics, shard }: KafkaSourceOptions): History | undefined {
  if (!startAfter) return undefined;
  const { source, partition, offset, timestamp, time } = startAfter;
  const places =
    partition !== undefined && offset !== undefined
      ? { partition, offset }
      : { timestamp: timestamp!, before: Date.parse(time!) };
  return { source, stream: topics[0]!, places, ...parseShard(shard) };
}

/** Where a topic goes on behind its history. */
interface Behind {
  /** The first offset to read of a partition that the history did not set; `low` is the first that the broker has. */
  first(partition: number, low: number): number;
  /** Whether a time parts them: then some records behind the first offset may be older, and are in the history. */
  readonly isByTime: boolean;
}

/** Where a topic goes on behind its history; `undefined` for one without. `RECORDS_LOST` if records between them may be gone. */
export async function offsetsBehind(
  admin: Admin,
  options: KafkaSourceOptions,
  topic: string,
): Promise<Behind | undefined> {
  const history = historyOf(options);
  if (!history) return undefined;
  if ('offset' in history.places) return { first: () => 0, isByTime: false };
  const { before } = history.places;
  const found = await admin.fetchTopicOffsetsByTimestamp(topic, before);
  const offsets = new Map(found.map(({ partition, offset }) => [partition, Number(offset)]));
  const first = (partition: number, low: number): number => {
    const offset = offsets.get(partition) ?? low;
    if (offset > low || low === 0 || options.onLostRecords === 'reset') return offset;
    const since = new Date(before).toISOString();
    throw new StageError(
      'RECORDS_LOST',
      `source ${options.name}: ${topic}/${partition}: the first record that retention has left is not before ${since}: others since then may be gone`,
      { remedy: 'give `startAfter` a later time, up to which the history has all' },
    );
  };
  return { first, isByTime: true };
}
