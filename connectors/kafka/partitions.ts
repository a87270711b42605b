import type { Position } from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import { type Admin, root } from './client.js';
import type { KafkaSourceOptions } from './options.js';
import { owns, parseShard } from './shards.js';

/** A partition of a topic that this source takes. */
export interface Owned {
  readonly topic: string;
  readonly partition: number;
  /** Its name in positions: `topic/3`. */
  readonly name: string;
  /** Offset of the first record that was not taken. */
  readonly next: number;
  /** First offset that the broker still has. */
  readonly low: number;
  /** Offset behind the last record when it was looked at. */
  readonly high: number;
  /** What the state remembers beside the offset: how the partitions were cut. */
  readonly token: string;
  /** Whether the state has a position of it. */
  readonly known: boolean;
}

/** How a state's partitions were cut when it was made. */
interface Cut {
  readonly partitions: number;
  readonly shard: string;
}

const replay = 'new state directories and a new group that read from the beginning';

/** Refuses another number of partitions or another shard than the state was made with. */
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

/** Throws `GROUP_TAKEN` if the group's offsets of the owned partitions were committed for another state. */
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
 * Finds the partitions of this source's shard and where to begin in each: behind the stored position, or where a new
 * state starts.
 *
 * @throws StageError `SOURCE_UNREADABLE` when a topic is missing or the broker cannot be reached, `STATE_MISMATCH`
 *   when the partitions were cut otherwise or the topic is not the one that was read, `GROUP_TAKEN` when the group
 *   feeds another state.
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
    for (const offset of [...offsets].sort((a, b) => a.partition - b.partition)) {
      const { partition } = offset;
      if (!owns(parseShard(shard), partition)) continue;
      const [low, high] = [Number(offset.low), Number(offset.high)];
      const name = `${topic}/${partition}`;
      const position = stored.get(name);
      if (position?.token) assertSameCut(where, topic, JSON.parse(position.token) as Cut, cut);
      const next = position ? position.sequence + 1 : options.start === 'latest' ? high : low;
      if (next > high) {
        throw new StageError(
          'STATE_MISMATCH',
          `${where}: ${name} ends at offset ${high}, this state has taken ${next}: it is not the topic that was read; name the source anew for a new topic`,
        );
      }
      owned.push({ topic, partition, name, next, low, high, token: JSON.stringify(cut), known: !!position });
    }
    // Partitions that have gone are a change of their number, too.
    for (const p of positions) {
      if (p.token && p.partition.startsWith(`${topic}/`))
        assertSameCut(where, topic, JSON.parse(p.token) as Cut, cut);
    }
  }
  if (!options.adoptGroup) await assertOwnGroup(admin, options, owned, state);
  return owned;
}
