import { setTimeout as sleep } from 'node:timers/promises';
import { createPipeline, type Pipeline, publishStep, refitStep } from '../../../jobs/index.js';
import { finalFaults, journalOf, sinkFaults, stateFaults } from './checks.js';
import { readFeeds } from './feeds.js';
import { total } from './journal.js';
import { lookAt } from './look.js';
import type { Scenario } from './scenarios.js';
import { optionsOf, type World } from './world.js';

/** Users whose published lists are compared with those that the state gives. */
const asked = ['u5', 'u6', 'u7'];

/** Publishes the newest model, at the latest when the lease of a dead publisher has run out. */
async function published(pipeline: Pipeline): Promise<string> {
  for (let tries = 0; ; tries++) {
    try {
      return (await publishStep(pipeline, { trigger: `end:${tries}` }))!.version;
    } catch (error) {
      if (tries >= 40 || !/\blease\b/.test((error as Error).message)) throw error;
      await sleep(1000);
    }
  }
}

/** Takes in the rest, fits and publishes; returns what was published. */
async function complete(pipeline: Pipeline) {
  await pipeline.ingest();
  await refitStep(pipeline, { trigger: 'end' });
  const version = await published(pipeline);
  const lists = new Map<string, string>();
  for (const user of asked) lists.set(user, (await pipeline.recommend(user, 5)).items.join(' '));
  const { store } = pipeline.parts;
  const running = (await store.runs(1000)).filter(r => r.status === 'running').length;
  return { version, lists, running, items: new Set(await store.itemKeys()) };
}

/** Goes on in peace to the end of the rows and to a publication, and compares everything with the rows. */
export async function finish(
  directory: string,
  world: World,
  scenario: Scenario,
  redis: string | undefined,
): Promise<readonly string[]> {
  const options = optionsOf(world.meaning, redis);
  const pipeline = await createPipeline(options, { baseDirectory: directory });
  const { version, lists, running, items } = await complete(pipeline).finally(() => pipeline.close());
  const look = await lookAt(directory, options);
  const feeds = await readFeeds(directory, redis);
  const wrong: string[] = [];
  if (running > 0) wrong.push(`expected that no run goes on, found ${running}`);
  const { length } = journalOf(world, total - 1, scenario.bare, scenario.forgets);
  if (look.position !== total - 1 || look.folded !== length)
    wrong.push(
      `expected ${length} events folded up to ${total - 1}, found ${look.folded} up to ${look.position}`,
    );
  for (const [user, list] of lists) {
    const found = feeds.get('files')!.versions.get(version)?.users.get(user) ?? '';
    if (found !== list) wrong.push(`expected the list ${list} for ${user}, found ${found}`);
  }
  const users = new Set([...look.matrix.keys()].map(key => key.split(' ')[0]!));
  return [
    ...wrong,
    ...stateFaults(look, world, scenario, true),
    ...sinkFaults(feeds, look, undefined),
    ...finalFaults(feeds, version, { users, items }),
  ];
}
