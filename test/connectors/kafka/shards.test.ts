/** Who owns a partition, whoever else is in the group and in whatever order they are listed. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Member, ownerOf, owns, parseShard } from '#connectors/kafka/shards.js';

const member = (state: string, shard: string, since: number, joined = since): Member => ({
  state,
  ...parseShard(shard),
  since,
  joined,
});

it('a process without a shard has every partition', () => {
  expect(parseShard(undefined)).toEqual({ shard: 0, shards: 1 });
  expect([0, 1, 7].every(p => owns(parseShard(undefined), p))).toBe(true);
});

it('shards of one number split the partitions, and one that is down leaves its own to nobody', () => {
  const members = [0, 1, 2].map(s => member(`s${s}`, `${s}/3`, 10 + s));
  for (let p = 0; p < 12; p++) {
    expect(ownerOf(members, p)?.state).toBe(`s${p % 3}`);
    const others = members.filter(m => m.shard !== p % 3);
    expect(ownerOf(others, p)).toBeUndefined();
  }
});

it('the state that came first keeps its partitions, by the process that joined last', () => {
  const dead = member('a', '0/1', 1);
  const heir = member('a', '0/1', 5, 6);
  const intruder = member('b', '1/2', 3);
  expect(ownerOf([dead, heir, intruder], 1)).toBe(heir);
  expect(ownerOf([intruder, heir], 1)).toBe(intruder);
});

it('every member that looks finds the same owner', () => {
  const members = fc.array(
    fc.record({
      state: fc.constantFrom('a', 'b', 'c'),
      shard: fc.constantFrom('0/1', '0/2', '1/2', '2/3'),
      since: fc.nat(5),
      joined: fc.nat(1_000_000),
    }),
    { minLength: 1, maxLength: 6 },
  );
  fc.assert(
    fc.property(members, fc.nat(11), fc.integer(), (drawn, partition, seed) => {
      const all = drawn.map((m, k) => member(m.state, m.shard, m.since, 10 * m.joined + k));
      const shuffled = [...all].sort((a, b) => ((a.joined * seed) % 101) - ((b.joined * seed) % 101));
      expect(ownerOf(shuffled, partition)).toBe(ownerOf(all, partition));
      const claims = all.filter(m => owns(m, partition));
      if (claims.length === 0) expect(ownerOf(all, partition)).toBeUndefined();
      else expect(claims).toContain(ownerOf(all, partition));
    }),
  );
});
