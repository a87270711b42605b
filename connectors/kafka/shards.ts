import kafkajs, { type GroupMember, type PartitionAssigner } from 'kafkajs';

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol;

/** What a member of the consumer group says of itself. */
export interface Member {
  /** Id of the state it feeds. */
  readonly state: string;
  /** It owns the partitions p ≡ shard (mod shards). */
  readonly shard: number;
  readonly shards: number;
  /** When its process began, and when it joined, epoch ms. */
  readonly since: number;
  readonly joined: number;
}

/** `s/S` as numbers; without it one shard has everything. */
export function parseShard(text: string | undefined): { readonly shard: number; readonly shards: number } {
  const [shard = 0, shards = 1] = (text ?? '0/1').split('/').map(Number);
  return { shard, shards };
}

/** Whether a member owns a partition. */
export const owns = ({ shard, shards }: Pick<Member, 'shard' | 'shards'>, partition: number): boolean =>
  partition % shards === shard;

/** The members that can be read; others speak another protocol version. */
export function decodeMembers(members: readonly Pick<GroupMember, 'memberId' | 'memberMetadata'>[]) {
  return members.flatMap(({ memberId, memberMetadata }) => {
    try {
      const { userData } = MemberMetadata.decode(memberMetadata) ?? {};
      return [{ memberId, ...(JSON.parse(String(userData)) as Member) }];
    } catch {
      return [];
    }
  });
}

/**
 * Who gets a partition: of the states that claim it the one whose process began first, and of that state's members
 * the one that joined last (the others have died and are not yet missed).
 */
export function ownerOf<M extends Member>(members: readonly M[], partition: number): M | undefined {
  const claims = members.filter(m => owns(m, partition));
  const [first] = [...claims].sort((a, b) => a.since - b.since || (a.state < b.state ? -1 : 1));
  return claims.filter(m => m.state === first!.state).sort((a, b) => b.joined - a.joined)[0];
}

/** An assigner by which each member gets the partitions of its shard, whoever else there is. */
export function shardAssigner(me: Member): PartitionAssigner {
  const name = 'sansa-stream-shards';
  const version = 1;
  return ({ cluster }) => ({
    name,
    version,
    protocol({ topics }) {
      const userData = Buffer.from(JSON.stringify(me));
      return { name, metadata: MemberMetadata.encode({ version, topics, userData }) };
    },
    async assign({ members, topics }) {
      const known = decodeMembers(members);
      const assignments = new Map(members.map(m => [m.memberId, {} as Record<string, number[]>]));
      for (const topic of topics) {
        for (const { partitionId } of cluster.findTopicPartitionMetadata(topic)) {
          const owner = ownerOf(known, partitionId);
          if (owner) (assignments.get(owner.memberId)![topic] ??= []).push(partitionId);
        }
      }
      const userData = Buffer.alloc(0);
      return [...assignments].map(([memberId, assignment]) => ({
        memberId,
        memberAssignment: MemberAssignment.encode({ version, assignment, userData }),
      }));
    },
  });
}
