import kafkajs, { type GroupMember, type PartitionAssigner } from 'kafkajs';

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol;

/** A member of the consumer group, as its user data in the group protocol describes it. */
export interface Member {
  /** Id of the state that the member feeds. */
  readonly state: string;
  /** The member owns the partitions p ≡ shard (mod shards). */
  readonly shard: number;
  readonly shards: number;
  /** When its process started and when it joined the group, epoch ms. */
  readonly since: number;
  readonly joined: number;
}

/** Parses `shard/shards`; without a text, one shard owns all partitions. */
export function parseShard(text: string | undefined): { readonly shard: number; readonly shards: number } {
  const [shard = 0, shards = 1] = (text ?? '0/1').split('/').map(Number);
  return { shard, shards };
}

/** Whether the shard of a member has a partition. */
export const owns = ({ shard, shards }: Pick<Member, 'shard' | 'shards'>, partition: number): boolean =>
  partition % shards === shard;

/** Decodes the members' user data. Skips members of other clients or protocol versions. */
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
 * The member that gets a partition. Of the states that claim it, the one whose process started first wins. Of that
 * state's members, the one that joined last wins: the others have died, and the broker has not noticed yet.
 */
export function ownerOf<M extends Member>(members: readonly M[], partition: number): M | undefined {
  const claims = members.filter(m => owns(m, partition));
  const [first] = [...claims].sort((a, b) => a.since - b.since || (a.state < b.state ? -1 : 1));
  return claims.filter(m => m.state === first!.state).sort((a, b) => b.joined - a.joined)[0];
}

/** A partition assigner: each member gets the partitions of its shard, whatever other members there are. */
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
