/**
 * A publisher that is killed again and again, at random points of connecting, writing, finishing, pointing and pruning.
 * Whoever follows the lists, from before or newly, sees whole versions only, and each life of the publisher goes on.
 */
import { on, once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { type FollowedLists, followLists, readModel } from '#jobs/index.js';
import { temporaryDirectory } from '../../support/directory.js';
import { startNode } from '../../support/node-process.js';
import { seeded } from '../../support/random.js';
import { client } from '../../support/topic.js';
import { withBroker } from '../../support/with-broker.js';

const kills = 10;
/** Lists of version n: each version has other users than the one before, so that some vanish. */
const usersOf = (n: number): number => 2000 + 100 * (n % 7);

const publisher = `
import { writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { createKafkaSink } from '#connectors/kafka/sink.js';
import { kafkaSinkOptions } from '#connectors/kafka/sink-options.js';
import { publicationOf, ranked } from '#src/testing/index.js';
const [brokers, weightsPath] = process.argv.slice(1);
const sink = createKafkaSink(kafkaSinkOptions.parse({ type: 'kafka', brokers, prefix: 'killed', keep: 2, chunkBytes: 1024 }));
await sink.connect('state');
console.log('connected');
const known = (await sink.versions()).map(v => Number(v.version.slice(1)));
for (let n = Math.max(0, ...known) + 1; ; n++) {
  const version = 'v' + n;
  const before = await sink.current() ?? null;
  const weights = Buffer.alloc(5000, n);
  writeFileSync(weightsPath, weights);
  const weightsChecksum = createHash('sha256').update(weights).digest('hex');
  await sink.begin({ ...publicationOf(version, n), weightsChecksum });
  await sink.writeModel({ weightsPath, items: [version] });
  const count = 2000 + 100 * (n % 7);
  for (let from = 0; from < count; from += 500)
    await sink.write('users', Array.from({ length: Math.min(500, count - from) }, (_, k) => ranked('u' + (from + k), [version, 'a', 'b'])));
  await sink.write('items', [ranked('i', [version])]);
  await sink.finish();
  await sink.point(version, 'champion', before);
  await sink.prune(2);
  console.log(version);
}
`;

/** What is wrong with what a reader sees: lists of another version, or not all of them. */
function flawOf(lists: FollowedLists): string | undefined {
  const { version } = lists;
  if (version === undefined) return lists.size('users') === 0 ? undefined : 'lists of no version';
  const expected = usersOf(Number(version.slice(1)));
  if (lists.size('users') !== expected || lists.size('items') !== 1)
    return `${version}: expected ${expected} lists, found ${lists.size('users')}`;
  for (const id of lists.ids('users')) {
    const found = lists.get('users', id)!.items[0];
    if (found !== version) return `${version}: the list of ${id} is of ${found}`;
  }
  return undefined;
}

await withBroker('a publisher that dies', {}, broker => {
  it(`shows whole versions only, killed at ${kills} random points`, { timeout: 300_000 }, async () => {
    const random = seeded(20);
    const kafka = client(broker());
    const weights = join(temporaryDirectory(), 'weights.safetensors');
    const flaws: string[] = [];
    const seen: string[] = [];
    let follower: FollowedLists | undefined;
    let looking = true;
    let expected = 0;
    let newest: string | undefined;
    const look = (lists: FollowedLists) => {
      const flaw = flawOf(lists);
      if (flaw) flaws.push(flaw);
    };
    const watching = (async () => {
      while (looking) {
        if (follower) look(follower);
        await sleep(10);
      }
    })();
    for (let kill = 0; kill < kills; kill++) {
      const child = startNode(publisher, [broker().brokers.join(','), weights]);
      const ended = once(child, 'close');
      const failed = ended.then(([code]) => expect(code, 'exit code of the publisher').toBeNull());
      const lines = on(child.stdout!, 'data');
      const published = Math.floor(random() * 3);
      for (let line = 0; line <= published; line++) await Promise.race([lines.next(), failed]);
      expected += published;
      follower ??= await followLists(kafka, 'champion', { prefix: 'killed', onVersion: v => seen.push(v) });
      await sleep(random() * 1000);
      expect(child.exitCode).toBeNull();
      child.kill('SIGKILL');
      await failed;
      const fresh = await followLists(kafka, 'champion', { prefix: 'killed' });
      look(fresh);
      newest = fresh.version;
      if (fresh.version !== undefined) {
        const model = await readModel(kafka, 'champion', { prefix: 'killed' });
        expect(model.items).toEqual([model.version]);
        expect(model.weights[0]).toBe(Number(model.version.slice(1)));
      }
      await fresh.close();
    }
    await expect.poll(() => follower!.version, { timeout: 20_000 }).toBe(newest);
    looking = false;
    await watching;
    await follower!.close();
    expect(flaws).toEqual([]);
    // What was published in between came, and in order.
    expect(Number(seen.at(-1)!.slice(1))).toBeGreaterThanOrEqual(expected);
    expect(seen.map(v => Number(v.slice(1)))).toEqual(
      [...new Set(seen.map(v => Number(v.slice(1))))].sort((a, b) => a - b),
    );
  });
});
