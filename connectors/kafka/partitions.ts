import type { Position } from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import { type Admin, root } from './client.js';
import { offsetsBehind } from './history.js';
import type { KafkaSourceOptions } from './options.js';
import { owns, parseShard } from './shards.js';

/** A partition that this source reads. */
export interface Owned {
  readonly topic: string;
  readonly partition: number;
  /** The partition's name in the state's positions: `topic/3`. */
  readonly name: string;
  /** Offset of the first record that the state has not stored. */
  readonly next: number;
  /** Log start offset: the broker has deleted all earlier records. */
  readonly low: number;
  /** High watermark when the source connected: the offset after the last record. */
  readonly high: number;
  /** `Cut` as JSON, which the state stores with the offset. */
  readonly token: string;
  /** Whether the state has a position for the partition, or a history of it. */
  readonly known: boolean;
  /** See `Cut`. */
  readonly passed?: number | undefined;
}

/** The topic's number of partitions, and the shard that reads them, when the state was made. */
interface Cut {
  readonly partitions: number;
  readonly shard: string;
  /** Offset below which records are skipped that are older than the time at which the topic takes over from its history. */
  readonly passed?: number | undefined;
}

const replay = 'new state directories and a new group that read from the beginning';

/** Throws `STATE_MISMATCH` if the number of partitions or the shard has changed since the state was made. */
function assertSameCut(where: string, topic: string, stored: Cut, now: Cut): void {
  const differs = (what: string, was: string | number, is: string | number) =>
    new StageError(
      'STATE_MISMATCH',
      `${where}: topic ${topic}: this state was made with ${what} ${was}, found ${is}: users would move between partitions; to change it, start ${replay}`,
    );
  if (stored.shard !== now.shard) throw differs('shard', stored.shard, now.shard);
  if (stored.partitions !== now.partitions)
    throw differs('a number of partitions of', stored.partitions, now.partitions);
}

/** Throws `GROUP_TAKEN` if another state has committed offsets of these partitions to the consumer group. */
async function assertOwnGroup(
  admin: Admin,
  options: KafkaSourceOptions,
  owned: readonly Owned[],
  state: string,
): Promise<void> {
  const groups = await admin.fetchOffsets({ groupId: options.group, topics: [...options.topics] });
  for (const { topic, partition } of owned) {
    const found = groups.find(g => g.topic === topic)?.partitions.find(p => p.partition === partition);
    if (!found?.metadata || found.metadata === state) continue;
    throw new StageError(
      'GROUP_TAKEN',
      `source ${options.name}: group ${options.group}: ${topic}/${partition} is consumed for the state ${found.metadata}, this state is ${state}`,
    );
  }
}

/**
 * Finds the partitions of this source's shard, and the first offset to read in each. Reading goes on after the state's
 * position; in a new state it starts where `options.start` says.
 *
 * @throws StageError `SOURCE_UNREADABLE` if a topic is missing or the broker does not answer, `STATE_MISMATCH` if the
 *   number of partitions or the shard has changed or the topic was replaced, `GROUP_TAKEN` if the group feeds another
 *   state.
 */
export async function findPartitions(
  admin: Admin,
  options: KafkaSourceOptions,
  positions: readonly Position[],
  state: string,
): Promise<Owned[]> {
  const where = `source ${options.name}`;
  const shard = options.shard ?? '0/1';
  const stored = new Map(positions.map(p => [p.partition, p]));
  const owned: Owned[] = [];
  for (const topic of options.topics) {
    const offsets = await admin.fetchTopicOffsets(topic).catch(error => {
      if (root(error).type !== 'UNKNOWN_TOPIC_OR_PARTITION') throw error;
      throw new StageError('SOURCE_UNREADABLE', `${where}: topic ${topic}: expected it to exist, found none`);
    });
    const cut: Cut = { partitions: offsets.length, shard };
    const behind = await offsetsBehind(admin, options, topic);
    for (const offset of [...offsets].sort((a, b) => a.partition - b.partition)) {
      const { partition } = offset;
      if (!owns(parseShard(shard), partition)) continue;
      const [low, high] = [Number(offset.low), Number(offset.high)];
      const name = `${topic}/${partition}`;
      const position = stored.get(name);
      const had = position?.token ? (JSON.parse(position.token) as Cut) : undefined;
      if (had) assertSameCut(where, topic, had, cut);
      const first = behind ? behind.first(partition, low) : options.start === 'latest' ? high : low;
      const next = position ? position.sequence + 1 : first;
      if (next > high) {
        const taken = position?.token ? 'this state has taken' : 'its history has';
        throw new StageError(
          'STATE_MISMATCH',
          `${where}: ${name} ends at offset ${high}, ${taken} ${next}: it is not the topic that was read; name the source anew for a new topic`,
        );
      }
      // Below it, records of before the time of the history are in that.
      const passed = had?.passed ?? (!position && behind?.isByTime ? high : undefined);
      const token = JSON.stringify({ ...cut, passed } satisfies Cut);
      const known = position !== undefined || (behind !== undefined && !behind.isByTime);
      owned.push({ topic, partition, name, next, low, high, token, known, passed });
    }
    // A stored partition that the topic no longer has also means that their number has changed.
    for (const p of positions) {
      if (p.token && p.partition.startsWith(`${topic}/`))
        assertSameCut(where, topic, JSON.parse(p.token) as Cut, cut);
    }
  }
  if (!options.adoptGroup) await assertOwnGroup(admin, options, owned, state);
  return owned;
}
